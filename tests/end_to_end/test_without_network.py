"""Counting where there is no network at all: native code that wanted one would fail here, too."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import camera_counting
from pipelines.datasets.generator import generate_clip
from tests.toy_detector import build


@pytest.fixture
def alone() -> list[str]:
    """Runs a command in a network namespace of its own, in which not even this machine can be reached."""
    command = ["unshare", "--map-root-user", "--net"]
    lent = shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True, check=False)
    if not lent or lent.returncode:
        pytest.skip("this machine lends no network namespace (unshare --map-root-user --net)")
    reach = "import socket; socket.create_connection(('127.0.0.1', 9), timeout=5)"
    tried = subprocess.run([*command, sys.executable, "-c", reach], capture_output=True, text=True, check=False)
    assert "unreachable" in tried.stderr, "there is a network in it"
    return command


def test_a_clip_is_counted(alone: list[str], tmp_path: Path) -> None:
    build(tmp_path / "toy.onnx")
    camera_counting.save_model(tmp_path / "toy.onnx", tmp_path / "model")
    scene = {"camera": "gate", "size": [320, 240], "lines": [{"name": "gate", "from": [0, 120], "to": [320, 120]}]}
    (tmp_path / "gate.json").write_text(json.dumps(scene))
    clip = generate_clip(tmp_path / "clips", "street", 1, seconds=1, fps=10, width=320, height=240, seed=7)
    done = subprocess.run(
        [
            *(*alone, sys.executable, "-m", "camera_counting.cli", "count", str(clip.video)),
            *("--model", str(tmp_path / "model"), "--scene", str(tmp_path / "gate.json")),
            *("--json", str(tmp_path / "counted.json"), "--video", str(tmp_path / "counted.mp4")),
        ],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    counted = json.loads((tmp_path / "counted.json").read_text())
    assert counted["frames"] == 10
    assert set(counted["lines"]) == {"gate"}
    assert (tmp_path / "counted.mp4").stat().st_size > 0

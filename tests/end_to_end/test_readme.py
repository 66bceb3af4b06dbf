"""Every block of code in the README either runs here, after a demo, or is one of the commands tested elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.datasets.manifest import load_dataset


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and whether the README says that it is tested."""

    language: str
    text: str
    tested: bool


def blocks(root: Path) -> list[Block]:
    text = (root / "README.md").read_text()
    found = re.finditer(r"(<!-- tested after the demo -->\n)?```(\w+)\n(.*?)```", text, re.DOTALL)
    return [Block(match[2], match[3], match[1] is not None) for match in found]


def of_language(root: Path, language: str) -> list[str]:
    return [block.text for block in blocks(root) if block.language == language]


def test_whatever_can_run_is_tested(root: Path) -> None:
    runnable = [block for block in blocks(root) if block.language in ("bash", "python")]
    assert len(runnable) >= 3
    assert all(block.tested for block in runnable)


def test_every_make_command_exists(root: Path) -> None:
    targets = set(re.findall(r"^(\w+):.*##", (root / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|    )make (\w+)", (root / "README.md").read_text()))
    assert named
    assert named <= targets


def test_every_step_of_the_readme_is_an_entry_point(root: Path) -> None:
    import yaml

    known = set(yaml.safe_load((root / "MLproject").read_text())["entry_points"])
    named = set(re.findall(r"mlflow run \. -e (\w+)", (root / "README.md").read_text()))
    assert named | {"main"} == known


@pytest.fixture
def place(root: Path, demo, tmp_path: Path) -> Path:
    """A user's folder: the README's own scene, a clip and a picture, beside a finished demo."""
    assert demo.exit_code == 0, demo.output[-3000:]
    dataset = load_dataset(demo.workspace / "data")
    shutil.copy(str(dataset.clips[0].video), tmp_path / "clip.mp4")
    shutil.copy(dataset.samples("test")[0].path, tmp_path / "street.jpg")
    (scene,) = of_language(root, "yaml")
    (tmp_path / "gate.yaml").write_text(scene)
    return tmp_path


def environment(demo) -> dict[str, str]:
    binaries = Path(sys.executable).parent
    return {
        **os.environ,
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{demo.workspace / 'mlflow.db'}",
    }


@pytest.fixture
def port(demo) -> Iterator[int]:
    """The demo's version, served."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    server = subprocess.Popen(
        [
            *("mlflow", "models", "serve", "--model-uri", "models:/camera-counter@serving"),
            *("--env-manager", "local", "--port", str(free)),
        ],
        env=environment(demo), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{free}/ping", timeout=5)
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        yield free
    finally:
        os.killpg(server.pid, 15)
        server.wait(timeout=30)


@pytest.mark.slow
@pytest.mark.xdist_group("demo")
def test_the_commands_run(root: Path, demo, place: Path) -> None:
    for text in of_language(root, "bash"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=place, env=environment(demo), capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    for made in ("scene.png", "counts.json", "counted.mp4"):
        assert (place / made).stat().st_size > 0


@pytest.mark.slow
@pytest.mark.xdist_group("demo")
def test_the_python_runs(root: Path, demo, place: Path, port: int) -> None:
    printed = []
    for text in of_language(root, "python"):
        done = subprocess.run(
            [sys.executable, "-c", text.replace(":5001", f":{port}")],
            cwd=place, env=environment(demo), capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert all("person" in text for text in printed), printed

"""What serves while the alias moves: real registry, real servers, real models."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from mlflow import MlflowClient

import camera_counting
from model_governance.artifact import artifact_digest
from serving.follow import Follower
from serving.server import free_port
from tests.toy_detector import build, picture

pytestmark = pytest.mark.slow

NAME = "camera-counter"
PICTURE = picture(640, 480, [("person", 40, 60, 90, 160), ("car", 300, 300, 420, 380)])


class Registry:
    """Versions of one model, whose files lie in a folder that the test can change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client = MlflowClient()
        self.client.create_registered_model(NAME)

    def add(self, confidence: float, *, digest: bool = True, broken: bool = False) -> str:
        """Register a version as the pipeline does; gives its number."""
        files = self.folder / f"store-{confidence}-{digest}-{broken}"
        camera_counting.save_model(build(self.folder / "toy.onnx"), files, confidence=confidence)
        if broken:
            (files / "camera_counting" / "detector.onnx").unlink()
        tags = {"artifact_digest": artifact_digest(str(files))} if digest else {}
        return str(self.client.create_model_version(NAME, str(files), tags=tags).version)

    def files(self, version: str) -> Path:
        return Path(self.client.get_model_version(NAME, version).source)

    def serve(self, version: str) -> None:
        self.client.set_registered_model_alias(NAME, "serving", version)


@pytest.fixture
def registry(tracking: str, tmp_path: Path) -> Registry:
    return Registry(tmp_path)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def follower(registry: Registry, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Follower]:
    monkeypatch.setenv("CAMERA_COUNTING_PREDICTION_LOG", str(tmp_path / "log"))
    follower = Follower(NAME, tmp_path / "home", port=port, patience=120, pause=0)
    yield follower
    follower.close()


def counted(port: int) -> dict[str, int]:
    image = base64.b64encode(cv2.imencode(".png", PICTURE[..., ::-1])[1].tobytes()).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps({"inputs": {"image": [image]}}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        counts: dict[str, int] = json.load(answer)["predictions"][0]["counts"]
    return counts


def kill_the_parent(follower: Follower) -> None:
    (server,) = follower._servers
    os.kill(server._process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while server.ended is None and time.monotonic() < deadline:
        time.sleep(0.05)


def test_a_version_takes_over_only_when_it_is_approved_and_serves(
    follower: Follower, registry: Registry, port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    follower.look()
    assert "no version has the alias `serving` yet" in caplog.text
    both, none = {"person": 1, "car": 1}, {"person": 0, "car": 0}

    first = registry.add(0.3)
    registry.serve(first)
    follower.look()
    assert (follower.version, counted(port)) == (first, both)

    # its parent dies and leaves a worker, which holds the port
    kill_the_parent(follower)
    follower.look()
    assert (follower.version, counted(port)) == (first, both)

    # somebody who can write the artifact store puts another detector there and computes every digest in it anew
    forged = registry.add(0.31)
    shutil.rmtree(registry.files(forged))
    camera_counting.save_model(tmp_path / "toy.onnx", registry.files(forged), confidence=0.32)
    # and byte code that would run before anything of ours does
    planted = registry.add(0.33)
    cache = registry.files(planted) / "code" / "__pycache__"
    cache.mkdir()
    (cache / "camera_counting_loader.cpython-311.pyc").write_bytes(b"anything")
    cases = [
        (forged, "which were approved; the artifact store has"),
        (planted, "is byte code"),
        (registry.add(0.34, digest=False), "nothing says which files were approved"),
        (registry.add(0.35, broken=True), "mlflow models serve ended with"),
    ]
    for version, reason in cases:
        caplog.clear()
        registry.serve(version)
        follower.look()
        assert f"version {version} is refused, version {first} goes on serving: " in caplog.text
        assert reason in caplog.text
        assert (follower.version, counted(port)) == (first, both)

    second = registry.add(0.99)
    registry.serve(second)
    follower.look()
    assert (follower.version, counted(port)) == (second, none)

    # what was counted is logged under the version that counted it
    follower.close()
    log = camera_counting.read_predictions(str(tmp_path / "log"))
    assert log["model_version"].tolist() == [first] * 6 + [second]
    # and nothing of a version that has gone is left
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["6"]


@pytest.mark.parametrize(("chosen", "told"), [(None, "true"), ("false", "false")])
def test_nothing_is_reported_unless_somebody_wants_it(chosen: str | None, told: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_DISABLE_TELEMETRY"}
    if chosen is not None:
        environment["MLFLOW_DISABLE_TELEMETRY"] = chosen
    done = subprocess.run(
        [sys.executable, "-c", "import os, serving; print(os.environ['MLFLOW_DISABLE_TELEMETRY'])"],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == told


def test_the_command_ends_with_all_it_started(registry: Registry, port: int, tmp_path: Path) -> None:
    registry.serve(registry.add(0.3))
    log = tmp_path / "follow.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.follow", "--port", str(port), "--every", "0.2"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=out,
            stderr=out,
        )
    try:
        deadline = time.monotonic() + 120
        while "serving version 1 on" not in log.read_text():
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        assert counted(port) == {"person": 1, "car": 1}
    finally:
        process.terminate()
        assert process.wait(60) == 0
    with pytest.raises(OSError, match="refused"):
        counted(port)

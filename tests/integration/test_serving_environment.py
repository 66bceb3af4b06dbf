"""`mlflow models serve` and `predict` where this project was never seen: a real environment, a real server."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest

import camera_counting
from tests.toy_detector import build, picture

OBJECTS = [("person", 40, 60, 90, 160), ("person", 200, 60, 250, 160), ("car", 300, 300, 420, 380)]
COUNTS = {"person": 2, "car": 1}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    camera_counting.save_model(build(folder / "toy.onnx"), folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def body() -> bytes:
    image = cv2.imencode(".jpg", picture(640, 480, OBJECTS)[..., ::-1])[1].tobytes()
    return json.dumps({"inputs": {"image": [base64.b64encode(image).decode()], "camera_id": ["gate-7"]}}).encode()


def environment(**more: str) -> dict[str, str]:
    """This process's, with the tools of its own environment on the path, and nothing of the checkout."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "MLFLOW_TRACKING"))
    }
    tools = str(Path(sys.executable).parent)
    return {**kept, "PATH": f"{tools}{os.pathsep}{kept['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true", **more}


@contextmanager
def served(model: Path, manager: str, log: Path, **more: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["mlflow", "models", "serve", "-m", str(model), "-p", str(port), "--env-manager", manager]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=environment(**more), cwd=log.parent, stdout=out, stderr=out, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 400
        while True:
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            try:
                urllib.request.urlopen(f"{url}/ping", timeout=5)
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def ask(url: str, body: bytes) -> tuple[int, Any]:
    request = urllib.request.Request(f"{url}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.slow
def test_a_fresh_environment_serves_without_torch_and_without_this_package(
    model_folder: Path, body: bytes, tmp_path: Path
) -> None:
    environments = tmp_path / "envs"
    log = tmp_path / "predictions"
    with served(
        model_folder,
        "uv",
        tmp_path / "serve.log",
        MLFLOW_ENV_ROOT=str(environments),
        CAMERA_COUNTING_PREDICTION_LOG=str(log),
    ) as url:
        status, answer = ask(url, body)
        assert (status, answer["predictions"][0]["counts"]) == (200, COUNTS)
        status, answer = ask(url, body[:-9])
        assert (status, answer["message"][:19]) == (400, "the body is no JSON")
        status, answer = ask(url, body.replace(b"gate-7", b"g" * 500))
        assert status == 400
        assert answer["message"].startswith("row 0: camera_id")
        # plain serving is not blind
        assert camera_counting.read_predictions(str(log))["camera_id"].tolist() == ["gate-7"]

    (python,) = environments.glob("*/bin/python")
    listed = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "list", "--format", "json", "--python", str(python)],
        capture_output=True, check=True, env=environment(),
    )  # fmt: skip
    installed = {package["name"] for package in json.loads(listed.stdout)}
    assert "mlflow-skinny" in installed
    assert not installed & {"torch", "torchvision", "ultralytics", "mlflow", "mlflow-camera-counting", "evidently"}
    assert not [name for name in installed if name.startswith("nvidia")]

    # the same environment answers `mlflow models predict`
    (tmp_path / "request.json").write_bytes(body)
    subprocess.run(
        ["mlflow", "models", "predict", "-m", str(model_folder), "-i", str(tmp_path / "request.json"),
         "-o", str(tmp_path / "answer.json"), "-t", "json", "--env-manager", "uv"],
        env=environment(MLFLOW_ENV_ROOT=str(environments)),
        cwd=tmp_path,
        check=True,
        timeout=300,
        capture_output=True,
    )  # fmt: skip
    assert json.loads((tmp_path / "answer.json").read_text())["predictions"][0]["counts"] == COUNTS
    # served in place, the folder is still what was registered: no byte code, which promotion would refuse
    assert not [path for path in model_folder.rglob("*") if path.suffix == ".pyc" or path.name == "__pycache__"]

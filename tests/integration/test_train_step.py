"""The training step on a real MLflow: trained, exported, logged; killed and taken up again."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from rectangles import CLASSES, write_rectangles

import camera_counting
from pipelines.datasets.manifest import load_dataset
from pipelines.train import TrainSettings, run
from pipelines.trainers import TrainingError, weights_digest

pytestmark = pytest.mark.slow

NETWORK = str(Path(__file__).parents[1] / "tiny_yolo.yaml")
OPTIONS = {"lr0": 0.01, "mosaic": 0.0, "plots": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rectangles(tmp_path_factory.mktemp("data") / "set", pictures={"train": 40, "val": 8, "test": 8})


def _settings(data: Path, work: Path, **changes: object) -> TrainSettings:
    values: dict[str, object] = {
        "data": data, "work": work, "model": NETWORK, "epochs": 4, "image_size": 96, "batch": 4, "device": "cpu",
        "options": OPTIONS,
    }  # fmt: skip
    return TrainSettings.model_validate(values | changes)


def test_training_logs_a_model_that_finds_things(data: Path, tracking: str, tmp_path: Path) -> None:
    result = run(_settings(data, tmp_path / "work", epochs=6))

    done = mlflow.get_run(result.run_id)
    assert done.info.status == "FINISHED"
    assert done.data.params["seed"] == "0"
    assert done.data.params["input_shape"] == "64x96"
    assert done.data.params["dataset_digest"] == load_dataset(data).digest
    inputs = {each.dataset.name: each.dataset.digest for each in done.inputs.dataset_inputs}
    assert set(inputs) == {"rectangles-train", "rectangles-val"}, "the test split is not looked at"

    history = MlflowClient().get_metric_history(result.run_id, "val/map50")
    assert [metric.step for metric in history] == [1, 2, 3, 4, 5, 6]
    assert {"train/box_loss", "lr", "seconds", "export/least_iou"} <= set(done.data.metrics)
    assert done.data.metrics["export/boxes"] > 0
    assert done.data.metrics["export/unmatched"] == 0

    model = camera_counting.load_model(result.model_uri)
    assert model.names == CLASSES
    assert model.confidence == pytest.approx(result.confidence)
    sample = load_dataset(data).samples("test")[0]
    assert len(model.detect([sample.path], confidence=0.05)[0]) > 0
    artifacts = {each.path for each in MlflowClient().list_artifacts(result.run_id, "training")}
    assert "training/curves.png" in artifacts
    [checkpoint] = Path(mlflow.artifacts.download_artifacts(f"runs:/{result.run_id}/checkpoint")).iterdir()
    begun = weights_digest(checkpoint)  # as a training that begins with it records it
    assert begun == hashlib.sha256(checkpoint.read_bytes()).hexdigest() == done.data.tags["checkpoint_digest"]


_CHILD = """
import sys
from pipelines.train import TrainSettings, run
run(TrainSettings.model_validate_json(sys.argv[1]))
"""


def _child(settings: TrainSettings, root: Path) -> subprocess.Popen[bytes]:
    # A training of its own process, which can be killed without ceremony.
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'plugins'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _CHILD, settings.model_dump_json()]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def _wait_for_epoch(folder: Path, number: int, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    epochs = folder / "epochs.json"
    while time.monotonic() < deadline:
        if epochs.exists() and len(json.loads(epochs.read_text())) >= number:
            return
        assert child.poll() is None, "the training ended before it could be killed"
        time.sleep(0.05)
    pytest.fail(f"epoch {number} was not reached")


@pytest.mark.parametrize(
    ("how", "status"), [(signal.SIGKILL, "RUNNING"), (signal.SIGTERM, "KILLED")], ids=["kill -9", "terminate"]
)
def test_a_killed_training_goes_on_in_the_same_run(
    how: signal.Signals, status: str, data: Path, tracking: str, tmp_path: Path, root: Path
) -> None:
    settings = _settings(data, tmp_path / "work", epochs=5)
    folder = tmp_path / "work" / "detector" / "0001"
    child = _child(settings, root)
    try:
        _wait_for_epoch(folder, 2, child)
        child.send_signal(how)
    finally:
        child.wait(timeout=60)
    [killed] = mlflow.search_runs(output_format="list")
    assert killed.info.status == status
    epochs_before = len(json.loads((folder / "epochs.json").read_text()))
    assert epochs_before < 5

    with pytest.raises(TrainingError, match="none with these settings"):
        run(_settings(data, tmp_path / "work", epochs=7, resume=True))

    result = run(_settings(data, tmp_path / "work", epochs=5, resume=True))
    assert result.run_id == killed.info.run_id
    assert mlflow.get_run(result.run_id).info.status == "FINISHED"
    assert len(mlflow.search_runs(output_format="list")) == 1
    history = MlflowClient().get_metric_history(result.run_id, "val/map50")
    assert [metric.step for metric in history] == [1, 2, 3, 4, 5], "each epoch once"
    assert [epoch.number for epoch in result.trained.epochs] == [1, 2, 3, 4, 5]
    assert result.folder == folder


def test_a_wrong_export_is_refused(
    data: Path, tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.trainers.ultralytics import UltralyticsTrainer

    # The planted fault: the trained network is asked about pictures whose colours are swapped.
    honest = UltralyticsTrainer.detect
    monkeypatch.setattr(
        UltralyticsTrainer,
        "detect",
        lambda self, checkpoint, pictures, shape, confidence: honest(
            self, checkpoint, [picture[..., ::-1] for picture in pictures], shape, confidence
        ),
    )
    with pytest.raises(TrainingError, match="does not see what the trained one saw"):
        run(_settings(data, tmp_path / "work", epochs=5))
    [failed] = mlflow.search_runs(output_format="list")
    assert failed.info.status == "FAILED"
    assert not failed.outputs or not failed.outputs.model_outputs, "no model is logged"

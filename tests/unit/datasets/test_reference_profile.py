"""The profile of the training pictures, as the drift report reads it beside a prediction log."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tiny_dataset import make_tiny_dataset

from camera_counting.prediction_log import Prediction, PredictionLog, read_predictions
from pipelines.datasets.profile import reference_profile


def test_a_picture_without_a_camera_is_of_the_same_camera_as_in_the_log(tmp_path: Path) -> None:
    dataset = make_tiny_dataset(tmp_path / "data", pictures=12, clips=0)
    samples = [dataclasses.replace(sample, camera=None) for sample in dataset.samples("train")[:2]]
    log = PredictionLog(str(tmp_path / "log"))
    log.append([Prediction.now(counts={"person": 1})])
    log.flush()
    asked = read_predictions(str(tmp_path / "log"))
    assert set(reference_profile(samples, dataset.classes)["camera_id"]) == set(asked["camera_id"])

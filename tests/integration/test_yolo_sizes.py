"""YOLO11 and YOLO26 by name, without a network: the library ships their architectures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from rectangles import CLASSES, write_rectangles

from camera_counting.detectors import identify, open_detector
from pipelines.datasets.manifest import load_dataset
from pipelines.trainers import TrainingListener, TrainingPlan, make_trainer
from pipelines.trainers.agreement import require_agreement
from pipelines.trainers.checked_export import agreement_of
from pipelines.trainers.offline_ultralytics import offline_ultralytics

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("family", ["yolo11", "yolo26"])
def test_every_size_is_there_by_name(family: str, tmp_path: Path) -> None:
    offline_ultralytics(tmp_path)
    from ultralytics.nn.tasks import yaml_model_load

    for size in "nsmlx":
        assert yaml_model_load(f"{family}{size}.yaml")["scale"] == size


def test_yolo26_is_trained_and_exported_with_the_head_that_it_is_validated_with(tmp_path: Path) -> None:
    dataset = load_dataset(write_rectangles(tmp_path / "set", pictures={"train": 8, "val": 2, "test": 1}))
    plan = TrainingPlan(
        dataset.folder, dataset.digest, CLASSES, "yolo26n.yaml", epochs=1, image_size=64, batch=4, device="cpu",
        options={"mosaic": 0.0, "plots": False},
    )  # fmt: skip
    trainer = make_trainer("ultralytics")
    trained = trainer.train(plan, tmp_path / "training", TrainingListener())
    exported = trainer.export(trained.checkpoint, tmp_path / "export", (64, 96))
    assert identify(exported).head.name == "yolov8"
    detector = open_detector(exported)
    assert detector.names == CLASSES
    paths = [sample.path for sample in dataset.samples("val")]
    agreement = agreement_of(trainer, trained, detector, paths, (64, 96))
    require_agreement(agreement)
    picture = np.asarray(cv2.imread(str(paths[0]), cv2.IMREAD_COLOR_RGB), np.uint8)
    assert len(detector.detect([picture], confidence=0.0)[0]) > 0

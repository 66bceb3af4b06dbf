"""Detectors that nobody here trained, on pictures that nobody here made."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import camera_counting
from camera_counting.detectors import open_detector
from camera_counting.pictures import read_picture

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def assets() -> Path:
    found = importlib.util.find_spec("ultralytics")
    if found is None or found.origin is None:
        pytest.skip("the pictures lie in the ultralytics package, which is not installed")
    return Path(found.origin).parent / "assets"


@pytest.mark.parametrize(
    ("detector", "classes", "runtime"),
    [
        ("yolo11n_int8_openvino_model", None, "openvino"),
        ("yolox_nano.onnx", "coco", "openvino"),
        ("yolox_nano.onnx", "coco", "onnxruntime"),
    ],
)
def test_people_and_a_bus_are_counted(
    real: Path, assets: Path, detector: str, classes: str | None, runtime: str
) -> None:
    found = open_detector(real / detector, classes=classes, runtime=runtime)
    bus, zidane = found.detect([read_picture(assets / "bus.jpg"), read_picture(assets / "zidane.jpg")])
    assert {name: number for name, number in bus.counts().items() if number} == {"person": 4, "bus": 1}
    assert zidane.counts()["person"] == 2


def test_a_saved_model_counts_the_same(real: Path, assets: Path, tmp_path: Path) -> None:
    camera_counting.save_model(real / "yolo11n_int8_openvino_model", tmp_path / "model")
    model = camera_counting.load_model(tmp_path / "model")
    counts = model.count([assets / "bus.jpg", (assets / "zidane.jpg").read_bytes()], classes=["bus", "person"])
    assert [count.counts for count in counts] == [{"person": 4, "bus": 1}, {"person": 2, "bus": 0}]


@pytest.mark.slow
def test_boxes_are_those_of_ultralytics_own_code(real: Path, assets: Path) -> None:
    from ultralytics import YOLO

    path = real / "yolo11n_int8_openvino_model"
    ours = open_detector(path)
    theirs = YOLO(str(path), task="detect")
    for name in ("bus.jpg", "zidane.jpg"):
        (seen,) = ours.detect([read_picture(assets / name)], 0.25)
        found = theirs.predict(str(assets / name), conf=0.25, iou=0.7, verbose=False)[0].boxes
        # theirs may run in bf16, so what lies at the threshold may fall on either side
        sure = found.conf.numpy() > 0.3
        assert abs(len(seen) - len(found)) <= 1
        for box, score, label in zip(
            found.xyxy.numpy()[sure], found.conf.numpy()[sure], found.cls.numpy()[sure], strict=True
        ):
            off = np.abs(seen.boxes - box).max(axis=1) + 1000 * (seen.class_ids != label)
            assert off.min() < 6, (name, box)
            assert seen.scores[off.argmin()] == pytest.approx(score, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("confidence", [0.001, 0.05, 0.25])
def test_the_same_raw_output_gives_exactly_ultralytics_boxes(real: Path, assets: Path, confidence: float) -> None:
    import torch
    from ultralytics.utils.nms import non_max_suppression

    detector = open_detector(real / "yolo11n_int8_openvino_model")
    picture = read_picture(assets / "bus.jpg")
    raw: list[np.ndarray] = []

    def read(placement, output):
        raw.append(output.copy())
        return placement, detector._decoded(confidence, placement, output)

    ((placement, ours),) = detector.runtime.run([detector._writer(picture)], read)
    (theirs,) = non_max_suppression(torch.from_numpy(raw[0][None]), confidence, 0.7, max_det=300)
    expected = theirs.numpy()
    boxes = placement.to_picture(expected[:, :4])
    assert len(ours) == len(expected)
    np.testing.assert_allclose(ours.scores, expected[:, 4], atol=1e-6)
    # boxes of equal score may come in either order
    ours_rank = np.lexsort([*ours.boxes.round(2).T, -ours.scores])
    their_rank = np.lexsort([*boxes.round(2).T, -expected[:, 4]])
    np.testing.assert_allclose(ours.boxes[ours_rank], boxes[their_rank], atol=0.02)
    np.testing.assert_array_equal(ours.class_ids[ours_rank], expected[their_rank, 5])

"""Evaluations of a real detector that finds coloured rectangles, sound and with planted faults."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toy_detector import build, picture

from camera_counting.detections import Detections
from camera_counting.detectors import open_detector
from counting_evaluator.clip_count import ClipCount
from counting_evaluator.config import ClipTruth, EvaluatorConfig
from counting_evaluator.errors import EvaluationError
from counting_evaluator.evaluation import Evaluation, evaluate_pictures
from counting_evaluator.passes import Detecting
from counting_evaluator.truth import LabelledPicture

OBJECTS = [
    [("person", 20, 30, 60, 110), ("car", 120, 100, 220, 160)],
    [("person", 40, 40, 80, 120), ("person", 160, 20, 200, 100), ("car", 90, 150, 190, 220)],
    [("car", 30, 30, 130, 90)],
    [],
]


class _Faulty:
    """A detector that alters what a sound one saw."""

    def __init__(self, sound: Detecting, fault: str) -> None:
        self.sound, self.fault, self.calls = sound, fault, 0

    def detect(self, images: Sequence[Any], confidence: float | None = None) -> list[Detections]:
        self.calls += len(images)
        return [self._alter(each) for each in self.sound.detect(images, confidence)]

    def _alter(self, seen: Detections) -> Detections:
        if self.fault == "drops cars":
            return seen.of_classes(["person"])
        if self.fault == "takes one class for the other":
            return Detections(seen.boxes, seen.scores, 1 - seen.class_ids, seen.names)
        if self.fault == "counts double":
            shifted = seen.boxes + np.float32(6)
            boxes = np.concatenate([seen.boxes, shifted])
            scores = np.concatenate([seen.scores, seen.scores * np.float32(0.9)])
            return Detections(boxes, scores, np.concatenate([seen.class_ids] * 2), seen.names)
        return seen


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detecting:
    return open_detector(build(tmp_path_factory.mktemp("toy") / "toy.onnx", size=(256, 256)))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledPicture]:
    folder = tmp_path_factory.mktemp("pictures")
    labelled = []
    for number, objects in enumerate(OBJECTS):
        path = folder / f"{number}.png"
        Image.fromarray(picture(256, 240, objects)).save(path)
        boxes = np.array([box for _, *box in objects], np.float32).reshape(-1, 4)
        slices = {"camera_id": f"cam-{number % 2}", "light": "day"}
        labelled.append(LabelledPicture(path, boxes, tuple(name for name, *_ in objects), slices))
    return labelled


def _evaluate(model: Detecting, pictures: Sequence[LabelledPicture], **config: Any) -> Evaluation:
    return evaluate_pictures(
        model,
        pictures,
        EvaluatorConfig.read(config),
        names=("person", "car"),
        confidence=0.5,
        count_clip=lambda clip: ClipCount({"road": {"by_class": {"car": {"in": 3, "out": 0}}}}),
    )


def test_a_sound_detector_makes_no_error(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    metrics = _evaluate(detector, pictures).metrics
    # COCO's mean of 101 precisions reaches 1 only up to rounding
    for name in ("map50", "precision", "recall", "f1", "ap50/person", "ap50/car"):
        assert metrics[f"detection/{name}"] == pytest.approx(1)
    assert metrics["count/mae"] == metrics["count/bias"] == metrics["count/nae"] == 0
    assert metrics["count/exact"] == 1
    assert metrics["pictures"] == 4
    assert metrics["objects"] == 6
    assert 0 < metrics["latency/p50_ms"] <= metrics["latency/p95_ms"]
    assert metrics["throughput/pictures_per_second"] > 0


def test_a_dropped_class_shows(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    metrics = _evaluate(_Faulty(detector, "drops cars"), pictures).metrics
    assert metrics["detection/ap50/car"] == 0
    assert metrics["detection/recall/car"] == 0
    assert metrics["detection/map50"] == pytest.approx(0.5)
    # three of six objects: one each on three of four pictures
    assert metrics["detection/recall"] == pytest.approx(0.5)
    assert metrics["count/mae"] == pytest.approx(3 / 4)
    assert metrics["count/bias"] == pytest.approx(-3 / 4)
    assert metrics["count/mae/person"] == 0


def test_double_counting_shows(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    metrics = _evaluate(_Faulty(detector, "counts double"), pictures).metrics
    assert metrics["detection/precision"] == pytest.approx(0.5)
    assert metrics["detection/recall"] == pytest.approx(1)
    assert metrics["count/bias"] == pytest.approx(6 / 4)
    assert metrics["count/nae"] == pytest.approx(1)


def test_a_confusion_of_classes_shows_though_the_totals_are_right(
    detector: Detecting, pictures: list[LabelledPicture]
) -> None:
    sound = _evaluate(detector, pictures).metrics
    assert (sound["count/mae_by_class"], sound["count/nae_by_class"]) == (0, 0)
    metrics = _evaluate(_Faulty(detector, "takes one class for the other"), pictures).metrics
    assert metrics["count/mae"] == 0, "as many objects as there are"
    # Person and car change places: 1-1 is right all the same, 2-1 is two off, 0-1 is two off, 0-0 nothing.
    assert metrics["count/mae_by_class"] == pytest.approx((0 + 2 + 2 + 0) / 4)
    assert metrics["count/nae_by_class"] == pytest.approx((0 / 2 + 2 / 3 + 2 / 1) / 3)


def test_every_picture_is_detected_once(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    counting = _Faulty(detector, "none")
    _evaluate(counting, pictures)
    assert counting.calls == len(pictures) + 1  # and once on grey, to warm up


def test_slices_have_their_numbers(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    metrics = _evaluate(_Faulty(detector, "drops cars"), pictures).metrics
    # cam-0 has pictures 0 and 2 (one car each missed), cam-1 pictures 1 and 3 (one car missed)
    assert metrics["slice/camera_id/cam-0/n"] == 2
    assert metrics["slice/camera_id/cam-0/count/mae"] == 1
    assert metrics["slice/camera_id/cam-1/count/mae"] == 0.5
    assert metrics["slice/camera_id/cam-0/detection/recall"] == pytest.approx(1 / 3)
    assert metrics["slice/light/day/n"] == 4, "a policy may ask for a slice that all pictures are in"


def test_clips_are_compared(detector: Detecting, pictures: list[LabelledPicture], tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text('{"lines": {"road": {"in": 4, "out": 0, "by_class": {"car": {"in": 4, "out": 0}}}}}')
    clip = ClipTruth(name="a", video=tmp_path / "a.mp4", scene=tmp_path / "a.yaml", truth=truth)
    metrics = _evaluate(detector, pictures, clips=[clip]).metrics
    assert metrics["line/error"] == pytest.approx(0.25)
    assert metrics["line/counted"] == 3
    assert metrics["line/true"] == 4


def test_a_clip_without_truth_is_named(
    detector: Detecting, pictures: list[LabelledPicture], tmp_path: Path
) -> None:
    clip = ClipTruth(name="a", video=tmp_path / "a", scene=tmp_path / "b", truth=tmp_path / "truth.json")
    with pytest.raises(EvaluationError, match=r"clip a: expected JSON with the key 'lines' in .*truth\.json"):
        _evaluate(detector, pictures, clips=[clip])


def test_unknown_labels_are_named(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    strange = LabelledPicture(pictures[0].path, pictures[0].boxes, ("person", "tram"))
    with pytest.raises(EvaluationError, match="labels name tram, the model knows person, car"):
        _evaluate(detector, [strange])
    # naming the classes that both know leaves the others out, on both sides
    assert _evaluate(detector, [strange], classes=["person"]).metrics["detection/recall"] == 1


def test_a_missing_or_wrong_picture_is_named(detector: Detecting, tmp_path: Path) -> None:
    missing = LabelledPicture(tmp_path / "gone.png", np.array([[0, 0, 9, 9]], np.float32), ("car",))
    with pytest.raises(EvaluationError, match=r"gone\.png, it cannot be read"):
        _evaluate(detector, [missing])
    Image.fromarray(picture(64, 48, [])).save(tmp_path / "small.png")
    outside = LabelledPicture(tmp_path / "small.png", np.array([[0, 0, 200, 9]], np.float32), ("car",))
    with pytest.raises(EvaluationError, match="outside the picture of 64x48"):
        _evaluate(detector, [outside])


def test_the_table_says_what_happened_on_each_picture(
    detector: Detecting, pictures: list[LabelledPicture]
) -> None:
    table = _evaluate(_Faulty(detector, "drops cars"), pictures).table
    assert table["error"].tolist() == [1, 1, 1, 0]
    assert set(table[table.image == "1.png"].iloc[0][["true", "counted", "true_car", "counted_car"]]) == {
        3,
        2,
        1,
        0,
    }

"""Detection figures against hand-worked cases and pycocotools' own summary."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from camera_counting.detections import Detections
from counting_evaluator.detection import evaluate_detection
from counting_evaluator.errors import EvaluationError
from counting_evaluator.truth import LabelledPicture

NAMES = ("person", "car")


def _picture(*objects: tuple[str, list[float]]) -> LabelledPicture:
    boxes = np.array([box for _, box in objects], np.float32).reshape(-1, 4)
    return LabelledPicture(Path("none.jpg"), boxes, tuple(name for name, _ in objects))


def _found(*objects: tuple[str, list[float], float]) -> Detections:
    return Detections.of(
        [box for _, box, _ in objects], [score for *_, score in objects],
        [NAMES.index(name) for name, *_ in objects], NAMES,
    )  # fmt: skip


LEFT, RIGHT, AWAY = [0, 0, 10, 10], [20, 0, 30, 10], [60, 60, 70, 70]


@pytest.mark.parametrize(
    ("truth", "seen", "precision", "recall", "f1"),
    [
        ([("person", LEFT)], [("person", LEFT, 0.9)], 1, 1, 1),
        # one of two is found, and one thing that is not there
        ([("person", LEFT), ("person", RIGHT)], [("person", LEFT, 0.9), ("person", AWAY, 0.8)], 0.5, 0.5, 0.5),
        # counted twice: the second box is false
        ([("person", LEFT)], [("person", LEFT, 0.9), ("person", [0, 0, 10, 9], 0.8)], 0.5, 1, 2 / 3),
        # below the confidence of 0.5: not seen
        ([("person", LEFT), ("car", RIGHT)], [("person", LEFT, 0.9), ("car", RIGHT, 0.4)], 1, 0.5, 2 / 3),
        # the right place, the wrong class
        ([("person", LEFT), ("car", RIGHT)], [("person", LEFT, 0.9), ("person", RIGHT, 0.9)], 0.5, 0.5, 0.5),
        # an overlap of 5/15: less than a half is no match
        ([("person", LEFT)], [("person", [5, 0, 15, 10], 0.9)], 0, 0, 0),
    ],
)
def test_rates_worked_out_by_hand(
    truth: list[tuple[str, list[float]]],
    seen: list[tuple[str, list[float], float]],
    precision: float,
    recall: float,
    f1: float,
) -> None:
    metrics = evaluate_detection([_picture(*truth)], [_found(*seen)], NAMES, 0.5).metrics
    assert metrics["precision"] == pytest.approx(precision)
    assert metrics["recall"] == pytest.approx(recall)
    assert metrics["f1"] == pytest.approx(f1)


def test_average_precision_worked_out_by_hand() -> None:
    # By score: hit, miss, hit of two true boxes. Precision 1 to recall 0.5, then 2/3: (51 + 50 * 2/3) / 101.
    pictures = [_picture(("person", LEFT), ("person", RIGHT))]
    found = [_found(("person", LEFT, 0.9), ("person", AWAY, 0.8), ("person", RIGHT, 0.7))]
    metrics = evaluate_detection(pictures, found, ["person"], 0.5).metrics
    assert metrics["map50"] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert metrics["map50"] == metrics["ap50/person"]


def test_a_dropped_class_shows_as_zero_and_an_absent_one_does_not() -> None:
    pictures = [_picture(("person", LEFT), ("car", RIGHT))]
    found = [_found(("person", LEFT, 0.9))]
    metrics = evaluate_detection(pictures, found, NAMES, 0.5).metrics
    assert metrics["ap50/car"] == 0
    assert metrics["map50"] == pytest.approx(0.5)
    assert metrics["recall/car"] == 0
    only_persons = evaluate_detection([_picture(("person", LEFT))], found, NAMES, 0.5)
    assert "ap50/car" not in only_persons.metrics
    assert only_persons.metrics["map50"] == pytest.approx(1)


def test_nothing_true_and_nothing_found_gives_no_figure() -> None:
    assert evaluate_detection([_picture()], [_found()], NAMES, 0.5).metrics == {}


def test_pictures_and_detections_must_be_as_many() -> None:
    with pytest.raises(EvaluationError, match="detections for 2 pictures, got 1"):
        evaluate_detection([_picture(), _picture()], [_found()], NAMES, 0.5)


def _random_case(seed: int) -> tuple[list[LabelledPicture], list[Detections]]:
    rng = np.random.default_rng(seed)
    pictures, found = [], []
    for _ in range(12):
        corners = rng.uniform(0, 80, (rng.integers(0, 7), 2))
        true = np.concatenate([corners, corners + rng.uniform(8, 30, corners.shape)], axis=1)
        classes = rng.integers(0, 2, len(true))
        pictures.append(_picture(*((NAMES[c], box.tolist()) for c, box in zip(classes, true, strict=True))))
        kept = rng.random(len(true)) < 0.8
        seen = true[kept] + rng.normal(0, 2, true[kept].shape)
        ids = np.where(rng.random(kept.sum()) < 0.9, classes[kept], 1 - classes[kept])
        clutter = rng.uniform(0, 60, (rng.integers(0, 4), 2))
        boxes = np.concatenate([seen, np.concatenate([clutter, clutter + 15], axis=1)])
        numbers = np.concatenate([ids, rng.integers(0, 2, len(clutter))])
        found.append(Detections.of(boxes, rng.uniform(0.05, 1, len(boxes)), numbers, NAMES))
    return pictures, found


def _coco(picture: int, class_id: int, box: list[float]) -> dict[str, object]:
    x1, y1, x2, y2 = box
    size = [x2 - x1, y2 - y1]
    area = size[0] * size[1]
    return {"image_id": picture, "category_id": class_id + 1, "bbox": [x1, y1, *size], "area": area}


def _coco_summary(pictures: list[LabelledPicture], found: list[Detections]) -> tuple[float, float]:
    """mAP50-95 and mAP50 as pycocotools prints them, from COCO JSON written out here."""
    annotations, results = [], []
    for number, (picture, seen) in enumerate(zip(pictures, found, strict=True), 1):
        for label, box in zip(picture.labels, picture.boxes.tolist(), strict=True):
            entry = _coco(number, NAMES.index(label), box)
            annotations.append({**entry, "id": len(annotations) + 1, "iscrowd": 0})
        for box, score, class_id in zip(seen.boxes.tolist(), seen.scores, seen.class_ids, strict=True):
            results.append({**_coco(number, int(class_id), box), "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": number} for number in range(1, len(pictures) + 1)],
            "categories": [{"id": 1}, {"id": 2}],
            "annotations": annotations,
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


@pytest.mark.parametrize("seed", range(5))
def test_map_agrees_with_pycocotools_summary(seed: int) -> None:
    pictures, found = _random_case(seed)
    metrics = evaluate_detection(pictures, found, NAMES, 0.5).metrics
    map50_95, map50 = _coco_summary(pictures, found)
    assert metrics["map50_95"] == pytest.approx(map50_95, abs=1e-12)
    assert metrics["map50"] == pytest.approx(map50, abs=1e-12)


@pytest.mark.parametrize("confidence", [0.1, 0.5, 0.8])
def test_rates_agree_with_a_matching_of_our_own(confidence: float) -> None:
    """Greedy matching written out naively, on detections cut off at the confidence beforehand."""
    pictures, found = _random_case(7)
    hits = detections = true = 0
    for picture, seen in zip(pictures, found, strict=True):
        taken: set[int] = set()
        true += len(picture.labels)
        for number in np.argsort(-seen.scores):
            if seen.scores[number] < confidence:
                continue
            detections += 1
            best, partner = 0.5, None
            for index, (label, box) in enumerate(zip(picture.labels, picture.boxes, strict=True)):
                overlap = _iou(seen.boxes[number], box)
                if label == NAMES[seen.class_ids[number]] and index not in taken and overlap >= best:
                    best, partner = overlap, index
            if partner is not None:
                taken.add(partner)
                hits += 1
    metrics = evaluate_detection(pictures, found, NAMES, confidence).metrics
    assert metrics["precision"] == pytest.approx(hits / detections)
    assert metrics["recall"] == pytest.approx(hits / true)


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)

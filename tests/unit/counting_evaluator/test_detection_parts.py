"""Areas under precision, sizes of objects, and precision of some of the pictures, against independent workings."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import average_precision_score

from camera_counting.detections import Detections
from counting_evaluator.confusion import confusion_matrix
from counting_evaluator.counting import count_table
from counting_evaluator.detection import evaluate_detection
from counting_evaluator.truth import LabelledPicture

NAMES = ("person", "car")
# pycocotools' own areas, whose borders no random box hits
AREAS = {"small": [0, 32**2], "medium": [32**2, 96**2], "large": [96**2, 1e10]}


def _case(seed: int, pictures: int = 30) -> tuple[list[LabelledPicture], list[Detections]]:
    """Objects of all sizes; some are missed, some are taken for the other class, some are nothing."""
    rng = np.random.default_rng(seed)
    labelled, found = [], []
    for number in range(pictures):
        objects = int(rng.integers(0, 6))
        corners = rng.uniform(0, 400, (objects, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(10, 150, (objects, 2))], axis=1).astype(np.float32)
        ids = rng.integers(0, 2, objects)
        labelled.append(LabelledPicture(Path(f"{number}.jpg"), boxes, tuple(NAMES[i] for i in ids)))
        kept = rng.random(objects) < 0.8
        seen = boxes[kept] + rng.normal(0, 3, (kept.sum(), 4))
        confused = np.where(rng.random(kept.sum()) < 0.85, ids[kept], 1 - ids[kept])
        clutter = rng.uniform(0, 400, (int(rng.integers(0, 3)), 2))
        nothing = np.concatenate([clutter, clutter + 40], axis=1)
        # scores of two digits, so that some of them tie
        scores = rng.uniform(0.05, 1, len(seen) + len(nothing)).round(2)
        classes = np.concatenate([confused, rng.integers(0, 2, len(nothing))])
        found.append(Detections.of(np.concatenate([seen, nothing]), scores, classes, NAMES))
    return labelled, found


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_scikit_learns_corrected_for_what_was_never_found(seed: int) -> None:
    pictures, found = _case(seed)
    result = evaluate_detection(pictures, found, NAMES, 0.5)
    for name in NAMES:
        matches = result.matches[name]
        area = average_precision_score(matches.correct, matches.score) * matches.correct.sum() / matches.true.sum()
        assert result.metrics[f"pr_auc/{name}"] == pytest.approx(area, abs=1e-12)
    of_classes = [result.metrics[f"pr_auc/{name}"] for name in NAMES]
    assert result.metrics["pr_auc"] == pytest.approx(sum(of_classes) / 2)


def test_the_area_worked_out_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [60, 60, 70, 70]], np.float32)
    picture = LabelledPicture(Path("a.jpg"), boxes, ("car",) * 3)
    # A hit, a miss, and a hit of three: half of the step to a third at precision 1, and one at 2/3.
    seen = Detections.of([boxes[0], [80, 80, 90, 90], boxes[1]], [0.9, 0.8, 0.7], [1, 1, 1], NAMES)
    assert evaluate_detection([picture], [seen], ["car"], 0.5).metrics["pr_auc"] == pytest.approx((1 + 2 / 3) / 3)
    # The miss and the second hit with the same score: which one is first cannot be told, so they make one step.
    tied = Detections.of(seen.boxes, [0.9, 0.8, 0.8], [1, 1, 1], NAMES)
    assert evaluate_detection([picture], [tied], ["car"], 0.5).metrics["pr_auc"] == pytest.approx((1 + 2 / 3) / 3)
    # Both hits tied with the miss: two of three at once.
    all_tied = Detections.of(seen.boxes, [0.8, 0.8, 0.8], [1, 1, 1], NAMES)
    metrics = evaluate_detection([picture], [all_tied], ["car"], 0.5).metrics
    assert metrics["pr_auc"] == pytest.approx(2 / 3 * 2 / 3)


def _coco_by_size(pictures: list[LabelledPicture], found: list[Detections]) -> dict[str, tuple[float, float]]:
    """AP at IoU 0.5 and over all IoUs, per size, by pycocotools from COCO JSON written out here."""
    truth, results = [], []
    for number, (picture, seen) in enumerate(zip(pictures, found, strict=True), 1):
        for label, (x1, y1, x2, y2) in zip(picture.labels, picture.boxes.tolist(), strict=True):
            truth.append(
                {
                    "id": len(truth) + 1, "image_id": number, "category_id": NAMES.index(label), "iscrowd": 0,
                    "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1),
                }
            )  # fmt: skip
        for (x1, y1, x2, y2), score, number_of in zip(
            seen.boxes.tolist(), seen.scores.tolist(), seen.class_ids.tolist(), strict=True
        ):
            box = [x1, y1, x2 - x1, y2 - y1]
            results.append({"image_id": number, "category_id": number_of, "bbox": box, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": number} for number in range(1, len(pictures) + 1)],
            "categories": [{"id": number} for number in range(len(NAMES))],
            "annotations": truth,
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.params.maxDets = [1, 10, 1000]
        evaluation.evaluate()
        evaluation.accumulate()
    figures = {}
    for index, size in enumerate(AREAS, 1):
        precision = evaluation.eval["precision"][:, :, :, index, 2]
        at_half = precision[0][precision[0] > -1]
        figures[size] = (float(at_half.mean()), float(precision[precision > -1].mean()))
    return figures


@pytest.mark.parametrize("seed", range(3))
def test_sizes_agree_with_pycocotools(seed: int) -> None:
    pictures, found = _case(seed, 60)
    result = evaluate_detection(pictures, found, NAMES, 0.5)
    for size, (map50, map50_95) in _coco_by_size(pictures, found).items():
        assert result.by_size[size]["map50"] == pytest.approx(map50, abs=1e-12)
        assert result.by_size[size]["map50_95"] == pytest.approx(map50_95, abs=1e-12)
    assert sum(figures["n"] for figures in result.by_size.values()) == sum(len(p.labels) for p in pictures)
    hits = sum(figures["n"] * figures["recall"] for figures in result.by_size.values())
    assert hits == pytest.approx(sum(each.tally(0.5)[0] for each in result.matches.values()))


def test_small_ones_that_are_missed_show_at_their_size() -> None:
    boxes = np.array([[0, 0, 20, 20], [100, 100, 132, 132], [200, 200, 300, 300]], np.float32)
    picture = LabelledPicture(Path("a.jpg"), boxes, ("car", "car", "person"))
    seen = Detections.of(boxes[1:], [0.9, 0.9], [1, 0], NAMES)
    by_size = evaluate_detection([picture], [seen], NAMES, 0.5).by_size
    assert {size: (figures["n"], figures["recall"]) for size, figures in by_size.items()} == {
        "small": (1, 0), "medium": (1, 1), "large": (1, 1),
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_the_precision_of_weighted_pictures_is_that_of_the_pictures_repeated(seed: int) -> None:
    pictures, found = _case(seed, 12)
    matches = evaluate_detection(pictures, found, NAMES, 0.5).matches
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(pictures)))
    weights = np.concatenate([np.ones((1, len(pictures)), int), weights])
    for row, *areas in zip(weights, *(matches[name].average_precision(weights) for name in NAMES), strict=True):
        order = np.repeat(np.arange(len(pictures)), row)
        repeated = evaluate_detection([pictures[i] for i in order], [found[i] for i in order], NAMES, 0.5).metrics
        assert areas == pytest.approx([repeated[f"ap50/{name}"] for name in NAMES], abs=1e-12)


def test_pictures_without_a_true_object_have_no_precision() -> None:
    pictures, found = _case(1)
    matches = evaluate_detection(pictures, found, NAMES, 0.5).matches["car"]
    assert np.isnan(matches.average_precision((matches.true == 0)[None])).all()


def test_confusion_worked_out_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]], np.float32)
    picture = LabelledPicture(Path("a.jpg"), boxes, ("person", "car", "car", "tram"))
    seen = Detections.of(
        # the person; the first car for a person; a car where nothing is; the second car, too faint; the tram
        [boxes[0], boxes[1], [80, 0, 90, 10], boxes[2], boxes[3]],
        [0.9, 0.8, 0.7, 0.3, 0.9], [0, 0, 1, 1, 1], NAMES,
    )  # fmt: skip
    matches = evaluate_detection([picture], [seen], NAMES, 0.5).matches
    assert confusion_matrix([picture], [seen], matches, 0.5).tolist() == [
        [1, 0, 0],  # the person
        [1, 0, 1],  # one car for a person, one not found
        [0, 2, 0],  # a car where nothing is, and one where there is what nobody evaluates
    ]


@pytest.mark.parametrize("seed", range(3))
def test_the_confusion_holds_every_object_and_every_detection_once(seed: int) -> None:
    pictures, found = _case(seed)
    matches = evaluate_detection(pictures, found, NAMES, 0.4).matches
    matrix = confusion_matrix(pictures, found, matches, 0.4)
    tallies = [matches[name].tally(0.4) for name in NAMES]
    assert np.diag(matrix)[:-1].tolist() == [hits for hits, *_ in tallies]
    assert matrix[:-1].sum(axis=1).tolist() == [hits + missed for hits, _, missed in tallies]
    assert matrix[:, :-1].sum(axis=0).tolist() == [hits + false for hits, false, _ in tallies]
    assert min(matrix[0, 1], matrix[1, 0]) > 0, "the case confuses both ways"


@pytest.mark.parametrize("confidence", [0.1, 0.3, 0.7, 0.9])
def test_a_score_that_is_the_confidence_counts_in_every_figure(confidence: float) -> None:
    box = np.array([[10, 10, 60, 60]], np.float32)
    pictures = [LabelledPicture(Path("a.jpg"), box, ("car",))]
    found = [Detections.of(box, [confidence], [1], NAMES)]
    assert count_table(found, NAMES, confidence).tolist() == [[0, 1]]
    result = evaluate_detection(pictures, found, NAMES, confidence)
    assert result.matches["car"].tally(confidence) == (1, 0, 0)
    assert result.by_size["medium"]["recall"] == 1
    assert confusion_matrix(pictures, found, result.matches, confidence)[1].tolist() == [0, 1, 0]

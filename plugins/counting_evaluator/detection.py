"""Detection figures: the matching and the precision tables are pycocotools', the sums over them are here."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from camera_counting.detections import Detections
from counting_evaluator.errors import EvaluationError
from counting_evaluator.truth import LabelledPicture

__all__ = ["DetectionResult", "Matches", "evaluate_detection"]

# COCO's 100 would cut off a crowd.
_MAX_DETECTIONS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """How the detections of one class fit the truth at an IoU of 0.5, each box matched once, best score first.

    Parameters
    ----------
    picture : int64 array of shape (D,)
        The picture that each detection is of.
    score : float64 array of shape (D,)
        Its score.
    correct : bool array of shape (D,)
        Whether it matched a true box.
    true : int64 array of shape (pictures,)
        How many true boxes each picture has.
    """

    picture: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    correct: npt.NDArray[np.bool_]
    true: npt.NDArray[np.int64]

    def tally(self, confidence: float, pictures: npt.NDArray[np.bool_] | None = None) -> tuple[int, int, int]:
        """True positives, false positives and false negatives at a confidence, over all or a mask of pictures."""
        chosen = self.score >= confidence
        true = self.true
        if pictures is not None:
            chosen = chosen & pictures[self.picture]
            true = true[pictures]
        hits = int((chosen & self.correct).sum())
        return hits, int(chosen.sum()) - hits, int(true.sum()) - hits


@dataclass(frozen=True, slots=True, eq=False)
class DetectionResult:
    """Detection figures of a set of pictures.

    Parameters
    ----------
    metrics : dict
        ``map50``, ``map50_95``, ``precision``, ``recall``, ``f1`` and per class ``ap50/<class>`` ...
    matches : dict of class to Matches
    curves : dict of class to float64 array of shape (101,)
        Precision at the recalls 0, 0.01 ... 1 at an IoU of 0.5; classes without a true box are left out.
    """

    metrics: dict[str, float]
    matches: dict[str, Matches]
    curves: dict[str, npt.NDArray[np.float64]]


def evaluate_detection(
    pictures: Sequence[LabelledPicture],
    found: Sequence[Detections],
    classes: Sequence[str],
    confidence: float,
) -> DetectionResult:
    """Hold what was found against the truth.

    Parameters
    ----------
    pictures, found : sequences of the same length
        The truth, and all that was detected, down to a low score.
    classes : sequence of str
        The classes that are evaluated; others are ignored on both sides.
    confidence : float
        The score from which on precision, recall and F1 take a detection for one.

    Notes
    -----
    mAP50 and mAP50-95 are COCO's AP at IoU 0.5 and its mean over 0.5:0.05:0.95 (https://cocodataset.org/#detection-eval),
    101 recall points, areas of all sizes, but with up to 1000 detections a picture instead of 100. A class without
    a true box has no AP and is left out of the mean.
    """
    if len(pictures) != len(found):
        raise EvaluationError(f"expected detections for {len(pictures)} pictures, got {len(found)}")
    coco = _run_coco(pictures, found, classes)
    matches = {name: _matches(coco, number, pictures, name) for number, name in enumerate(classes)}
    precision = coco.eval["precision"][:, :, :, 0, 0]  # IoU, recall, class
    metrics: dict[str, float] = {
        "map50": _mean(precision[0]),
        "map50_95": _mean(precision),
    }
    metrics |= _rates([matches[name].tally(confidence) for name in classes])
    curves = {}
    for number, name in enumerate(classes):
        if not matches[name].true.sum():
            continue
        curves[name] = precision[0, :, number]
        metrics[f"ap50/{name}"] = _mean(precision[0, :, number])
        metrics[f"ap50_95/{name}"] = _mean(precision[:, :, number])
        of_class = _rates([matches[name].tally(confidence)])
        metrics |= {f"{key}/{name}": value for key, value in of_class.items()}
    return DetectionResult({key: value for key, value in metrics.items() if np.isfinite(value)}, matches, curves)


def _rates(tallies: Sequence[tuple[int, int, int]]) -> dict[str, float]:
    """Precision, recall and F1 over all objects together (micro average); nan where nothing divides."""
    hits, false, missed = (sum(column) for column in zip(*tallies, strict=True))
    return {
        "precision": hits / (hits + false) if hits + false else float("nan"),
        "recall": hits / (hits + missed) if hits + missed else float("nan"),
        "f1": 2 * hits / (2 * hits + false + missed) if hits + false + missed else float("nan"),
    }


def _mean(precision: npt.NDArray[np.float64]) -> float:
    valid = precision[precision > -1]
    return float(valid.mean()) if valid.size else float("nan")


def _run_coco(
    pictures: Sequence[LabelledPicture], found: Sequence[Detections], classes: Sequence[str]
) -> COCOeval:
    ids = {name: number for number, name in enumerate(classes)}
    truth = [
        _annotation(len_before, number, ids[label], box)
        for len_before, (number, label, box) in enumerate(
            (number, label, box)
            for number, picture in enumerate(pictures)
            for label, box in zip(picture.labels, picture.boxes, strict=True)
            if label in ids
        )
    ]
    seen = [
        _annotation(0, number, ids[each.names[class_id]], box) | {"score": float(score)}
        for number, each in enumerate(found)
        for class_id, box, score in zip(each.class_ids, each.boxes, each.scores, strict=True)
        if each.names[class_id] in ids
    ]
    # It tells of its progress on standard output.
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = {
            "images": [{"id": number} for number in range(len(pictures))],
            "categories": [{"id": number} for number in ids.values()],
            "annotations": truth,
        }
        reference.createIndex()
        detected = COCO()
        detected.dataset = reference.dataset | {
            "annotations": [each | {"id": number} for number, each in enumerate(seen, 1)]
        }
        detected.createIndex()
        coco = COCOeval(reference, detected, "bbox")
        coco.params.areaRng = [[0, 1e10]]
        coco.params.areaRngLbl = ["all"]
        coco.params.maxDets = [_MAX_DETECTIONS]
        coco.evaluate()
        coco.accumulate()
    return coco


def _annotation(number: int, picture: int, class_id: int, box: npt.NDArray[np.float32]) -> dict[str, object]:
    x1, y1, x2, y2 = (float(value) for value in box)
    width, height = x2 - x1, y2 - y1
    return {
        "id": number + 1,  # pycocotools takes the id 0 for "not matched"
        "image_id": picture,
        "category_id": class_id,
        "bbox": [x1, y1, width, height],
        "area": width * height,
        "iscrowd": 0,
    }


def _matches(coco: COCOeval, class_id: int, pictures: Sequence[LabelledPicture], name: str) -> Matches:
    """What pycocotools matched for one class at IoU 0.5, taken out of its per-picture records."""
    numbers: list[int] = []
    scores: list[float] = []
    correct: list[bool] = []
    # One area range, so its records are ordered class by class, picture by picture.
    for record in coco.evalImgs[class_id * len(pictures) : (class_id + 1) * len(pictures)]:
        if record is None:  # nothing true and nothing found
            continue
        numbers += [record["image_id"]] * len(record["dtScores"])
        scores += record["dtScores"]
        correct += (record["dtMatches"][0] > 0).tolist()
    return Matches(
        np.array(numbers, np.int64),
        np.array(scores, np.float64),
        np.array(correct, np.bool_),
        np.array([picture.labels.count(name) for picture in pictures], np.int64),
    )

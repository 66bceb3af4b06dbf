"""Detection figures: the matching and the precision tables are pycocotools', the sums over them are here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from camera_counting.detections import Detections
from counting_evaluator.coco import SIZES, run_coco
from counting_evaluator.errors import EvaluationError
from counting_evaluator.matches import Matches
from counting_evaluator.truth import LabelledPicture

__all__ = ["DetectionResult", "Matches", "evaluate_detection", "rates"]


@dataclass(frozen=True, slots=True, eq=False)
class DetectionResult:
    """Detection figures of a set of pictures.

    Parameters
    ----------
    metrics : dict
        ``map50``, ``map50_95``, ``pr_auc``, ``precision``, ``recall``, ``f1`` and per class ``ap50/<class>`` ...
    by_size : dict of size to dict
        ``n`` true boxes of this size, ``recall``, ``map50`` and ``map50_95``; no size without a true box.
    matches : dict of class to Matches
    curves : dict of class to float64 array of shape (101,)
        Precision at the recalls 0, 0.01 ... 1 at an IoU of 0.5; classes without a true box are left out.
    """

    metrics: dict[str, float]
    by_size: dict[str, dict[str, float]]
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
    mAP50 and mAP50-95 are COCO's AP at IoU 0.5 and its mean over 0.5:0.05:0.95
    (https://cocodataset.org/#detection-eval),
    101 recall points, areas of all sizes, but with up to 1000 detections a picture instead of 100. PR-AUC is the
    area under the same curve at IoU 0.5 without interpolation (`Matches.pr_auc`). A class without a true box has
    neither and is left out of the means. Small, medium and large are COCO's areas, below 32x32, below 96x96 and
    above, in pixels of the picture.
    """
    if len(pictures) != len(found):
        raise EvaluationError(f"expected detections for {len(pictures)} pictures, got {len(found)}")
    coco = run_coco(pictures, found, classes)
    matches = dict(zip(classes, coco.matches, strict=True))
    areas = {name: each.pr_auc() for name, each in matches.items() if each.true.sum()}
    metrics: dict[str, float] = {
        "map50": _mean(coco.precision[0]),
        "map50_95": _mean(coco.precision),
        "pr_auc": float(np.mean(list(areas.values()))) if areas else float("nan"),
    }
    metrics |= rates([matches[name].tally(confidence) for name in classes])
    curves = {}
    for number, name in enumerate(classes):
        if name not in areas:
            continue
        curves[name] = coco.precision[0, :, number]
        metrics[f"ap50/{name}"] = _mean(coco.precision[0, :, number])
        metrics[f"ap50_95/{name}"] = _mean(coco.precision[:, :, number])
        metrics[f"pr_auc/{name}"] = areas[name]
        of_class = rates([matches[name].tally(confidence)])
        metrics |= {f"{key}/{name}": value for key, value in of_class.items()}
    return DetectionResult(
        {key: value for key, value in metrics.items() if np.isfinite(value)},
        _by_size(pictures, matches, coco.by_size, confidence),
        matches,
        curves,
    )


def rates(tallies: Sequence[tuple[int, int, int]]) -> dict[str, float]:
    """Precision, recall and F1 over all objects together (micro average); nan where nothing divides.

    Examples
    --------
    Three hits, one false detection, two objects missed:

    >>> rates([(3, 1, 2)])
    {'precision': 0.75, 'recall': 0.6, 'f1': 0.6666666666666666}
    """
    hits, false, missed = (sum(column) for column in zip(*tallies, strict=True))
    return {
        "precision": hits / (hits + false) if hits + false else float("nan"),
        "recall": hits / (hits + missed) if hits + missed else float("nan"),
        "f1": 2 * hits / (2 * hits + false + missed) if hits + false + missed else float("nan"),
    }


def _mean(precision: npt.NDArray[np.float64]) -> float:
    valid = precision[precision > -1]
    return float(valid.mean()) if valid.size else float("nan")


def _by_size(
    pictures: Sequence[LabelledPicture],
    matches: dict[str, Matches],
    precision: dict[str, npt.NDArray[np.float64]],
    confidence: float,
) -> dict[str, dict[str, float]]:
    areas, hit = [], []
    for picture in pictures:
        evaluated = np.array([label in matches for label in picture.labels], bool)
        x1, y1, x2, y2 = picture.boxes.astype(np.float64).T
        areas.append(np.where(evaluated, (x2 - x1) * (y2 - y1), np.nan))
        hit.append(np.zeros(len(picture.labels), bool))
    for each in matches.values():
        chosen = each.correct & each.taken(confidence)
        for number, partner in zip(each.picture[chosen].tolist(), each.partner[chosen].tolist(), strict=True):
            hit[number][partner] = True
    area, seen = np.concatenate([[], *areas]), np.concatenate([np.zeros(0, bool), *hit])
    figures = {}
    for name, (least, most) in SIZES.items():
        mine = (area >= least) & (area <= most)
        if mine.any():
            figures[name] = {
                "n": float(mine.sum()),
                "recall": float(seen[mine].mean()),
                "map50": _mean(precision[name][0]),
                "map50_95": _mean(precision[name]),
            }
    return figures

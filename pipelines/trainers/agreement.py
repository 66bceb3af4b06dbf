"""Does the exported detector see what the trained one saw? Two lists of detections, held against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from camera_counting.detections import Detections
from pipelines.trainers.trainer import TrainingError

__all__ = ["Agreement", "box_iou", "compare_detections", "require_agreement"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well two detectors agree on the same pictures.

    Parameters
    ----------
    pictures, boxes : int
        How many were compared; boxes of both sides, so that neither may see more than the other.
    unmatched : int
        Boxes without a partner of the same class that overlaps by at least 0.5.
    least_iou : float
        The worst overlap of two partners; 1 where there are none.
    score_difference : float
        The largest difference of two partners' scores.
    confidence : float
        The score from which on a box had to have a partner.
    """

    pictures: int
    boxes: int
    unmatched: int
    least_iou: float
    score_difference: float
    confidence: float = 0.1

    def metrics(self) -> dict[str, float]:
        """As figures of a run."""
        return {
            "export/boxes": float(self.boxes),
            "export/unmatched": float(self.unmatched),
            "export/least_iou": self.least_iou,
            "export/score_difference": self.score_difference,
            "export/confidence": self.confidence,
        }


def compare_detections(
    original: Sequence[Detections], exported: Sequence[Detections], confidence: float
) -> Agreement:
    """Pair the boxes of two detectors.

    Parameters
    ----------
    original, exported : sequences of the same length
        What each saw, down to a score well below `confidence`: a box just above the threshold may find its
        partner just below.
    confidence : float
        The score from which on a box must have a partner.

    Examples
    --------
    >>> one = Detections.of([[0, 0, 10, 10]], [0.9], [0], ["car"])
    >>> two = Detections.of([[0, 0, 10, 8]], [0.85], [0], ["car"])
    >>> agreement = compare_detections([one], [two], 0.5)
    >>> agreement.boxes, agreement.unmatched, agreement.least_iou, round(agreement.score_difference, 3)
    (2, 0, 0.8, 0.05)
    """
    boxes, unmatched = 0, 0
    overlaps: list[float] = [1.0]
    differences: list[float] = [0.0]
    for one, two in zip(original, exported, strict=True):
        for these, those in ((one, two), (two, one)):
            for number in np.flatnonzero(these.scores >= confidence):
                boxes += 1
                same = np.flatnonzero(those.class_ids == these.class_ids[number])
                ious = box_iou(these.boxes[number], those.boxes[same])
                if not len(ious) or ious.max() < 0.5:
                    unmatched += 1
                    continue
                overlaps.append(float(ious.max()))
                partner = same[int(ious.argmax())]
                differences.append(abs(float(these.scores[number]) - float(those.scores[partner])))
    return Agreement(len(original), boxes, unmatched, min(overlaps), max(differences), confidence)


def require_agreement(agreement: Agreement, *, least_iou: float = 0.9, score_difference: float = 0.05) -> None:
    """Refuse an export that sees other things than what was trained.

    Raises
    ------
    TrainingError
        With the figures, where a box lost its partner, overlaps less than `least_iou`, or its score moved by more
        than `score_difference`; or where there was no box, which shows nothing.
    """
    if not agreement.boxes:
        raise TrainingError(
            "expected boxes to hold the exported detector against the trained one by, neither saw one of a score "
            f"of at least {agreement.confidence:g} on {agreement.pictures} validation pictures: train longer, or "
            "look at the labels; nothing is registered"
        )
    if agreement.unmatched or agreement.least_iou < least_iou or agreement.score_difference > score_difference:
        raise TrainingError(
            f"the exported detector does not see what the trained one saw: of {agreement.boxes} boxes on "
            f"{agreement.pictures} pictures {agreement.unmatched} have no partner, the least overlap is "
            f"{agreement.least_iou:.3f} (at least {least_iou} expected), the largest difference of scores "
            f"{agreement.score_difference:.3f} (at most {score_difference} expected); nothing is registered"
        )


def box_iou(box: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Overlap (intersection over union) of one box (4,) with others (N, 4), shape (N,)."""
    a, b = np.asarray(box, np.float64), np.asarray(others, np.float64).reshape(-1, 4)
    size = np.clip(np.minimum(a[2:], b[:, 2:]) - np.maximum(a[:2], b[:, :2]), 0, None)
    common = size[:, 0] * size[:, 1]
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)

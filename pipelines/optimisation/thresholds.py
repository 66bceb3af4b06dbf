"""The score from which on a detection counts, fitted on the validation split, and how well it then counts.

A threshold looks best on the pictures that it was fitted on. So each picture is counted at the threshold that the
pictures of the other blocks gave: what is compared is how well the fitting works, not how well it remembers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from camera_counting.detections import Detections
from counting_evaluator import LabelledPicture, best_confidence, count_errors
from counting_evaluator.counting import count_table, true_counts
from pipelines.datasets.manifest import Sample

__all__ = ["COUNT_ERRORS", "Fitted", "blocks_of", "count_figures", "fit"]

COUNT_ERRORS = (
    "count/mae", "count/rmse", "count/nae", "count/wape", "count/mae_by_class", "count/nae_by_class",
)  # fmt: skip
"""The figures that are known of a validation split; of all of them less is better."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model's threshold, and its count errors.

    Parameters
    ----------
    confidence : float
        Fitted on all pictures.
    figures : dict
        `COUNT_ERRORS`, each picture counted at the threshold that the other blocks gave.
    """

    confidence: float
    figures: dict[str, float]


def blocks_of(samples: Sequence[Sample], blocks: int = 5) -> npt.NDArray[np.int64]:
    """The block of each picture, shape (pictures,): neighbours in time of one camera, being alike, share one."""
    order = sorted(
        range(len(samples)),
        key=lambda i: (samples[i].camera or "", str(samples[i].time or ""), str(samples[i].path)),
    )
    found = np.zeros(len(samples), np.int64)
    for number, members in enumerate(np.array_split(np.array(order, np.int64), min(blocks, len(samples)))):
        found[members] = number
    return found


def fit(
    pictures: Sequence[LabelledPicture],
    found: Sequence[Detections],
    classes: Sequence[str],
    blocks: npt.NDArray[np.int64],
) -> Fitted:
    """Fit the threshold at which the counts are nearest to the truth.

    Parameters
    ----------
    pictures, found : sequences of the same length
        The truth, and all that was detected, down to a low score.
    classes : sequence of str
        Those that are annotated.
    blocks : int64 array of shape (pictures,)
        See `blocks_of`.

    Raises
    ------
    EvaluationError
        Where there is no true object.
    """
    confidence = best_confidence(pictures, found, classes)
    counted = count_table(found, classes, confidence)
    true = true_counts(pictures, classes)
    for block in np.unique(blocks):
        here = blocks == block
        if true[~here].sum():  # else there is nothing to fit on but all of them
            others = np.flatnonzero(~here).tolist()
            given = best_confidence([pictures[i] for i in others], [found[i] for i in others], classes)
            counted[here] = count_table([found[i] for i in np.flatnonzero(here).tolist()], classes, given)
    return Fitted(confidence, count_figures(counted, true))


def count_figures(counted: npt.NDArray[np.int64], true: npt.NDArray[np.int64]) -> dict[str, float]:
    """`COUNT_ERRORS` of counts of shape (pictures, classes); those that nothing divides are left out.

    Examples
    --------
    >>> count_figures(np.array([[2, 0]]), np.array([[1, 1]]))["count/mae_by_class"]
    2.0
    """
    total = true.sum(axis=1)
    together = count_errors(counted.sum(axis=1), total)
    by_class = count_errors(total + np.abs(counted - true).sum(axis=1), total)
    figures = {f"count/{name}": value for name, value in together.items()}
    figures |= {f"count/{name}_by_class": value for name, value in by_class.items()}
    return {name: figures[name] for name in COUNT_ERRORS if name in figures}

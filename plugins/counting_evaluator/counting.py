"""Count figures per picture, and the confidence at which a model counts best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from camera_counting.detections import Detections
from counting_evaluator.errors import EvaluationError
from counting_evaluator.truth import LabelledPicture

__all__ = ["best_confidence", "confidence_errors", "count_errors", "count_table", "true_counts"]


def true_counts(pictures: Sequence[LabelledPicture], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """How many there are, shape (pictures, classes)."""
    return np.array([picture.count(classes) for picture in pictures], np.int64).reshape(-1, len(classes))


def count_table(found: Sequence[Detections], classes: Sequence[str], confidence: float) -> npt.NDArray[np.int64]:
    """How many were counted, shape (pictures, classes); classes that the model does not know are zero."""
    picture, number, score = _flat(found, classes)
    chosen = score >= np.float32(confidence)
    cells = picture[chosen] * len(classes) + number[chosen]
    return np.bincount(cells, minlength=len(found) * len(classes)).astype(np.int64).reshape(-1, len(classes))


def _flat(
    found: Sequence[Detections], classes: Sequence[str]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Picture, class (as a number among `classes`) and score of all detections of these classes."""
    pictures: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
    numbers: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
    scores: list[npt.NDArray[np.float32]] = [np.zeros(0, np.float32)]
    place = {name: number for number, name in enumerate(classes)}
    for picture, each in enumerate(found):
        own = np.array([place.get(name, -1) for name in each.names], np.int64)[each.class_ids]
        wanted = own >= 0
        pictures.append(np.full(int(wanted.sum()), picture, np.int64))
        numbers.append(own[wanted])
        scores.append(each.scores[wanted])
    return np.concatenate(pictures), np.concatenate(numbers), np.concatenate(scores)


def count_errors(counted: npt.ArrayLike, true: npt.ArrayLike) -> dict[str, float]:
    """How far counts are off.

    Parameters
    ----------
    counted, true : integer arrays of shape (pictures,)

    Returns
    -------
    dict
        ``mae`` mean absolute error; ``rmse`` root of the mean squared error; ``bias`` mean of counted - true
        (above zero: counts too many); ``nae`` mean of absolute error / true over pictures that are not empty
        (NWPU-Crowd, Wang et al. 2020, arXiv:2001.03360; left out where all are empty); ``wape`` sum of absolute
        errors / sum of true (left out likewise); ``exact`` share of the pictures whose count is right.

    Examples
    --------
    >>> {name: round(value, 3) for name, value in count_errors([4, 2, 1], [4, 4, 0]).items()}
    {'mae': 1.0, 'rmse': 1.291, 'bias': -0.333, 'exact': 0.333, 'nae': 0.25, 'wape': 0.375}
    """
    difference = np.asarray(counted, np.float64) - np.asarray(true, np.float64)
    reference = np.asarray(true, np.float64)
    if not difference.size:
        raise EvaluationError("expected counts of at least one picture, got none")
    absolute = np.abs(difference)
    errors = {
        "mae": float(absolute.mean()),
        "rmse": float(np.sqrt((difference**2).mean())),
        "bias": float(difference.mean()),
        "exact": float((difference == 0).mean()),
    }
    filled = reference > 0
    if filled.any():
        errors["nae"] = float((absolute[filled] / reference[filled]).mean())
        errors["wape"] = float(absolute.sum() / reference.sum())
    return errors


def best_confidence(
    pictures: Sequence[LabelledPicture],
    found: Sequence[Detections],
    classes: Sequence[str],
    *,
    least: float = 0.05,
    most: float = 0.95,
    step: float = 0.01,
) -> float:
    """The confidence at which the counts are nearest to the truth, class by class.

    The error of a confidence is the sum over pictures and classes of |counted - true|. It is smoothed over
    three neighbours, since a lone dip is luck, and of the confidences that tie the middle one is taken: the
    threshold then stands as far as possible from where counts go wrong.

    Use it on a validation split, never on the split that is evaluated.

    Parameters
    ----------
    pictures, found : sequences of the same length
    classes : sequence of str
    least, most, step : float
        The confidences that are tried.

    Raises
    ------
    EvaluationError
        Where there is no true object to count.
    """
    if not true_counts(pictures, classes).sum():
        raise EvaluationError("expected pictures with objects to choose a confidence from, all are empty")
    candidates, errors = confidence_errors(pictures, found, classes, least=least, most=most, step=step)
    padded = np.pad(errors, 1, mode="edge")
    smooth = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    ties = np.flatnonzero(smooth == smooth.min())
    # Ties can lie apart: the longest run of neighbours is the safest ground.
    runs = np.split(ties, np.flatnonzero(np.diff(ties) > 1) + 1)
    run = max(runs, key=len)
    return float(candidates[run[len(run) // 2]])


def confidence_errors(
    pictures: Sequence[LabelledPicture],
    found: Sequence[Detections],
    classes: Sequence[str],
    *,
    least: float = 0.05,
    most: float = 0.95,
    step: float = 0.01,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The confidences from `least` to `most`, and the sum of |counted - true| over all pictures and classes."""
    true = true_counts(pictures, classes)
    candidates = np.round(np.arange(least, most + step / 2, step), 6)
    picture, number, score = _flat(found, classes)
    # A detection counts at all candidates up to its score. As scores are compared everywhere else: as float32.
    passed = np.searchsorted(candidates.astype(np.float32), score, side="right")
    errors = np.zeros(len(candidates))
    for column in range(len(classes)):
        mine = number == column
        cells = picture[mine] * (len(candidates) + 1) + passed[mine]
        table = np.bincount(cells, minlength=len(found) * (len(candidates) + 1)).reshape(len(found), -1)
        counted = table[:, ::-1].cumsum(axis=1)[:, -2::-1]
        errors += np.abs(counted - true[:, column : column + 1]).sum(axis=0)
    return candidates, errors

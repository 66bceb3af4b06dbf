"""The same figures for every camera, light and weather, each with its number of pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from counting_evaluator.counting import count_errors
from counting_evaluator.detection import Matches
from counting_evaluator.truth import LabelledPicture

__all__ = ["slice_metrics"]

# A column with more values than this (a time, an id) is no slice: a figure per picture says nothing.
_MOST_VALUES = 24


def slice_metrics(
    pictures: Sequence[LabelledPicture],
    matches: Sequence[Matches],
    counted: npt.NDArray[np.int64],
    true: npt.NDArray[np.int64],
    confidence: float,
) -> dict[str, float]:
    """Figures per slice.

    Parameters
    ----------
    pictures : sequence of LabelledPicture
    matches : sequence of Matches
        One per class.
    counted, true : integer arrays of shape (pictures,)
        Totals over classes.
    confidence : float
        The score that takes a detection for one.

    Returns
    -------
    dict
        ``slice/<column>/<value>/n``, ``.../count/mae``, ``.../count/bias``, ``.../detection/precision`` and
        ``.../detection/recall``. A column with a single value, or with more than 24, is left out.
    """
    metrics: dict[str, float] = {}
    for column in sorted({name for picture in pictures for name in picture.slices}):
        values = np.array([picture.slices.get(column, "") for picture in pictures])
        distinct = sorted(set(values.tolist()) - {""})
        if not 2 <= len(distinct) <= _MOST_VALUES:
            continue
        for value in distinct:
            mask = values == value
            prefix = f"slice/{_metric_name(column)}/{_metric_name(value)}"
            errors = count_errors(counted[mask], true[mask])
            tallies = [each.tally(confidence, mask) for each in matches]
            hits, false, missed = (sum(column) for column in zip(*tallies, strict=True))
            metrics[f"{prefix}/n"] = float(mask.sum())
            metrics[f"{prefix}/count/mae"] = errors["mae"]
            metrics[f"{prefix}/count/bias"] = errors["bias"]
            if hits + false:
                metrics[f"{prefix}/detection/precision"] = hits / (hits + false)
            if hits + missed:
                metrics[f"{prefix}/detection/recall"] = hits / (hits + missed)
    return metrics


def _metric_name(text: str) -> str:
    """Without what MLflow refuses in a metric's name."""
    return re.sub(r"[^\w.\- ]", "_", text)

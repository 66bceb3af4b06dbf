"""Who is who: overlaps of boxes, and the assignment of detections to tracks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

__all__ = ["assign", "overlaps", "without_duplicates"]

_FORBIDDEN = 1e6


def overlaps(a: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Intersection over union of boxes (N, 4) and (M, 4), as (N, M).

    Examples
    --------
    >>> overlaps([[0, 0, 10, 10]], [[0, 5, 10, 15], [20, 0, 30, 10]]).round(3)
    array([[0.333, 0.   ]])
    """
    p, q = np.asarray(a, np.float64).reshape(-1, 4), np.asarray(b, np.float64).reshape(-1, 4)
    wide = np.minimum(p[:, None, 2], q[None, :, 2]) - np.maximum(p[:, None, 0], q[None, :, 0])
    high = np.minimum(p[:, None, 3], q[None, :, 3]) - np.maximum(p[:, None, 1], q[None, :, 1])
    common = np.maximum(wide, 0) * np.maximum(high, 0)
    areas_p = (p[:, 2] - p[:, 0]) * (p[:, 3] - p[:, 1])
    areas_q = (q[:, 2] - q[:, 0]) * (q[:, 3] - q[:, 1])
    return np.asarray(common / np.maximum(areas_p[:, None] + areas_q[None, :] - common, 1e-9))


def without_duplicates(
    boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32], most: float
) -> npt.NDArray[np.bool_]:
    """Mask (N,) that leaves one of any boxes that overlap by more than `most`, whatever their classes.

    A detector's suppression works class by class; a van then is a car and a truck at once, and would count twice.
    """
    keep = np.ones(len(scores), bool)
    if len(scores) < 2:
        return keep
    overlap = np.triu(overlaps(boxes, boxes) > most, 1)
    if not overlap.any():
        return keep
    overlap |= overlap.T
    for i in np.argsort(-scores, kind="stable"):
        if keep[i]:
            overlap[i, i] = False
            keep &= ~overlap[i]
    return keep


def assign(
    cost: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns that belong together: as many allowed pairs as can be, at the least total cost.

    D. F. Crouse: On implementing 2D rectangular assignment algorithms (2016), as in SciPy.
    """
    if not allowed.any():
        nothing = np.zeros(0, np.intp)
        return nothing, nothing
    rows, columns = linear_sum_assignment(np.where(allowed, cost, _FORBIDDEN))
    good = allowed[rows, columns]
    return rows[good], columns[good]

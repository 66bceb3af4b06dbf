"""Who is who: overlaps of boxes, and the assignment of detections to tracks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from camera_counting.detections import Detections
from camera_counting.geometry import box_areas, common_areas, shares_covered

__all__ = ["assign", "overlaps", "shadows", "without_duplicates"]


def overlaps(a: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Intersection over union of boxes (N, 4) and (M, 4), as (N, M).

    Examples
    --------
    >>> overlaps([[0, 0, 10, 10]], [[0, 5, 10, 15], [20, 0, 30, 10]]).round(3)
    array([[0.333, 0.   ]])
    """
    p, q = np.asarray(a, np.float64).reshape(-1, 4), np.asarray(b, np.float64).reshape(-1, 4)
    common = common_areas(p, q)
    return np.asarray(common / np.maximum(box_areas(p)[:, None] + box_areas(q)[None, :] - common, 1e-9))


def without_duplicates(detections: Detections, same_class: float, other_class: float) -> npt.NDArray[np.bool_]:
    """Mask (N,) that leaves one of any detections that overlap by more than `same_class` or `other_class`.

    A detector's suppression works class by class; a van then is a car and a truck at once, and would count twice.
    """
    keep = np.ones(len(detections), bool)
    if len(keep) < 2:
        return keep
    same = detections.class_ids[:, None] == detections.class_ids[None]
    most = np.where(same, same_class, np.where(detections.may_be_confused(), other_class, 1.0))
    overlap = overlaps(detections.boxes, detections.boxes) > most
    np.fill_diagonal(overlap, False)
    if not overlap.any():
        return keep
    for i in np.argsort(-detections.scores, kind="stable"):
        if keep[i]:
            keep &= ~overlap[i]
    return keep


def shadows(detections: Detections, strength: npt.NDArray[np.float64], cover: float) -> npt.NDArray[np.bool_]:
    """Mask (N,) of detections that lie, by a share of at least `cover`, within one of more `strength` (N,).

    A part of an object, or its double under another class, is seen like that for all its life; an object that is
    hidden by another one only for a while.
    """
    if len(detections) < 2:
        return np.zeros(len(detections), bool)
    within = shares_covered(detections.boxes.astype(np.float64)) >= cover
    within &= strength[:, None] < strength[None]
    return np.asarray((within & detections.may_be_confused()).any(1))


def assign(
    cost: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_], no_match: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns that belong together: allowed pairs, at the least total cost.

    A row and a column that stay alone cost `no_match`; a pair that costs as much is none.

    D. F. Crouse: On implementing 2D rectangular assignment algorithms (2016), as in SciPy.
    """
    if not allowed.any():
        nothing = np.zeros(0, np.intp)
        return nothing, nothing
    allowed = allowed & (cost < no_match)
    rows, columns = linear_sum_assignment(np.where(allowed, cost, no_match))
    good = allowed[rows, columns]
    return rows[good], columns[good]

"""Which class was taken for which, and for nothing at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from camera_counting.detections import Detections
from counting_evaluator.matches import Matches
from counting_evaluator.truth import LabelledPicture

__all__ = ["confusion_matrix"]

_IOU = 0.5


def confusion_matrix(
    pictures: Sequence[LabelledPicture],
    found: Sequence[Detections],
    matches: Mapping[str, Matches],
    confidence: float,
) -> npt.NDArray[np.int64]:
    """Objects by their true class and the one they were taken for, at a confidence and an IoU of 0.5.

    On the diagonal stand the hits of `Matches`, so precision and recall can be read off. What is left of true
    boxes and detections is matched across classes, the pair with the largest overlap first, each box once.

    Parameters
    ----------
    pictures, found : sequences of the same length
    matches : dict of class to Matches
    confidence : float

    Returns
    -------
    int64 array of shape (classes + 1, classes + 1)
        Rows: the true class; columns: the class found. The last row is background taken for an object, the last
        column objects that were not found; where both meet nothing can be counted, and it is 0.
    """
    classes = list(matches)
    matrix = np.zeros((len(classes) + 1, len(classes) + 1), np.int64)
    true_left = [
        {place: classes.index(label) for place, label in enumerate(picture.labels) if label in matches}
        for picture in pictures
    ]
    found_left: list[dict[int, int]] = [{} for _ in pictures]
    for number, each in enumerate(matches.values()):
        chosen = each.taken(confidence)
        rows = (each.picture, each.detection, each.partner)
        for picture, detection, partner in zip(*(row[chosen].tolist() for row in rows), strict=True):
            if partner < 0:
                found_left[picture][detection] = number
            else:
                matrix[number, number] += 1
                del true_left[picture][partner]
    for picture, detections, true, seen in zip(pictures, found, true_left, found_left, strict=True):
        for place, detection in _pairs(picture.boxes, detections.boxes, list(true), list(seen)):
            matrix[true.pop(place), seen.pop(detection)] += 1
        for number in true.values():
            matrix[number, -1] += 1
        for number in seen.values():
            matrix[-1, number] += 1
    return matrix


def _pairs(
    true: npt.NDArray[np.float32], seen: npt.NDArray[np.float32], places: list[int], detections: list[int]
) -> list[tuple[int, int]]:
    """Pairs that overlap enough, the largest overlap first, each box once."""
    if not places or not detections:
        return []
    a, b = true[places].astype(np.float64)[:, None], seen[detections].astype(np.float64)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = sides.clip(min=0).prod(axis=-1)
    areas = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1)
    overlap = common / np.maximum(areas - common, np.finfo(float).tiny)
    pairs: list[tuple[int, int]] = []
    taken: tuple[set[int], set[int]] = (set(), set())
    for index in np.argsort(-overlap, axis=None, kind="stable").tolist():
        row, column = divmod(index, len(detections))
        if overlap[row, column] < _IOU:
            break
        if row not in taken[0] and column not in taken[1]:
            taken[0].add(row)
            taken[1].add(column)
            pairs.append((places[row], detections[column]))
    return pairs

"""GAME: whether the count is right in each part of the picture, not only on the whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from camera_counting.detections import Detections
from counting_evaluator.truth import LabelledPicture

__all__ = ["grid_errors"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def grid_errors(
    pictures: Sequence[LabelledPicture],
    found: Sequence[Detections],
    classes: Sequence[str],
    confidence: float,
    sizes: Ints,
    level: int,
) -> Ints:
    """Sum of |counted - true| over the cells of a grid of 2^level by 2^level, per picture.

    An object belongs to the cell in which the centre of its box lies. All classes together. The mean over the
    pictures is the Grid Average Mean absolute Error: GAME(0) is the mean absolute error of the counts; the finer
    the grid, the less does an object that was missed here make up for one that was imagined there.

    Source: Guerrero-Gomez-Olmedo et al., "Extremely Overlapping Vehicle Counting", IbPRIA 2015.

    Parameters
    ----------
    pictures, found : sequences of the same length
    classes : sequence of str
        Others are left out.
    confidence : float
        The score that counts.
    sizes : int64 array of shape (pictures, 2)
        Width and height of each picture.
    level : int
        From 0, the whole picture, on.

    Returns
    -------
    int64 array of shape (pictures,)
    """
    grid = 2**level
    true = [picture.of_classes(classes).boxes for picture in pictures]
    seen = [each.of_classes(classes).at_least(confidence).boxes for each in found]
    difference = _cells(seen, sizes, grid) - _cells(true, sizes, grid)
    return np.asarray(np.abs(difference).sum(axis=1), np.int64)


def _cells(boxes: Sequence[npt.NDArray[np.float32]], sizes: Ints, grid: int) -> Ints:
    """How many centres lie in each cell, shape (pictures, grid * grid)."""
    picture = np.repeat(np.arange(len(boxes)), [len(each) for each in boxes])
    all_boxes = np.concatenate([np.zeros((0, 4)), *boxes])
    centres = (all_boxes[:, :2] + all_boxes[:, 2:]) / 2
    # A box that is cut by the picture's edge may have its centre on it.
    column, row = np.clip((centres / sizes[picture] * grid).astype(np.int64), 0, grid - 1).T
    cells = (picture * grid + row) * grid + column
    return np.bincount(cells, minlength=len(boxes) * grid * grid).reshape(-1, grid * grid)

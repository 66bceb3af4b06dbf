"""Non-maximum suppression: of boxes of one class that overlap, the best scored stays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from camera_counting.geometry import box_areas, common_areas

__all__ = ["suppress"]

_BLOCK = 128


def suppress(
    boxes: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    class_ids: npt.NDArray[np.int64],
    iou: float,
    at_most: int,
) -> npt.NDArray[np.int64]:
    """Indices of the boxes that stay, best scored first.

    Greedy and class-aware, as Ultralytics and YOLOX do it: a box goes where a better scored one of its own class
    overlaps it by more than `iou`. It ends with the `at_most`-th box kept, however many thousands there are.

    Parameters
    ----------
    boxes : float32 array of shape (N, 4)
        x1, y1, x2, y2.
    scores : float32 array of shape (N,)
    class_ids : int64 array of shape (N,)
    iou : float
        Intersection over union above which two boxes are one object.
    at_most : int
        How many stay at most.

    Examples
    --------
    >>> boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 10]], np.float32)
    >>> suppress(boxes, np.array([0.8, 0.9, 0.7], np.float32), np.array([0, 0, 1]), 0.7, 300).tolist()
    [1, 2]
    """
    order = np.argsort(-scores, kind="stable")
    areas = box_areas(boxes)
    kept: list[int] = []
    # all pairs of a block at once, as long as they are few; what a block keeps is held against the rest
    while order.size and len(kept) < at_most:
        block, order = order[:_BLOCK], order[_BLOCK:]
        covers = _covers(boxes, areas, class_ids, block, block, iou)
        gone = np.zeros(len(block), bool)
        stay: list[int] = []
        for i in range(len(block)):
            if not gone[i]:
                stay.append(i)
                gone |= covers[i]
        stay = stay[: at_most - len(kept)]
        kept += block[stay].tolist()
        if order.size:
            order = order[~_covers(boxes, areas, class_ids, block[stay], order, iou).any(axis=0)]
    return np.array(kept, np.int64)


def _covers(
    boxes: npt.NDArray[np.float32],
    areas: npt.NDArray[np.float32],
    class_ids: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    iou: float,
) -> npt.NDArray[np.bool_]:
    """Mask (rows, columns) of the pairs that are one object."""
    overlap = common_areas(boxes[rows], boxes[columns])
    union = areas[rows, None] + areas[columns] - overlap
    return np.asarray((overlap > iou * union) & (class_ids[rows, None] == class_ids[columns]))

"""Non-maximum suppression: of boxes of one class that overlap, the best scored stays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from camera_counting.geometry import box_areas, common_areas

__all__ = ["suppress"]


def suppress(
    boxes: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    class_ids: npt.NDArray[np.int64],
    iou: float,
    at_most: int,
) -> npt.NDArray[np.int64]:
    """Indices of the boxes that stay, best scored first.

    Greedy and class-aware, as Ultralytics and YOLOX do it: a box goes where a better scored one of its own class
    overlaps it by more than `iou`. The loop ends with the `at_most`-th box kept, so thousands of candidates cost
    no more than that many passes.

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
    while order.size and len(kept) < at_most:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        if not order.size:
            break
        (overlap,) = common_areas(boxes[best : best + 1], boxes[order])
        same = class_ids[order] == class_ids[best]
        union = areas[order] + areas[best] - overlap
        order = order[~(same & (overlap > iou * union))]
    return np.array(kept, np.int64)

"""Boxes as lines and zones see them: points that stand for objects, with the yardstick of each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from camera_counting.counting.events import Observation
from camera_counting.geometry import borders_touched
from camera_counting.scene import Anchor

__all__ = ["Sightings", "anchors"]

_Array = npt.NDArray[np.float64]

# So near to the border of the frame, relative to its longer side, a box may be cut by it.
_SLACK = 0.01


class Sightings:
    """The boxes (N, 4) of one frame in a picture of `size` (width, height), as points by anchor."""

    def __init__(self, boxes: _Array, size: tuple[float, float] | None, seconds: float, frame: int) -> None:
        self._boxes, self._seconds, self._frame = boxes, seconds, frame
        extents = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        self._sizes = np.sqrt(np.maximum(extents, 1.0)).tolist()
        self._at_border = _at_border(boxes, size).tolist()
        self._by_anchor: dict[Anchor, tuple[_Array, list[Observation]]] = {}

    def at(self, anchor: Anchor) -> tuple[_Array, list[Observation]]:
        """The points (N, 2) and the observations of this anchor; worked out once."""
        if anchor not in self._by_anchor:
            points = anchors(self._boxes, anchor)
            self._by_anchor[anchor] = (
                points,
                [
                    Observation(x, y, size, self._seconds, self._frame, border)
                    for (x, y), size, border in zip(points.tolist(), self._sizes, self._at_border, strict=True)
                ],
            )
        return self._by_anchor[anchor]


def _at_border(boxes: _Array, size: tuple[float, float] | None) -> npt.NDArray[np.bool_]:
    if size is None:
        return np.zeros(len(boxes), bool)
    return np.asarray(borders_touched(boxes, size, _SLACK).any(1))


def anchors(boxes: _Array, anchor: Anchor) -> _Array:
    """The anchor points (N, 2) of boxes (N, 4).

    Examples
    --------
    >>> anchors(np.array([[10.0, 20, 30, 80]]), Anchor.BOTTOM)
    array([[20., 80.]])
    """
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    match anchor:
        case Anchor.BOTTOM:
            y = boxes[:, 3]
        case Anchor.TOP:
            y = boxes[:, 1]
        case Anchor.LEFT:
            x = boxes[:, 0]
        case Anchor.RIGHT:
            x = boxes[:, 2]
        case Anchor.CENTER:
            pass
    return np.stack([x, y], axis=1)

"""What moves before a fixed camera: each pixel against what was slowly learned of the place.

The place is the median of some pictures that lie seconds apart: what passes is in few of them, and leaves no ghost
where it was. M. Piccardi: Background subtraction techniques, a review (IEEE SMC 2004), calls it temporal median.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["Background"]

_Mask = npt.NDArray[np.bool_]
_Pictures = npt.NDArray[np.uint8]

# The picture is looked at in this size: enough for a person of six pixels in a frame of 640.
_LONGER_SIDE = 320
# How many pictures the median is taken of; the seconds between them, at first and later; and how many seconds the
# place must have been looked at before it is known.
_PICTURES = 21
_FIRST_GAP, _LATER_GAP = 0.2, 3.0
_LEARNING_SECONDS = 2.0
# What differs by this many times the usual change of that pixel, and by so many grey levels, is something else.
_TIMES, _LEVELS = 4.0, 6.0
# If so much of the picture differs, it is the light or the camera that has changed: it is learned anew.
_ANOTHER_PLACE = 0.7


class Background:
    """The empty place before one camera.

    Examples
    --------
    >>> background = Background()
    >>> for i in range(30):
    ...     moving = background.update(np.full((180, 320, 3), 90, np.uint8), i / 10)
    >>> scene = np.full((180, 320, 3), 90, np.uint8)
    >>> scene[100:140, 50:70] = 200
    >>> moving = background.update(scene, 3.0)
    >>> moving.shape, int(moving.sum()) >= 40 * 20, bool(moving[0, 0])
    ((180, 320), True, False)
    """

    def __init__(self) -> None:
        self._began = self._last = self._taken = 0.0
        self._begin(0.0)

    def update(
        self, image: npt.NDArray[np.uint8], seconds: float, hidden: npt.NDArray[np.float64] | None = None
    ) -> _Mask | None:
        """Take in one frame.

        Parameters
        ----------
        image : uint8 array of shape (H, W, 3)
        seconds : float
            Time of the frame; a clock that jumps back begins anew.
        hidden : float array of shape (N, 4), optional
            Boxes (corners in pixels of the image) where something is known to stand before the place: what was
            known of the place there is kept.

        Returns
        -------
        bool array of shape (h, w), or None
            What differs from the place, in a picture whose longer side is at most 320; None while the place is not
            known: at the start, and when the light or the view has changed.
        """
        height, width = image.shape[:2]
        factor = min(1.0, _LONGER_SIDE / max(height, width))
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        # the mean of neighbours: at night, a sensor's noise is larger than somebody in dark clothes
        small = np.asarray(cv2.blur(cv2.resize(image, size, interpolation=cv2.INTER_AREA), (3, 3)), np.uint8)
        resized = bool(self._pictures) and small.shape != self._pictures[0].shape
        if resized or seconds < self._last:
            self._begin(seconds)
        self._last = seconds
        known = seconds - self._began >= _LEARNING_SECONDS and len(self._pictures) > 2
        differs = self._differs(small) if known else None
        if differs is not None and differs.mean() > _ANOTHER_PLACE:
            self._begin(seconds)
            differs = None
        gap = _FIRST_GAP if len(self._pictures) < _PICTURES else _LATER_GAP
        if not self._pictures or seconds - self._taken >= gap:
            self._take(small, differs, hidden, factor)
            self._taken = seconds
        return differs

    def _begin(self, seconds: float) -> None:
        self._pictures: list[_Pictures] = []
        self._place = np.zeros((0, 0, 3), np.uint8)
        self._usual = np.zeros((0, 0), np.float32)
        self._began = self._last = self._taken = seconds

    def _differs(self, small: _Pictures) -> _Mask:
        difference = cv2.absdiff(small, self._place).max(axis=2)
        return np.asarray(difference > self._usual)

    def _take(
        self, small: _Pictures, differs: _Mask | None, hidden: npt.NDArray[np.float64] | None, factor: float
    ) -> None:
        """One more picture of the place, and what it is by now."""
        if hidden is not None and differs is not None:
            small = small.copy()
            for x1, y1, x2, y2 in np.maximum(hidden * factor, 0).astype(int).tolist():
                small[y1 : y2 + 1, x1 : x2 + 1] = self._place[y1 : y2 + 1, x1 : x2 + 1]
        self._pictures = [*self._pictures[-(_PICTURES - 1) :], small]
        stack = np.stack(self._pictures)
        middle = len(stack) // 2
        self._place = np.partition(stack, middle, axis=0)[middle]
        # the median of the changes, which what passes does not raise; 1.48 of them are a standard deviation
        changes = np.abs(stack.astype(np.int16) - self._place).max(axis=3)
        self._usual = np.maximum(1.48 * _TIMES * np.partition(changes, middle, axis=0)[middle], _LEVELS)

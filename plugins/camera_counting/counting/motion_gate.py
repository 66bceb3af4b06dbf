"""Whether anything has moved since the last detection, told from small copies of the frames.

A small copy averages the sensor's noise and the compression's away. It is compared with that of the frame that was
detected last, not with the one before, so that what moves slowly adds up. What changes everywhere alike (a cloud,
the camera's exposure) is no motion; what flickers everywhere (noise in the dark) raises the threshold; where it
is raised so far that an object could hide, it counts as motion.
"""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from camera_counting.counting.visible_part import Part

__all__ = ["MotionGate", "Moved"]

Moved = Literal["nothing", "known", "something"]

_Small = npt.NDArray[np.int16]

# A small copy has about so many columns: an object of 20 pixels in a frame of 640 is five of them wide.
_COLUMNS = 160
# Grey levels by which the mean of 3 x 3 small pixels must differ, and how many times the typical change of one: a
# mean of nine varies by a third of what one does, and the largest of thousands by four of its deviations.
_LEAST, _NOISES = 3.0, 2.0
# A limit above which nothing can be told.
_MOST = 16.0
# Around an object that is known, what it may have covered or left since: parts of its sides, and small pixels.
_AROUND, _BESIDES = 0.25, 2


class MotionGate:
    """Compares frames with the one that was detected last.

    Parameters
    ----------
    size : (width, height)
        Of the frames, in pixels.
    part : (x1, y1, x2, y2), optional
        The part of the frames that matters.

    Examples
    --------
    >>> gate = MotionGate((320, 240))
    >>> picture = np.full((240, 320, 3), 90, np.uint8)
    >>> gate.remember(picture)
    >>> gate.has_moved(picture + 5)  # it got lighter
    False
    >>> picture[100:130, 200:212] = 140
    >>> gate.has_moved(picture)
    True
    >>> gate.moved(picture, np.array([[198, 98, 214, 132]]))
    'known'
    """

    def __init__(self, size: tuple[int, int], part: Part | None = None) -> None:
        x1, y1, x2, y2 = part or (0, 0, *size)
        # whole numbers of pixels are averaged, which is many times faster than parts of them
        self._step = step = max(1, round(size[0] / _COLUMNS))
        self._small = max(1, (x2 - x1) // step), max(1, (y2 - y1) // step)
        self._rows = slice(y1, y1 + min(self._small[1] * step, y2 - y1))
        self._columns = slice(x1, x1 + min(self._small[0] * step, x2 - x1))
        self._reference: _Small | None = None
        self._compared: _Small | None = None

    def remember(self, image: npt.NDArray[np.uint8]) -> None:
        """This frame is detected: compare the next ones with it."""
        self._reference = self._copy(image)

    def remember_compared(self) -> None:
        """The frame that was compared last is detected: compare the next ones with it."""
        self._reference = self._compared

    def forget(self) -> None:
        """What was detected last is none of these frames: the next one counts as moved."""
        self._reference = None

    def has_moved(self, image: npt.NDArray[np.uint8]) -> bool:
        """Whether anything differs from the frame that was detected last."""
        return self.moved(image) != "nothing"

    def moved(self, image: npt.NDArray[np.uint8], known: npt.NDArray[np.float64] | None = None) -> Moved:
        """What differs from the frame that was detected last.

        Parameters
        ----------
        image : uint8 array of shape (H, W, 3)
            RGB.
        known : float64 array of shape (N, 4), optional
            x1, y1, x2, y2 in pixels of the frames: objects that may move without being news.

        Returns
        -------
        "nothing", "known" (only those and what is close to them) or "something"
        """
        self._compared = small = self._copy(image)
        if self._reference is None:
            return "something"
        change = small - self._reference
        change -= np.median(change[::4, ::4].reshape(-1, 3), axis=0).astype(np.int16)
        red, green, blue = cv2.split(np.abs(change, out=change))
        strength = cv2.max(cv2.max(red, green), blue)
        typical = float(np.median(strength[::4, ::4]))
        limit = _LEAST + _NOISES * typical
        # so much change everywhere is no noise (a crowd, a bus close by, a camera that shakes), or hides an object
        if limit > _MOST:
            return "something"
        blurred = cv2.blur(strength, (3, 3))
        if blurred.max() <= limit:
            return "nothing"
        if known is None:
            return "something"
        for x1, y1, x2, y2 in self._grown(known):
            blurred[y1:y2, x1:x2] = 0
        return "something" if blurred.max() > limit else "known"

    def _grown(self, boxes: npt.NDArray[np.float64]) -> list[list[int]]:
        """Boxes in pixels of the frames, with room around them, in pixels of the small copy."""
        corner = np.array([self._columns.start, self._rows.start] * 2)
        around = _AROUND * np.tile(boxes[:, 2:] - boxes[:, :2], 2) * (-1, -1, 1, 1)
        small = (boxes + around - corner) / self._step + np.array([-1, -1, 1, 1]) * _BESIDES
        small[:, :2], small[:, 2:] = np.floor(small[:, :2]), np.ceil(small[:, 2:])
        told: list[list[int]] = small.clip(0).astype(int).tolist()
        return told

    def _copy(self, image: npt.NDArray[np.uint8]) -> _Small:
        small: npt.NDArray[Any] = image[self._rows, self._columns]
        # halves are averaged three times as fast as other parts are
        step = self._step
        while step % 2 == 0 and small.shape[0] % 2 == 0 and small.shape[1] % 2 == 0:
            half = small.shape[1] // 2, small.shape[0] // 2
            small, step = cv2.resize(small, half, interpolation=cv2.INTER_AREA), step // 2
        if small.shape[1::-1] != self._small:
            small = cv2.resize(small, self._small, interpolation=cv2.INTER_AREA)
        return small.astype(np.int16)

"""How soon to look again: as many detections as the motion needs, and no more.

A tracker joins two sightings of an object safely while it has moved by less than a part of its own size between
them, so the fastest object relative to its size sets the pace; objects that have just come, whose speed nobody
knows yet, are looked at more often.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from camera_counting.tracking.base import Tracks

__all__ = ["Stride"]

# Sightings after which an object's speed is known.
_KNOWN = 0
# An object out of sight for longer is nobody's pace.
_GONE_SECONDS = 1.0
# How much of the newest speed counts; boxes jitter.
_FRESH = 0.5


class Stride:
    """The time until the next detection.

    Parameters
    ----------
    most_seconds : float
        The longest.
    reach : float
        How far an object may move meanwhile, as a part of its size (the square root of its box's area).

    Examples
    --------
    >>> stride = Stride(most_seconds=0.2, reach=0.5)
    >>> stride.interval()
    0.2
    """

    def __init__(self, most_seconds: float, reach: float) -> None:
        self._most, self._reach = most_seconds, reach
        # of each track: its box, when it was seen, how often, and its speed in own sizes per second
        self._last: dict[int, tuple[npt.NDArray[np.float64], float, int, float]] = {}
        self._interval = most_seconds

    def interval(self) -> float:
        """Seconds from the last detection to the next one."""
        return self._interval

    def seen(self, tracks: Tracks, seconds: float) -> None:
        """Take in what was seen in a frame."""
        boxes = tracks.boxes.astype(np.float64)
        for track, box in zip(tracks.ids.tolist(), boxes, strict=True):
            before = self._last.get(track)
            if before is None or seconds <= before[1]:
                self._last[track] = (box, seconds, 1, 0.0)
                continue
            last, when, times, speed = before
            size = max(float(np.sqrt(max((box[2] - box[0]) * (box[3] - box[1]), 1.0))), 1.0)
            # the edge that moves most: a box that the picture's border cuts off has a centre that hardly moves
            now = float(np.abs(box - last).max()) / size / (seconds - when)
            speed = now if times == 1 else _FRESH * now + (1 - _FRESH) * speed
            self._last[track] = (box, seconds, times + 1, speed)
        for track in [
            *tracks.ended,
            *(t for t, known in self._last.items() if seconds - known[1] > _GONE_SECONDS),
        ]:
            self._last.pop(track, None)
        self._interval = self._needed()

    def _needed(self) -> float:
        needed = self._most
        for _, _, times, speed in self._last.values():
            if times < _KNOWN:
                needed = min(needed, self._most / 2)
            if speed > 0:
                needed = min(needed, self._reach / speed)
        return needed

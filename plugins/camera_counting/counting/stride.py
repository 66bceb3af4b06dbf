"""How soon to look again: as many detections as the motion needs, and no more.

A tracker joins two sightings of an object safely while it has moved by less than a part of its own size between
them, so the fastest object relative to its size sets the pace. And it is looked again at once while something is
in doubt and may move: an object that has just come and is not certain yet, one that the last look missed, or one
that another of its kind hides in part, because who is who is decided from frame to frame there. A detector that
sees badly, in fog or in a crowd, is so given more frames than one that sees well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from camera_counting.geometry import shares_covered
from camera_counting.tracking.base import Tracks

__all__ = ["Stride"]

# What was not seen for longer is nobody's pace.
_GONE_SECONDS = 1.0
# An object that is less than a part of its size away from where it was of late stands still, once it was seen a
# few times; what stands still crosses nothing.
_TOLD, _LEFT, _REST_SECONDS = 3, 0.12, 1.0
# How much of the newest speed counts; boxes jitter.
_FRESH = 0.5
# Of two boxes of which one covers so much of the other, one hides a part of the other.
_HIDES = 0.3


@dataclass(slots=True)
class _Known:
    """What is remembered of a track: `rest` follows its box at leisure, speed is in own sizes per second."""

    box: npt.NDArray[np.float64]
    rest: npt.NDArray[np.float64]
    born: float
    seconds: float
    sure: bool
    kind: int
    sightings: int = 1
    speed: float = 0.0

    @property
    def size(self) -> float:
        box = self.box
        return float(np.sqrt(max((box[2] - box[0]) * (box[3] - box[1]), 1.0)))

    @property
    def may_move(self) -> bool:
        """Whether it has left its place, or it is too early to tell."""
        return self.sightings < _TOLD or float(np.abs(self.box - self.rest).max()) > _LEFT * self.size


class Stride:
    """The time until the next detection.

    Parameters
    ----------
    most_seconds : float
        The longest.
    reach : float
        How far an object may move meanwhile, as a part of its size (the square root of its box's area).
    doubt_seconds : float
        How long every frame is looked at for the sake of an object in doubt: one that is in doubt for longer is
        none, or will not get any surer. 0: never, nor where one hides a part of another.

    Examples
    --------
    >>> stride = Stride(most_seconds=0.2, reach=0.5)
    >>> stride.interval()
    0.2
    """

    def __init__(self, most_seconds: float, reach: float, doubt_seconds: float = 0.3) -> None:
        self._most, self._reach, self._doubt = most_seconds, reach, doubt_seconds
        self._known: dict[int, _Known] = {}
        self._pace = float("inf")

    def interval(self) -> float:
        """Seconds from the last detection to the next one."""
        return min(self._most, self._pace)

    def pace(self) -> float:
        """The same for the sake of what is known alone: infinite where nothing of it moves."""
        return self._pace

    def boxes(self) -> npt.NDArray[np.float64]:
        """Where all that is known was seen last: x1, y1, x2, y2 (N, 4)."""
        return np.array([known.box for known in self._known.values()]).reshape(-1, 4)

    def seen(self, tracks: Tracks, seconds: float) -> None:
        """Take in what was seen in a frame."""
        boxes = tracks.boxes.astype(np.float64)
        for track, box, sure, kind in zip(
            tracks.ids.tolist(), boxes, tracks.confirmed.tolist(), tracks.class_ids.tolist(), strict=True
        ):
            known = self._known.get(track)
            if known is None or seconds <= known.seconds:
                self._known[track] = _Known(box, box, seconds, seconds, sure, kind)
                continue
            step = seconds - known.seconds
            # the edge that moves most: a box that the picture's border cuts off has a centre that hardly moves
            now = float(np.abs(box - known.box).max()) / known.size / step
            known.speed = _FRESH * now + (1 - _FRESH) * (known.speed or now)
            known.rest = known.rest + min(step / _REST_SECONDS, 1.0) * (box - known.rest)
            known.box, known.seconds, known.sure, known.sightings = box, seconds, sure, known.sightings + 1
        for track in tracks.ended:
            self._known.pop(track, None)
        self._known = {
            track: known for track, known in self._known.items() if seconds - known.seconds <= _GONE_SECONDS
        }
        self._pace = min((self._needed(known, seconds) for known in self._known.values()), default=float("inf"))
        if self._pace > 0 and self._doubt > 0 and self._hide_each_other():
            self._pace = 0.0

    def _hide_each_other(self) -> bool:
        """Whether one of two that are certain hides a part of the other, and either may move."""
        sure = [known for known in self._known.values() if known.sure]
        if len(sure) < 2:
            return False
        hidden = shares_covered(np.array([known.box for known in sure])) >= _HIDES
        kinds = np.array([known.kind for known in sure])
        moves = np.array([known.may_move for known in sure])
        return bool((hidden & (kinds[:, None] == kinds[None]))[moves].any())

    def _needed(self, known: _Known, seconds: float) -> float:
        since = known.seconds if known.sure else known.born
        in_doubt = not known.sure or known.seconds < seconds
        if in_doubt and seconds - since < self._doubt and known.may_move:
            return 0.0
        return self._reach / known.speed if known.speed > 0 else float("inf")

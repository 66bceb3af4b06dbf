"""One track at one line: when its path counts as a crossing.

The anchor's path is held against the segment. A side is confirmed once the anchor lies further from the line than
a margin that is relative to the object's size; a crossing counts when the side that is confirmed changes and the
path between went through the segment. So jitter at the line never counts, a jump over it does, and however slowly
or quickly an object crosses, it counts once for each way.

Two ends of a path need judgement. A detector sees an object late, or loses it early: where the path, followed for
a moment beyond its ends, meets the segment, the object crossed it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import hypot
from typing import Any, Literal

from camera_counting.counting.events import Observation
from camera_counting.geometry import Segment

__all__ = ["Crossing", "LineWalk"]

# The margin of a confirmed side, relative to the object's size, and its least width in pixels.
MARGIN = 0.2
LEAST_MARGIN = 1.0
# How far an object that crosses gets, from the farthest on one side to the farthest on the other, relative to its
# size: who stands at a line sways by less, and so does a box that is drawn around nothing.
SWING = 0.6
# For how long a path is followed beyond its ends; longer where the frame's border cuts the object.
_BEYOND_SECONDS = 0.25
_BEYOND_SECONDS_AT_BORDER = 0.5
# A guessed crossing so near to another one in time and place (relative to the size) is the same: the two paths are
# pieces of one object's.
_SAME_SECONDS = 1.5
_SAME_PLACE = 0.8
# Two paths that were seen at the same time for so long, so far apart (relative to the size), are two objects'.
_TOGETHER_SECONDS = 0.15
_APART = 0.5
# The ends of a path over which its speed is taken.
_SPEED_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Crossing:
    """A path met the segment: towards +1 (the right-hand side, in) or -1 (out).

    `guessed` crossings lie beyond the ends of the path that was seen.
    """

    direction: int
    x: float
    y: float
    seconds: float
    frame: int
    size: float
    guessed: bool = False

    @property
    def word(self) -> Literal["in", "out"]:
        """The direction, as it is told."""
        return "in" if self.direction > 0 else "out"

    def to_row(self) -> list[Any]:
        """Its fields in their order, ready for JSON; ``Crossing(*row)`` reads it back."""
        return [self.direction, self.x, self.y, self.seconds, self.frame, self.size, self.guessed]

    def is_near(self, other: Crossing) -> bool:
        """Whether two paths of one object may have crossed so: the same way, at about the same time and place."""
        return (
            other.direction == self.direction
            and abs(other.seconds - self.seconds) <= _SAME_SECONDS
            and hypot(other.x - self.x, other.y - self.y) <= _SAME_PLACE * max(other.size, self.size)
        )


def _margin(seen: Observation) -> float:
    return max(MARGIN * seen.size, LEAST_MARGIN)


def _to_row(point: tuple[Observation, float]) -> list[Any]:
    seen, distance = point
    return [*seen.to_row(), distance]


def _from_row(row: list[Any]) -> tuple[Observation, float]:
    return Observation(*row[:-1]), float(row[-1])


_NOWHERE = Observation(0.0, 0.0, 0.0, 0.0, 0)


class LineWalk:
    """The path of one track as seen from one line; the clip runs for `elapsed` seconds when it is first seen."""

    __slots__ = (
        "_born",
        "_elapsed",
        "_far",
        "_flips",
        "_last",
        "_net",
        "_pending",
        "_recent",
        "_side",
        "_since_flip",
        "_unasked",
        "segment",
    )

    def __init__(self, segment: Segment, *, elapsed: float) -> None:
        self.segment = segment
        self._elapsed = elapsed
        self._unasked = True
        self._side = 0
        self._far = 0.0  # the farthest on that side, relative to the size
        self._born: tuple[Observation, float] = (_NOWHERE, 0.0)
        self._last: tuple[Observation, float] | None = None
        self._recent: list[tuple[Observation, float]] = []
        self._net = 0
        self._flips = 0
        self._since_flip = 0
        self._pending: Crossing | None = None

    def step(self, seen: Observation, distance: float) -> Crossing | None:
        """Follow the path to where the track is seen now, `distance` pixels to the right-hand side of the line."""
        if not self._recent:
            self._born = (seen, distance)
        self._remember(seen, distance)
        if distance == 0:
            # exactly on the line is on neither side: the next point decides
            self._since_flip += 1
            return None
        self._meet(seen, distance)
        self._last = (seen, distance)
        raw, away = 1 if distance > 0 else -1, abs(distance) / seen.size
        if raw == self._side:
            self._far = max(self._far, away)
        elif self._side and self._far + away < SWING:
            return None
        if abs(distance) < _margin(seen):
            return None
        if raw != self._side:
            self._far = away
        return self._settle(seen, raw)

    def _remember(self, seen: Observation, distance: float) -> None:
        recent = self._recent
        # of what is older than a step, a point every now and then will do
        if len(recent) >= 3 and abs(recent[-2][0].seconds - recent[-3][0].seconds) < _SPEED_SECONDS / 5:
            del recent[-2]
        recent.append((seen, distance))
        # either way: a clock that jumps back would keep them for ever
        while len(recent) > 3 and abs(seen.seconds - recent[1][0].seconds) > _SPEED_SECONDS:
            del recent[0]

    def end(self, now: float) -> Crossing | None:
        """The track will not be seen again: what its last steps say of the time until `now`."""
        if self._last is None:
            return None
        seen, distance = self._last
        raw = 1 if distance > 0 else -1
        if self._pending is not None and self._net == raw and raw != self._side:
            # unsettled: a piece of the same path that goes on under another identity may tell it, too
            return replace(self._pending, guessed=True) if self._went_over(seen, distance, raw) else None
        speed = self._speed(last=True)
        if self._side != raw or speed * raw >= 0:
            return None
        reach = _BEYOND_SECONDS_AT_BORDER if seen.at_border else _BEYOND_SECONDS
        # the end of a clip is no end of a path: what happens after it is not known
        reach = min(reach, now - seen.seconds)
        return self._beyond(self._last, abs(distance / speed), reach, -raw, last=True)

    def snapshot(self) -> dict[str, Any]:
        """The whole state but the segment, ready for JSON."""
        return {
            "elapsed": self._elapsed,
            "unasked": self._unasked,
            "side": self._side,
            "far": self._far,
            "born": _to_row(self._born),
            "last": None if self._last is None else _to_row(self._last),
            "recent": [_to_row(point) for point in self._recent],
            "net": self._net,
            "flips": self._flips,
            "since_flip": self._since_flip,
            "pending": None if self._pending is None else self._pending.to_row(),
        }

    @classmethod
    def restored(cls, segment: Segment, snapshot: dict[str, Any]) -> LineWalk:
        """A walk that goes on from a snapshot.

        Raises
        ------
        KeyError, TypeError, ValueError
            Where the snapshot was not made by this class.
        """
        walk = cls(segment, elapsed=float(snapshot["elapsed"]))
        last, pending = snapshot["last"], snapshot["pending"]
        walk._unasked, walk._side = bool(snapshot["unasked"]), int(snapshot["side"])
        walk._far = float(snapshot["far"])
        walk._born = _from_row(snapshot["born"])
        walk._last = None if last is None else _from_row(last)
        walk._recent = [_from_row(row) for row in snapshot["recent"]]
        walk._net, walk._flips = int(snapshot["net"]), int(snapshot["flips"])
        walk._since_flip = int(snapshot["since_flip"])
        walk._pending = None if pending is None else Crossing(*pending)
        return walk

    def is_beside(self, other: LineWalk) -> bool:
        """Whether both were seen at the same time, apart from each other: they are not pieces of one path then."""
        if not self._recent or not other._recent:
            return False
        mine, others = self._recent[-1][0], other._recent[-1][0]
        began = max(self._born[0].seconds, other._born[0].seconds)
        return min(mine.seconds, others.seconds) - began >= _TOGETHER_SECONDS and hypot(
            mine.x - others.x, mine.y - others.y
        ) >= _APART * max(mine.size, others.size)

    def _meet(self, seen: Observation, distance: float) -> None:
        """Note whether the step from the last point led through the segment."""
        self._since_flip += 1
        if self._last is None:
            return
        before, was = self._last
        if (was > 0) == (distance > 0):
            return
        self._flips += 1
        self._since_flip = 1
        part = abs(was) / (abs(was) + abs(distance))
        x, y = before.x + part * (seen.x - before.x), before.y + part * (seen.y - before.y)
        if not self.segment.spans(x, y):
            return
        direction = 1 if distance > 0 else -1
        self._net += direction
        seconds = before.seconds + part * (seen.seconds - before.seconds)
        self._pending = Crossing(direction, x, y, seconds, seen.frame, seen.size)

    def _settle(self, seen: Observation, raw: int) -> Crossing | None:
        """The side is certain now: a crossing, if it is another one than before."""
        found = None
        if self._pending is not None and self._net == raw and raw != self._side:
            # first seen closer to the line than the margin: it crossed if it went over without wavering
            if self._side != 0 or self._flips == 1:
                found = self._pending
            self._unasked = False
        elif self._unasked:
            # whence an object came that was first seen on this side is told by its first steps
            self._unasked = self._flips == 0 and not self._moved()
            if self._flips == 0 and self._moved():
                found = self._before_birth(raw)
        self._side = raw
        self._net = 0
        self._flips = 0
        self._since_flip = 0
        self._pending = None
        return found

    def _went_over(self, seen: Observation, distance: float, raw: int) -> bool:
        """Whether a path that ends beyond the line, but not by the margin, crossed it."""
        if self._flips != 1:
            return False
        margin = _margin(seen)
        if self._side == 0 and abs(distance - self._born[1]) < margin:
            return False
        if self._since_flip >= 2 or seen.at_border or len(self._recent) < 3:
            return True
        # one sight of the other side may be a box that jumped; one at the end of a steady way there is none
        return (self._recent[-2][1] - self._recent[0][1]) * raw >= margin

    def _moved(self) -> bool:
        first, now = self._born[0], self._recent[-1][0]
        return hypot(now.x - first.x, now.y - first.y) >= 0.3 * now.size or now.seconds - first.seconds > 1.0

    def _before_birth(self, raw: int) -> Crossing | None:
        """The crossing of an object that was first seen just beyond the line, on its way from there."""
        # what came over the line before the clip began is nothing that happened in it
        if self._elapsed <= 0 or not self._moved():
            return None
        seen, distance = self._born
        speed = self._speed(last=False)
        if speed * raw <= 0:
            return None
        reach = min(_BEYOND_SECONDS_AT_BORDER if seen.at_border else _BEYOND_SECONDS, self._elapsed)
        return self._beyond(self._born, abs(distance / speed), reach, raw, last=False)

    def _beyond(
        self, end: tuple[Observation, float], seconds: float, reach: float, direction: int, *, last: bool
    ) -> Crossing | None:
        if seconds > reach:
            return None
        seen, distance = end
        if abs(distance) > 0.5 * seen.size:
            return None
        vx, vy = self._velocity(last=last)
        sign = 1.0 if last else -1.0
        x, y = seen.x + sign * vx * seconds, seen.y + sign * vy * seconds
        if not self.segment.spans(x, y):
            return None
        return Crossing(direction, x, y, seen.seconds + sign * seconds, seen.frame, seen.size, guessed=True)

    def _velocity(self, *, last: bool) -> tuple[float, float]:
        a, b = self._ends(last=last)
        dt = b[0].seconds - a[0].seconds
        return ((b[0].x - a[0].x) / dt, (b[0].y - a[0].y) / dt) if dt > 0 else (0.0, 0.0)

    def _speed(self, *, last: bool) -> float:
        """Pixels a second across the line, 0 where the path is too short to tell."""
        a, b = self._ends(last=last)
        dt = b[0].seconds - a[0].seconds
        across = b[1] - a[1]
        # less than the margin may be jitter
        if dt <= 0 or abs(across) < _margin(b[0]):
            return 0.0
        return across / dt

    def _ends(self, *, last: bool) -> tuple[tuple[Observation, float], tuple[Observation, float]]:
        return (self._recent[0], self._recent[-1]) if last else (self._born, self._recent[-1])

"""One track at one zone: when it came in, when it left, and how long it stayed.

As at a line, a side is only left for good when the anchor is beyond the border by a margin relative to the
object's size, so that jitter at the border makes nobody come and go. A path that leads through the zone between
two frames entered it and left it, with the time it spent inside. The border belongs to the zone, and where it runs
along the picture's own border nobody can be beyond it: what the picture cuts off stands there, and is inside.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from camera_counting.counting.crossing import LEAST_MARGIN, MARGIN
from camera_counting.counting.events import Observation
from camera_counting.geometry import border_distance, inside, polygon_area, segment_polygon_span

__all__ = ["Area", "Passage", "ZoneStay"]


class Area:
    """A zone's polygon in a picture of `size` (width, height), with what is worth computing once."""

    def __init__(self, corners: tuple[tuple[float, float], ...], size: tuple[float, float] | None = None) -> None:
        self.polygon: npt.NDArray[np.float64] = np.asarray(corners, np.float64)
        ends = np.roll(self.polygon, -1, axis=0)
        real = np.ones(len(ends), bool)
        if size is not None:
            for side in (np.zeros(2), np.asarray(size)):
                real &= ~((np.abs(self.polygon - side) < 0.5) & (np.abs(ends - side) < 0.5)).any(1)
        self._starts, self._ends = self.polygon[real], ends[real]
        around = np.hypot(*(np.roll(self.polygon, -1, axis=0) - self.polygon).T).sum()
        # area / circumference is half the width of a long zone: no margin may be wider than the zone is deep
        self.widest_margin = 0.5 * polygon_area(corners) / float(around)
        self._low, self._high = self.polygon.min(0), self.polygon.max(0)

    def margin(self, size: float) -> float:
        """By how much an object of this size must be beyond the border."""
        return float(min(max(MARGIN * size, LEAST_MARGIN), self.widest_margin))

    def depths(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Distance (N,) of points (N, 2) from the border inside the picture: negative outside, 0 upon it."""
        distances = border_distance(self._starts, self._ends, points)
        return np.where(inside(self.polygon, points), distances, -distances)

    def span(self, before: Observation, seen: Observation) -> tuple[float, float] | None:
        """Where the step from `before` to `seen` meets the border first and last, as parts of the way."""
        low, high = self._low, self._high
        if max(before.x, seen.x) < low[0] or min(before.x, seen.x) > high[0]:
            return None
        if max(before.y, seen.y) < low[1] or min(before.y, seen.y) > high[1]:
            return None
        return segment_polygon_span(self.polygon, (before.x, before.y), (seen.x, seen.y))


@dataclass(frozen=True, slots=True)
class Passage:
    """A track came in (`entered`) or left.

    Parameters
    ----------
    entered : bool
    x, y : float
        Where, in pixels of the frames.
    seconds : float
    frame : int
    counted : bool
        False for one who was there from the very start, one who is there at the very end, and one who was found
        again: they did not come in or leave.
    stay : float
        How long one who left was inside, in seconds.
    open : bool
        The path begins or ends here, inside the zone and away from the picture's border.
    size : float
        Of the object, in pixels.
    """

    entered: bool
    x: float
    y: float
    seconds: float
    frame: int
    counted: bool = True
    stay: float = 0.0
    open: bool = False
    size: float = 0.0

    def to_row(self) -> list[Any]:
        """Its fields in their order, ready for JSON; ``Passage(*row)`` reads it back."""
        return list(astuple(self))


class ZoneStay:
    """The path of one track as seen from one zone."""

    __slots__ = ("_at_start", "_inside", "_last", "_way", "area", "since")

    def __init__(self, area: Area, *, at_start: bool) -> None:
        self.area = area
        self.since: float | None = None
        self._at_start = at_start
        self._inside: bool | None = None
        self._last: tuple[Observation, bool] | None = None
        self._way: Passage | None = None

    @property
    def is_leaving(self) -> bool:
        """Whether it went over the border, though not yet by the margin."""
        return self._way is not None and not self._way.entered

    @property
    def last_seconds(self) -> float:
        """When the track was seen last."""
        return self._last[0].seconds if self._last is not None else 0.0

    def step(self, seen: Observation, depth: float) -> list[Passage]:
        """Follow the path to where the track is seen now, `depth` pixels inside the border."""
        now = depth >= 0
        found: list[Passage] = []
        if self._last is None:
            self._inside = now
            if now:
                self.since = seen.seconds
                found = [replace(_here(seen, entered=True), counted=not self._at_start)]
        else:
            before, was = self._last
            if self.since is not None and seen.seconds < before.seconds:
                # a clock that jumps back makes no stay shorter
                self.since += seen.seconds - before.seconds
            if now != was:
                self._way = self._border(before, seen, entered=now)
            elif not now and not self._inside:
                found = self._through(before, seen)
            if self._way is not None and now != self._inside and abs(depth) >= self.area.margin(seen.size):
                found = [self._with_stay(self._way)]
                self._inside = now
                self.since = self._way.seconds if now else None
                self._way = None
            elif now == self._inside and abs(depth) >= self.area.margin(seen.size):
                self._way = None
        self._last = (seen, now)
        return found

    def end(self) -> Passage | None:
        """The track will not be seen again: if it was inside, it left where it was seen last."""
        if self._last is None or self.since is None:
            return None
        way = self._way if self.is_leaving else None
        return self._with_stay(way or _here(self._last[0], entered=False))

    def snapshot(self) -> dict[str, Any]:
        """The whole state but the area, ready for JSON."""
        return {
            "since": self.since,
            "at_start": self._at_start,
            "inside": self._inside,
            "last": None if self._last is None else [*self._last[0].to_row(), self._last[1]],
            "way": None if self._way is None else self._way.to_row(),
        }

    @classmethod
    def restored(cls, area: Area, snapshot: dict[str, Any]) -> ZoneStay:
        """A stay that goes on from a snapshot.

        Raises
        ------
        KeyError, TypeError, ValueError
            Where the snapshot was not made by this class.
        """
        stay = cls(area, at_start=bool(snapshot["at_start"]))
        last, way = snapshot["last"], snapshot["way"]
        stay.since, stay._inside = snapshot["since"], snapshot["inside"]
        stay._last = None if last is None else (Observation(*last[:-1]), bool(last[-1]))
        stay._way = None if way is None else Passage(*way)
        return stay

    def _with_stay(self, way: Passage) -> Passage:
        if way.entered or self.since is None:
            return way
        return replace(way, stay=max(way.seconds - self.since, 0.0))

    def _border(self, before: Observation, seen: Observation, *, entered: bool) -> Passage:
        span = self.area.span(before, seen) or (0.5, 0.5)
        return _on_the_way(before, seen, span[0] if entered else span[1], entered=entered)

    def _through(self, before: Observation, seen: Observation) -> list[Passage]:
        span = self.area.span(before, seen)
        if span is None:
            return []
        length = float(np.hypot(seen.x - before.x, seen.y - before.y))
        # cutting a corner by less than the margin may be jitter
        if (span[1] - span[0]) * length < self.area.margin(seen.size):
            return []
        came = _on_the_way(before, seen, span[0], entered=True)
        left = _on_the_way(before, seen, span[1], entered=False)
        return [came, replace(left, stay=left.seconds - came.seconds)]


def _here(seen: Observation, *, entered: bool) -> Passage:
    """The path begins or ends where the track is seen."""
    return Passage(entered, seen.x, seen.y, seen.seconds, seen.frame, open=not seen.at_border, size=seen.size)


def _on_the_way(before: Observation, seen: Observation, part: float, *, entered: bool) -> Passage:
    return Passage(
        entered,
        before.x + part * (seen.x - before.x),
        before.y + part * (seen.y - before.y),
        before.seconds + part * (seen.seconds - before.seconds),
        seen.frame,
    )

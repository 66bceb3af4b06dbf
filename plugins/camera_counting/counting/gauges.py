"""A line and a zone with all tracks that come by: what happened there, and the sums."""

from __future__ import annotations

from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Sequence
from math import hypot

import numpy as np
import numpy.typing as npt

from camera_counting.counting.crossing import Crossing, LineWalk
from camera_counting.counting.events import Observation
from camera_counting.counting.result import Dwell, LineCount, ZoneCount
from camera_counting.counting.zones import Area, Passage, ZoneStay
from camera_counting.geometry import Segment
from camera_counting.scene import Line, Zone

__all__ = ["LineGauge", "ZoneGauge"]

_Points = npt.NDArray[np.float64]

# A guessed crossing is no news where another track crossed so near in time and place (relative to the size): the
# two are pieces of one object's path.
_SAME_SECONDS = 1.5
_SAME_PLACE = 0.8
# A track out of sight for longer is not taken to be in a zone at the moment, though it may be found again.
_PRESENT_SECONDS = 1.0


class LineGauge:
    """One line: the walks of all tracks, and the sums by class and direction."""

    def __init__(self, line: Line) -> None:
        self.name = line.name
        self.anchor = line.anchor
        self.classes = None if line.classes is None else set(line.classes)
        self.sums: Tally[tuple[str, str]] = Tally()
        self._segment = Segment(line.start, line.end)
        self._walks: dict[int, LineWalk] = {}
        self._lately: deque[tuple[int, Crossing]] = deque()

    def update(
        self,
        tracks: Sequence[int],
        points: _Points,
        seen: Sequence[Observation],
        *,
        at_start: bool,
        elapsed: float,
    ) -> list[tuple[int, Crossing]]:
        """Where tracks are seen now, `elapsed` seconds into the clip; gives the crossings that became certain."""
        found = []
        distances = self._segment.side(points).tolist()
        for track, observation, distance in zip(tracks, seen, distances, strict=True):
            walk = self._walks.get(track)
            if walk is None:
                walk = self._walks[track] = LineWalk(self._segment, elapsed=elapsed)
            crossing = walk.step(observation, distance)
            if crossing is not None and self._is_news(track, crossing):
                found.append((track, crossing))
        return found

    def end(self, track: int, now: float) -> Crossing | None:
        """A track ended; gives the crossing that its last steps tell of."""
        walk = self._walks.pop(track, None)
        crossing = walk.end(now) if walk is not None else None
        return crossing if crossing is not None and self._is_news(track, crossing) else None

    def count(self) -> LineCount:
        """The sums."""
        classes = sorted({name for (name, _), number in self.sums.items() if number})
        return LineCount({name: {d: self.sums[name, d] for d in ("in", "out")} for name in classes})

    def _is_news(self, track: int, crossing: Crossing) -> bool:
        while self._lately and self._lately[0][1].seconds < crossing.seconds - 10:
            self._lately.popleft()
        if crossing.guessed:
            for other, past in self._lately:
                near = _SAME_PLACE * max(past.size, crossing.size)
                if (
                    other != track
                    and past.direction == crossing.direction
                    and abs(past.seconds - crossing.seconds) <= _SAME_SECONDS
                    and hypot(past.x - crossing.x, past.y - crossing.y) <= near
                ):
                    return False
        self._lately.append((track, crossing))
        return True


class ZoneGauge:
    """One zone in a picture of `size` (width, height): the stays of all tracks, and the sums."""

    def __init__(self, zone: Zone, size: tuple[float, float] | None) -> None:
        self.name = zone.name
        self.anchor = zone.anchor
        self.classes = None if zone.classes is None else set(zone.classes)
        self.entered = 0
        self.left = 0
        self.dwell = Dwell()
        self.peak = 0
        self._area = Area(zone.polygon, size)
        self._stays: dict[int, ZoneStay] = {}
        self._first: float | None = None
        self._now = 0.0

    def update(
        self,
        tracks: Sequence[int],
        points: _Points,
        seen: Sequence[Observation],
        *,
        at_start: bool,
        elapsed: float,
    ) -> list[tuple[int, Passage]]:
        """Where tracks are seen now; gives who came and who left. Those `at_start` were there already."""
        found = []
        depths = self._area.depths(points).tolist()
        for track, observation, depth in zip(tracks, seen, depths, strict=True):
            stay = self._stays.get(track)
            if stay is None:
                stay = self._stays[track] = ZoneStay(self._area, at_start=at_start)
            found += [(track, passage) for passage in stay.step(observation, depth)]
        return found

    def end(self, track: int, _: float) -> Passage | None:
        """A track ended; if it was inside, it left."""
        stay = self._stays.pop(track, None)
        return stay.end() if stay is not None else None

    def note(self, passage: Passage) -> None:
        """Take a passage of a track that counts into the sums."""
        if passage.entered:
            self.entered += passage.counted
        else:
            self.left += 1
            self.dwell.add(passage.stay)

    def measure(self, seconds: float, counts: Callable[[int], bool]) -> None:
        """Take the occupancy at this time, of those tracks that count."""
        self._first = seconds if self._first is None else self._first
        self._now = max(self._now, seconds)
        self.peak = max(self.peak, self._occupancy(counts))

    def count(self, counts: Callable[[int], bool]) -> ZoneCount:
        """The sums, with the stays of those that are inside until now."""
        dwell = self.dwell.copy()
        for track, stay in self._stays.items():
            if stay.since is not None and counts(track):
                dwell.add(max(stay.last_seconds - stay.since, 0.0))
        elapsed = self._now - (self._first or 0.0)
        occupancy = self._occupancy(counts)
        return ZoneCount(
            occupancy=occupancy,
            peak=self.peak,
            mean=dwell.total / elapsed if elapsed > 0 else float(occupancy),
            entered=self.entered,
            left=self.left,
            dwell=dwell,
        )

    def _occupancy(self, counts: Callable[[int], bool]) -> int:
        return sum(
            stay.since is not None and self._now - stay.last_seconds <= _PRESENT_SECONDS and counts(track)
            for track, stay in self._stays.items()
        )

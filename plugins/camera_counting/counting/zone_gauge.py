"""A zone with all tracks that come by: who came, who left, and the sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from camera_counting.counting.events import Observation
from camera_counting.counting.result import Dwell, ZoneCount
from camera_counting.counting.zones import Area, Passage, ZoneStay
from camera_counting.scene import Zone

__all__ = ["ZoneGauge"]

_Points = npt.NDArray[np.float64]

# A track out of sight for longer is not taken to be in a zone at the moment, though it may be found again.
_PRESENT_SECONDS = 1.0


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

    def note(self, passage: Passage, number: int = 1) -> None:
        """Take a passage of a track that counts into the sums; with -1 take it back, with 0 leave them."""
        if passage.entered:
            self.entered += number * passage.counted
            return
        self.left += number
        if number > 0:
            self.dwell.add(passage.stay)
        elif number < 0:
            self.dwell.take_back(passage.stay)

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

    def snapshot(self) -> dict[str, Any]:
        """The whole state, ready for JSON."""
        return {
            "entered": self.entered,
            "left": self.left,
            "dwell": self.dwell.snapshot(),
            "peak": self.peak,
            "stays": [[track, stay.snapshot()] for track, stay in self._stays.items()],
            "first": self._first,
            "now": self._now,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot of a gauge at the same zone.

        Raises
        ------
        KeyError, TypeError, ValueError
            Where the snapshot was not made by this class.
        """
        self.entered, self.left = int(snapshot["entered"]), int(snapshot["left"])
        self.dwell = Dwell.restored(snapshot["dwell"])
        self.peak = int(snapshot["peak"])
        self._stays = {track: ZoneStay.restored(self._area, stay) for track, stay in snapshot["stays"]}
        self._first, self._now = snapshot["first"], float(snapshot["now"])

    def _occupancy(self, counts: Callable[[int], bool]) -> int:
        return sum(
            stay.since is not None and self._now - stay.last_seconds <= _PRESENT_SECONDS and counts(track)
            for track, stay in self._stays.items()
        )

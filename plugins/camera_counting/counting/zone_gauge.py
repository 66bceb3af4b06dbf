"""A zone with all tracks that come by: who came, who left, whether it is crowded, and the sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from camera_counting.counting.crowding import CrowdGauge
from camera_counting.counting.events import Event, Observation
from camera_counting.counting.lost_stays import LostStays
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
        x, y = self._area.polygon.mean(0).tolist()
        self._middle = (float(x), float(y))
        self._crowd = None if zone.crowding is None else CrowdGauge(zone.crowding)
        self._stays: dict[int, ZoneStay] = {}
        self._lost = LostStays()
        # how long those who were found again had been inside before their track began
        self._before: dict[int, float] = {}
        self._last = False  # the clip is over
        self._remaining = 0  # those who were inside then
        self._now: float | None = None
        self._elapsed = 0.0

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

    def end_clip(self, *, last: bool) -> None:
        """With the `last` frame, tracks that end and were in sight a moment ago are still inside.

        Where there are more frames after all, they are seen anew.
        """
        self._last = last
        self._remaining = self._remaining if last else 0

    def end(self, track: int, now: float) -> Passage | None:
        """A track ended; if it was inside, it left."""
        stay = self._stays.pop(track, None)
        passage = None if stay is None else stay.end()
        if stay is None or passage is None or not self._last:
            return passage
        remains = now - stay.last_seconds <= _PRESENT_SECONDS and not stay.is_leaving
        return replace(passage, open=False, counted=not remains)

    def tell(self, track: int, passage: Passage, class_name: str) -> Passage:
        """Take a passage of a track that counts into the sums; gives it as it is to be told.

        One who was lost inside (`open`) is only in them when its event comes out of `measure`.
        """
        if passage.entered:
            lost = self._lost.find(passage, class_name) if passage.open else None
            if lost is not None:
                self._before[track] = passage.seconds - lost.seconds + lost.stay
                passage = replace(passage, counted=False)
        else:
            passage = replace(passage, stay=passage.stay + self._before.pop(track, 0.0))
        if passage.entered or not passage.open:
            self.note(passage)
        return passage

    def hold(self, passage: Passage, event: Event) -> None:
        """One was lost inside, and may be found again: the event is told by `measure` if it is not."""
        self._lost.hold(passage, event)

    def note(self, passage: Passage, number: int = 1) -> None:
        """Take a passage of a track that counts into the sums; with -1 take it back, with 0 leave them."""
        if passage.entered:
            self.entered += number * passage.counted
            return
        if passage.counted:
            self.left += number
        else:
            self._remaining += number
        if number > 0:
            self.dwell.add(passage.stay)
        elif number < 0:
            self.dwell.take_back(passage.stay)

    def measure(self, seconds: float, frame: int, counts: Callable[[int], bool]) -> list[Event]:
        """Take the occupancy at this time, of those tracks that count; gives what time alone makes certain."""
        # time that runs back is none that passed
        self._elapsed += max(seconds - (seconds if self._now is None else self._now), 0.0)
        self._now = seconds
        self._before = {track: before for track, before in self._before.items() if track in self._stays}
        events = []
        for lost in self._lost.give_up(seconds, all_of_them=self._last):
            self.note(lost.passage)
            events.append(lost.event)
        occupancy = self._occupancy(counts)
        self.peak = max(self.peak, occupancy)
        change = None if self._crowd is None else self._crowd.update(seconds, occupancy)
        if change is not None:
            events.append(
                Event(
                    kind="crowded" if change.crowded else "cleared",
                    name=self.name,
                    direction="",
                    frame=frame,
                    seconds=round(change.seconds, 6),
                    position=self._middle,
                    track=-1,
                    class_name="",
                    confidence=1.0,
                    lasted=None if change.crowded else round(change.lasted, 6),
                    number=change.number,
                )
            )
        return events

    def count(self, counts: Callable[[int], bool]) -> ZoneCount:
        """The sums, with the stays of those that are inside until now."""
        dwell = self.dwell.copy()
        for track, stay in self._stays.items():
            if stay.since is not None and counts(track):
                dwell.add(max(stay.last_seconds - stay.since, 0.0) + self._before.get(track, 0.0))
        for seconds in self._lost.stays():
            dwell.add(seconds)
        occupancy = self._occupancy(counts)
        return ZoneCount(
            occupancy=occupancy,
            peak=self.peak,
            mean=dwell.total / self._elapsed if self._elapsed > 0 else float(occupancy),
            entered=self.entered,
            left=self.left,
            dwell=dwell,
            crowding=None if self._crowd is None else self._crowd.count(),
        )

    def snapshot(self) -> dict[str, Any]:
        """The whole state, ready for JSON."""
        return {
            "entered": self.entered,
            "left": self.left,
            "dwell": self.dwell.snapshot(),
            "peak": self.peak,
            "stays": [[track, stay.snapshot()] for track, stay in self._stays.items()],
            "lost": self._lost.snapshot(),
            "before": [[track, seconds] for track, seconds in self._before.items()],
            "remaining": self._remaining,
            "crowd": None if self._crowd is None else self._crowd.snapshot(),
            "now": self._now,
            "elapsed": self._elapsed,
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
        self._now, self._elapsed = snapshot["now"], float(snapshot["elapsed"])
        self._lost.restore(snapshot["lost"])
        self._before = {int(track): float(seconds) for track, seconds in snapshot["before"]}
        self._remaining = int(snapshot["remaining"])
        if self._crowd is not None:
            self._crowd.restore(snapshot["crowd"])

    def _occupancy(self, counts: Callable[[int], bool]) -> int:
        now = self._now or 0.0
        return self._remaining + sum(
            stay.since is not None and now - stay.last_seconds <= _PRESENT_SECONDS and counts(track)
            for track, stay in self._stays.items()
        )

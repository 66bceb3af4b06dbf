"""The counter: what the tracks of a camera do at the lines and zones of its scene."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from camera_counting.counting.crossing import Crossing
from camera_counting.counting.events import Event
from camera_counting.counting.flows import FlowGauge
from camera_counting.counting.line_gauge import LineGauge
from camera_counting.counting.record import Gauge, Happening, TrackRecord
from camera_counting.counting.result import SceneCount
from camera_counting.counting.sightings import Sightings
from camera_counting.counting.zone_gauge import ZoneGauge
from camera_counting.counting.zones import Passage
from camera_counting.detections import confusable
from camera_counting.scene import Scene
from camera_counting.tracking.base import Tracks

__all__ = ["Counter"]


class Counter:
    """Counts the crossings of lines, the occupancy of zones, and the flows from line to line.

    Parameters
    ----------
    scene : Scene or None
        In pixels of the frames (`Scene.for_size`); None counts the objects seen and nothing else.
    names : sequence of str
        The model's classes.
    classes : iterable of str, optional
        Count only these; a line's or zone's own classes restrict further.

    Raises
    ------
    SceneError
        Where the scene names a class that is not among `names`.

    Examples
    --------
    >>> from camera_counting.tracking import MotionTracker
    >>> from camera_counting.detections import Detections
    >>> scene = Scene.from_dict({"lines": [{"name": "gate", "from": [0, 100], "to": [200, 100]}]})
    >>> counter, tracker = Counter(scene.for_size(200, 200), ["person"]), MotionTracker()
    >>> for frame in range(20):  # somebody walks down the picture, over the line
    ...     y = 60 + 4 * frame
    ...     seen = Detections.of([[80, y - 40, 100, y]], [0.9], [0], ["person"])
    ...     events = counter.update(tracker.update(seen, frame / 10), frame)
    ...     for event in events:
    ...         print(event.kind, event.name, event.direction, event.seconds)
    crossing gate in 1.0
    >>> counter.result().lines["gate"].to_dict()
    {'in': 1, 'out': 0, 'by_class': {'person': {'in': 1, 'out': 0}}}
    """

    def __init__(self, scene: Scene | None, names: Sequence[str], *, classes: Iterable[str] | None = None) -> None:
        self.names = tuple(names)
        self._classes = None if classes is None else set(classes)
        self._records: dict[int, TrackRecord] = {}
        self._objects: Tally[str] = Tally()
        self._began: float | None = None
        self._size: tuple[float, float] | None = None
        self._lines: list[LineGauge] = []
        self._zones: list[ZoneGauge] = []
        self._flows: list[FlowGauge] = []
        self._gauges: list[Gauge] = []
        if scene is not None:
            scene.check_classes(self.names)
            self._size = scene.size
            self._lines = [LineGauge(line) for line in scene.lines]
            self._zones = [ZoneGauge(zone, scene.size) for zone in scene.zones]
            self._gauges = [*self._lines, *self._zones]
            self._flows = [FlowGauge(flow, scene.lines) for flow in scene.flows]

    def update(self, tracks: Tracks, frame: int, *, last: bool = False) -> list[Event]:
        """Take in the tracks of one frame.

        Parameters
        ----------
        tracks : Tracks
            As the tracker gave them, in pixels of the frames.
        frame : int
            Index of the frame.
        last : bool
            The clip is over: those who were in sight a moment ago are still inside where they were.

        Returns
        -------
        list of Event
            What can be told now, in the order of time. An event may be told some frames after it happened, with
            its own time: a crossing counts once it is certain.
        """
        at_start = self._began is None
        # a clock that jumps back begins anew
        self._began = tracks.seconds if self._began is None else min(self._began, tracks.seconds)
        elapsed = tracks.seconds - self._began
        sightings = Sightings(tracks.boxes.astype(np.float64), self._size, tracks.seconds, frame)
        ids = tracks.ids.tolist()
        self._meet(tracks)
        for gauge in self._gauges:
            points, seen = sightings.at(gauge.anchor)
            for track, happened in gauge.update(ids, points, seen, at_start=at_start, elapsed=elapsed):
                self._records[track].waiting.append((gauge, happened))  # type: ignore[arg-type]
        events = [event for track in ids if self._records[track].waiting for event in self._tell(track)]
        for zone in self._zones:
            zone.end_clip(last=last)
        for track in tracks.ended:
            events += self._end(track, tracks.seconds)
        for zone in self._zones:
            events += zone.measure(tracks.seconds, frame, self._counts_in(zone))
        return sorted(events, key=lambda event: event.seconds)

    def result(self) -> SceneCount:
        """The counts so far."""
        return SceneCount(
            lines={gauge.name: gauge.count() for gauge in self._lines},
            zones={gauge.name: gauge.count(self._counts_in(gauge)) for gauge in self._zones},
            classes={name: self._objects[name] for name in self._known() if self._objects[name] > 0},
            flows={gauge.name: gauge.count() for gauge in self._flows},
        )

    def snapshot(self) -> dict[str, Any]:
        """The whole state, ready for JSON."""
        return {
            "began": self._began,
            "objects": [[name, number] for name, number in self._objects.items()],
            "records": [[track, record.snapshot()] for track, record in self._records.items()],
            "lines": {gauge.name: gauge.snapshot() for gauge in self._lines},
            "zones": {gauge.name: gauge.snapshot() for gauge in self._zones},
            "flows": {gauge.name: gauge.snapshot() for gauge in self._flows},
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot of a counter of the same scene.

        Raises
        ------
        KeyError, TypeError, ValueError
            Where the snapshot was not made by this class, or for other lines and zones.
        """
        for line in self._lines:
            line.restore(snapshot["lines"][line.name])
        for zone in self._zones:
            zone.restore(snapshot["zones"][zone.name])
        for flow in self._flows:
            flow.restore(snapshot["flows"][flow.name])
        lines, zones = {gauge.name: gauge for gauge in self._lines}, {gauge.name: gauge for gauge in self._zones}
        flows = {gauge.name: gauge for gauge in self._flows}
        self._records = {
            track: TrackRecord.restored(record, lines, zones, flows) for track, record in snapshot["records"]
        }
        self._objects = Tally(dict(snapshot["objects"]))
        self._began = snapshot["began"]

    def counts(self, name: str, class_name: str) -> bool:
        """Whether objects of a class count at the line, zone or flow of this name.

        What is nobody's alone, and has no class, counts everywhere.
        """
        return any(
            gauge.name == name and (not class_name or self._is_wanted(class_name, gauge.classes))
            for gauge in (*self._gauges, *self._flows)
        )

    def _meet(self, tracks: Tracks) -> None:
        """Take in how the tracks of a frame are judged."""
        names = tracks.names
        for track, score, class_id, confirmed in zip(
            tracks.ids.tolist(),
            tracks.scores.tolist(),
            tracks.class_ids.tolist(),
            tracks.confirmed.tolist(),
            strict=True,
        ):
            now = names[class_id]
            record = self._records.get(track)
            if record is None:
                record = self._records[track] = TrackRecord(now)
            record.scores += score
            record.sightings += 1
            if record.class_name != now:
                if record.confirmed:
                    self._decide_anew(record, record.class_name, now)
                record.class_name = now
            if confirmed and not record.confirmed:
                record.confirmed = True
                self._objects[now] += self._is_wanted(now, None)

    def _decide_anew(self, record: TrackRecord, before: str, now: str) -> None:
        """A track's class is decided over its life: what was counted for the old one moves to the new one."""
        self._objects[before] -= self._is_wanted(before, None)
        self._objects[now] += self._is_wanted(now, None)
        for (line, direction), number in record.crossings.items():
            line.sums[before, direction] -= number * self._is_wanted(before, line.classes)
            line.sums[now, direction] += number * self._is_wanted(now, line.classes)
        for zone, passage in record.passages:
            zone.note(passage, self._is_wanted(now, zone.classes) - self._is_wanted(before, zone.classes))
        for flow, took in record.journeys:
            if self._is_wanted(before, flow.classes):
                flow.take_back(before, took)
            if self._is_wanted(now, flow.classes):
                flow.note(now, took)

    def _tell(self, track: int) -> list[Event]:
        record = self._records[track]
        if not record.confirmed:
            return []
        class_name = record.class_name
        events: list[Event] = []
        still: list[Happening] = []
        for gauge, happened in record.waiting:
            if not self._is_wanted(class_name, gauge.classes):
                still.append((gauge, happened))  # type: ignore[arg-type]
                continue
            if isinstance(gauge, LineGauge) and isinstance(happened, Crossing):
                events += self._tell_crossing(track, gauge, happened)
            elif isinstance(gauge, ZoneGauge) and isinstance(happened, Passage):
                events += self._tell_passage(track, gauge, happened)
            else:
                raise TypeError(f"{type(happened).__name__} at a {type(gauge).__name__}")
        record.let_wait(still)
        return events

    def _tell_crossing(self, track: int, line: LineGauge, crossing: Crossing) -> list[Event]:
        record = self._records[track]
        event = self._event("crossing", line, crossing.word, crossing, track)
        if not line.tell(track, crossing, record.class_name):
            # told of another track already, but this one goes on from there
            return self._tell_journeys(event)
        if crossing.guessed:
            self._take_from_others(track, line, crossing, record.class_name)
        record.crossings[line, crossing.word] += 1
        return [event, *self._tell_journeys(event)]

    def _tell_journeys(self, crossing: Event) -> list[Event]:
        """The flows that a crossing makes complete."""
        told = []
        for flow in self._flows:
            took = flow.crossed(crossing.track, crossing.name, crossing.direction, crossing.seconds)
            if took is None:
                continue
            self._records[crossing.track].journeys.append((flow, took))
            if self._is_wanted(crossing.class_name, flow.classes):
                flow.note(crossing.class_name, took)
                told.append(replace(crossing, kind="flow", name=flow.name, direction="", lasted=round(took, 6)))
        return told

    def _tell_passage(self, track: int, zone: ZoneGauge, passage: Passage) -> list[Event]:
        record = self._records[track]
        passage = zone.tell(track, passage, record.class_name)
        record.passages.append((zone, passage))
        if not passage.counted:
            return []
        if passage.entered:
            return [self._event("entered", zone, "in", passage, track)]
        event = replace(self._event("left", zone, "out", passage, track), lasted=round(passage.stay, 6))
        if passage.open:
            zone.hold(passage, event)
            return []
        return [event]

    def _event(
        self,
        kind: Literal["crossing", "entered", "left"],
        gauge: Gauge,
        direction: Literal["in", "out"],
        happened: Crossing | Passage,
        track: int,
    ) -> Event:
        record = self._records[track]
        return Event(
            kind=kind,
            name=gauge.name,
            direction=direction,
            frame=happened.frame,
            seconds=round(happened.seconds, 6),
            position=(happened.x, happened.y),
            track=track,
            class_name=record.class_name,
            confidence=record.scores / record.sightings,
        )

    def _take_from_others(self, track: int, line: LineGauge, guess: Crossing, class_name: str) -> None:
        """What others wait to tell of the object that crossed as guessed is told with this guess."""
        for other, record in self._records.items():
            if (
                other == track
                or not record.waiting
                or self._is_told(record, line)
                or not confusable(record.class_name, class_name)
            ):
                continue
            record.let_wait(
                (gauge, happened)  # type: ignore[misc]
                for gauge, happened in record.waiting
                if not (gauge is line and isinstance(happened, Crossing) and guess.is_near(happened))
            )

    def _end(self, track: int, now: float) -> list[Event]:
        record = self._records.get(track)
        if record is None:
            return []
        for gauge in self._gauges:
            happened = gauge.end(track, now)
            if happened is not None:
                record.waiting.append((gauge, happened))  # type: ignore[arg-type]
        events = self._tell(track)
        for flow in self._flows:
            flow.end(track)
        del self._records[track]
        return events

    def _known(self) -> list[str]:
        """The classes in the model's order, and those that an earlier model knew."""
        return [*self.names, *(name for name in self._objects if name not in self.names)]

    def _is_wanted(self, class_name: str, classes: set[str] | None) -> bool:
        return (self._classes is None or class_name in self._classes) and (
            classes is None or class_name in classes
        )

    def _is_told(self, record: TrackRecord, gauge: Gauge) -> bool:
        return record.confirmed and self._is_wanted(record.class_name, gauge.classes)

    def _counts_in(self, zone: ZoneGauge) -> Callable[[int], bool]:
        return lambda track: self._is_told(self._records[track], zone)

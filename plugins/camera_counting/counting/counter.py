"""The counter: what the tracks of a camera do at the lines and zones of its scene."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from camera_counting.counting.crossing import Crossing
from camera_counting.counting.events import Event, Observation
from camera_counting.counting.line_gauge import LineGauge
from camera_counting.counting.result import SceneCount
from camera_counting.counting.zone_gauge import ZoneGauge
from camera_counting.counting.zones import Passage
from camera_counting.detections import confusable
from camera_counting.scene import Anchor, Scene
from camera_counting.tracking.base import Tracks

__all__ = ["Counter", "anchors"]

_Array = npt.NDArray[np.float64]


@dataclass(slots=True)
class _Record:
    """What is remembered of a track while it lives."""

    class_id: int = 0
    confirmed: bool = False
    scores: float = 0.0
    sightings: int = 0
    # happened, but not told: the track is no certain object yet, or not of a class that counts there
    waiting: list[_Happening] = field(default_factory=list)
    # what was told, and is counted for the class: it moves if that is decided anew
    crossings: list[tuple[LineGauge, Literal["in", "out"]]] = field(default_factory=list)
    passages: list[tuple[ZoneGauge, Passage]] = field(default_factory=list)


_Happening = tuple[LineGauge, Crossing] | tuple[ZoneGauge, Passage]


class Counter:
    """Counts the crossings of lines and the occupancy of zones.

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
        self._records: dict[int, _Record] = {}
        self._objects: Tally[str] = Tally()
        self._began: float | None = None
        self._size: tuple[float, float] | None = None
        self._lines: list[LineGauge] = []
        self._zones: list[ZoneGauge] = []
        self._gauges: list[LineGauge | ZoneGauge] = []
        if scene is not None:
            scene.check_classes(self.names)
            self._size = scene.size
            self._lines = [LineGauge(line) for line in scene.lines]
            self._zones = [ZoneGauge(zone, scene.size) for zone in scene.zones]
            self._gauges = [*self._lines, *self._zones]

    def update(self, tracks: Tracks, frame: int) -> list[Event]:
        """Take in the tracks of one frame.

        Parameters
        ----------
        tracks : Tracks
            As the tracker gave them, in pixels of the frames.
        frame : int
            Index of the frame.

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
        boxes = tracks.boxes.astype(np.float64)
        ids = tracks.ids.tolist()
        for i, track in enumerate(ids):
            self._meet(track, tracks, i)
        sizes = np.sqrt(np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1.0)).tolist()
        at_border = self._at_border(boxes).tolist()
        seen_at: dict[Anchor, tuple[_Array, list[Observation]]] = {}
        for gauge in self._gauges:
            if gauge.anchor not in seen_at:
                points = anchors(boxes, gauge.anchor)
                seen_at[gauge.anchor] = (
                    points,
                    [
                        Observation(x, y, size, tracks.seconds, frame, border)
                        for (x, y), size, border in zip(points.tolist(), sizes, at_border, strict=True)
                    ],
                )
            points, seen = seen_at[gauge.anchor]
            for track, happened in gauge.update(ids, points, seen, at_start=at_start, elapsed=elapsed):
                self._records[track].waiting.append((gauge, happened))  # type: ignore[arg-type]
        events = [event for track in ids if self._records[track].waiting for event in self._tell(track)]
        for track in tracks.ended:
            events += self._end(track, tracks.seconds)
        for zone in self._zones:
            zone.measure(tracks.seconds, self._counts_in(zone))
        return sorted(events, key=lambda event: event.seconds)

    def result(self) -> SceneCount:
        """The counts so far."""
        return SceneCount(
            lines={gauge.name: gauge.count() for gauge in self._lines},
            zones={gauge.name: gauge.count(self._counts_in(gauge)) for gauge in self._zones},
            classes={name: self._objects[name] for name in self.names if self._objects[name] > 0},
        )

    def counts(self, name: str, class_name: str) -> bool:
        """Whether objects of a class count at the line or zone of this name."""
        return any(gauge.name == name and self._is_wanted(class_name, gauge.classes) for gauge in self._gauges)

    def _meet(self, track: int, tracks: Tracks, i: int) -> None:
        record = self._records.get(track)
        if record is None:
            record = self._records[track] = _Record(int(tracks.class_ids[i]))
        record.scores += float(tracks.scores[i])
        record.sightings += 1
        before, now = self.names[record.class_id], self.names[int(tracks.class_ids[i])]
        if record.confirmed and before != now:
            self._decide_anew(record, before, now)
        record.class_id = int(tracks.class_ids[i])
        if not record.confirmed and bool(tracks.confirmed[i]):
            record.confirmed = True
            self._objects[now] += self._is_wanted(now, None)

    def _decide_anew(self, record: _Record, before: str, now: str) -> None:
        """A track's class is decided over its life: what was counted for the old one moves to the new one."""
        self._objects[before] -= self._is_wanted(before, None)
        self._objects[now] += self._is_wanted(now, None)
        for line, direction in record.crossings:
            line.sums[before, direction] -= self._is_wanted(before, line.classes)
            line.sums[now, direction] += self._is_wanted(now, line.classes)
        for zone, passage in record.passages:
            zone.note(passage, self._is_wanted(now, zone.classes) - self._is_wanted(before, zone.classes))

    def _tell(self, track: int) -> list[Event]:
        record = self._records[track]
        if not record.confirmed:
            return []
        class_name = self.names[record.class_id]
        events, still = [], []
        for gauge, happened in record.waiting:
            if not self._is_wanted(class_name, gauge.classes):
                still.append((gauge, happened))
                continue
            kind: Literal["crossing", "entered", "left"]
            direction: Literal["in", "out"]
            if isinstance(gauge, LineGauge) and isinstance(happened, Crossing):
                if not gauge.tell(track, happened, class_name):
                    continue
                if happened.guessed:
                    self._take_from_others(track, gauge, happened, class_name)
                kind, direction = "crossing", happened.word
                record.crossings.append((gauge, direction))
            elif isinstance(gauge, ZoneGauge) and isinstance(happened, Passage):
                kind, direction = ("entered", "in") if happened.entered else ("left", "out")
                gauge.note(happened)
                record.passages.append((gauge, happened))
                if not happened.counted:
                    continue
            else:
                raise TypeError(f"{type(happened).__name__} at a {type(gauge).__name__}")
            events.append(
                Event(
                    kind=kind,
                    name=gauge.name,
                    direction=direction,
                    frame=happened.frame,
                    seconds=round(happened.seconds, 6),
                    position=(happened.x, happened.y),
                    track=track,
                    class_name=class_name,
                    confidence=record.scores / record.sightings,
                )
            )
        record.waiting = still  # type: ignore[assignment]
        return events

    def _take_from_others(self, track: int, line: LineGauge, guess: Crossing, class_name: str) -> None:
        """What others wait to tell of the object that crossed as guessed is told with this guess."""
        for other, record in self._records.items():
            if (
                other == track
                or not record.waiting
                or self._is_told(record, line)
                or not confusable(self.names[record.class_id], class_name)
            ):
                continue
            record.waiting = [
                (gauge, happened)  # type: ignore[misc]
                for gauge, happened in record.waiting
                if not (gauge is line and isinstance(happened, Crossing) and guess.is_near(happened))
            ]

    def _end(self, track: int, now: float) -> list[Event]:
        record = self._records.get(track)
        if record is None:
            return []
        for gauge in self._gauges:
            happened = gauge.end(track, now)
            if happened is not None:
                record.waiting.append((gauge, happened))  # type: ignore[arg-type]
        events = self._tell(track)
        del self._records[track]
        return events

    def _is_wanted(self, class_name: str, classes: set[str] | None) -> bool:
        return (self._classes is None or class_name in self._classes) and (
            classes is None or class_name in classes
        )

    def _is_told(self, record: _Record, gauge: LineGauge | ZoneGauge) -> bool:
        return record.confirmed and self._is_wanted(self.names[record.class_id], gauge.classes)

    def _counts_in(self, zone: ZoneGauge) -> Callable[[int], bool]:
        return lambda track: self._is_told(self._records[track], zone)

    def _at_border(self, boxes: _Array) -> npt.NDArray[np.bool_]:
        if self._size is None:
            return np.zeros(len(boxes), bool)
        width, height = self._size
        slack = 0.01 * max(width, height)
        return np.asarray(
            (boxes[:, 0] <= slack)
            | (boxes[:, 1] <= slack)
            | (boxes[:, 2] >= width - slack)
            | (boxes[:, 3] >= height - slack)
        )


def anchors(boxes: _Array, anchor: Anchor) -> _Array:
    """The anchor points (N, 2) of boxes (N, 4).

    Examples
    --------
    >>> anchors(np.array([[10.0, 20, 30, 80]]), Anchor.BOTTOM)
    array([[20., 80.]])
    """
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    match anchor:
        case Anchor.BOTTOM:
            y = boxes[:, 3]
        case Anchor.TOP:
            y = boxes[:, 1]
        case Anchor.LEFT:
            x = boxes[:, 0]
        case Anchor.RIGHT:
            x = boxes[:, 2]
        case Anchor.CENTER:
            pass
    return np.stack([x, y], axis=1)

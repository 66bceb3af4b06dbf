"""What the counter remembers of a track while it lives."""

from __future__ import annotations

from collections import Counter as Tally
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from camera_counting.counting.crossing import Crossing
from camera_counting.counting.flows import FlowGauge
from camera_counting.counting.line_gauge import LineGauge
from camera_counting.counting.zone_gauge import ZoneGauge
from camera_counting.counting.zones import Passage

__all__ = ["Gauge", "Happening", "TrackRecord"]

# A track that sways at a line for days must not fill the memory: of what it did before, it stays as it was told.
_MOST = 64

Gauge = LineGauge | ZoneGauge
Happening = tuple[LineGauge, Crossing] | tuple[ZoneGauge, Passage]


@dataclass(slots=True)
class TrackRecord:
    """One track.

    Parameters
    ----------
    class_name : str
        As decided over its life so far; by name, because models come and go.
    waiting : deque
        What happened, but is not told: the track is no certain object yet, or not of a class that counts there.
    crossings : Counter
        How often it was told to have crossed which line in which direction.
    passages, journeys : deque
        What else was told. All three are counted for the class: they move if that is decided anew.
    """

    class_name: str
    confirmed: bool = False
    scores: float = 0.0
    sightings: int = 0
    waiting: deque[Happening] = field(default_factory=lambda: deque(maxlen=_MOST))
    crossings: Tally[tuple[LineGauge, Literal["in", "out"]]] = field(default_factory=Tally)
    passages: deque[tuple[ZoneGauge, Passage]] = field(default_factory=lambda: deque(maxlen=_MOST))
    journeys: deque[tuple[FlowGauge, float]] = field(default_factory=lambda: deque(maxlen=_MOST))

    def let_wait(self, happenings: Iterable[Happening]) -> None:
        """These wait, and nothing else does any more."""
        self.waiting = deque(happenings, maxlen=_MOST)

    def snapshot(self) -> dict[str, Any]:
        """Everything, ready for JSON; lines, zones and flows by their names."""
        return {
            "class": self.class_name,
            "confirmed": self.confirmed,
            "scores": self.scores,
            "sightings": self.sightings,
            "waiting": [[gauge.name, happened.to_row()] for gauge, happened in self.waiting],
            "crossings": [[line.name, direction, number] for (line, direction), number in self.crossings.items()],
            "passages": [[zone.name, passage.to_row()] for zone, passage in self.passages],
            "journeys": [[flow.name, took] for flow, took in self.journeys],
        }

    @classmethod
    def restored(
        cls,
        snapshot: dict[str, Any],
        lines: Mapping[str, LineGauge],
        zones: Mapping[str, ZoneGauge],
        flows: Mapping[str, FlowGauge],
    ) -> TrackRecord:
        """The same again, at lines, zones and flows of the same names.

        Raises
        ------
        KeyError, TypeError, ValueError
            Where the snapshot was not made by this class.
        """
        return cls(
            class_name=str(snapshot["class"]),
            confirmed=bool(snapshot["confirmed"]),
            scores=float(snapshot["scores"]),
            sightings=int(snapshot["sightings"]),
            waiting=deque(
                (
                    (lines[name], Crossing(*row)) if name in lines else (zones[name], Passage(*row))
                    for name, row in snapshot["waiting"]
                ),
                maxlen=_MOST,
            ),
            crossings=Tally(
                {(lines[name], direction): int(number) for name, direction, number in snapshot["crossings"]}
            ),
            passages=deque(((zones[name], Passage(*row)) for name, row in snapshot["passages"]), maxlen=_MOST),
            journeys=deque(((flows[name], float(took)) for name, took in snapshot["journeys"]), maxlen=_MOST),
        )

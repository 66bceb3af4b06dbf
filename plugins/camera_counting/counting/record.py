"""What the counter remembers of a track while it lives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from camera_counting.counting.crossing import Crossing
from camera_counting.counting.flows import FlowGauge
from camera_counting.counting.line_gauge import LineGauge
from camera_counting.counting.zone_gauge import ZoneGauge
from camera_counting.counting.zones import Passage

__all__ = ["Gauge", "Happening", "TrackRecord"]

Gauge = LineGauge | ZoneGauge
Happening = tuple[LineGauge, Crossing] | tuple[ZoneGauge, Passage]


@dataclass(slots=True)
class TrackRecord:
    """One track.

    Parameters
    ----------
    class_name : str
        As decided over its life so far; by name, because models come and go.
    waiting : list
        What happened, but is not told: the track is no certain object yet, or not of a class that counts there.
    crossings, passages, journeys : list
        What was told, and is counted for the class: it moves if that is decided anew.
    """

    class_name: str
    confirmed: bool = False
    scores: float = 0.0
    sightings: int = 0
    waiting: list[Happening] = field(default_factory=list)
    crossings: list[tuple[LineGauge, Literal["in", "out"]]] = field(default_factory=list)
    passages: list[tuple[ZoneGauge, Passage]] = field(default_factory=list)
    journeys: list[tuple[FlowGauge, float]] = field(default_factory=list)

    def snapshot(self) -> dict[str, Any]:
        """Everything, ready for JSON; lines, zones and flows by their names."""
        return {
            "class": self.class_name,
            "confirmed": self.confirmed,
            "scores": self.scores,
            "sightings": self.sightings,
            "waiting": [[gauge.name, happened.to_row()] for gauge, happened in self.waiting],
            "crossings": [[line.name, direction] for line, direction in self.crossings],
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
            waiting=[
                (lines[name], Crossing(*row)) if name in lines else (zones[name], Passage(*row))
                for name, row in snapshot["waiting"]
            ],
            crossings=[(lines[name], direction) for name, direction in snapshot["crossings"]],
            passages=[(zones[name], Passage(*row)) for name, row in snapshot["passages"]],
            journeys=[(flows[name], float(took)) for name, took in snapshot["journeys"]],
        )

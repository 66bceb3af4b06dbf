"""Flows between two sections: a track that crosses one line and then another one.

A journey leads from the last crossing of the first line to the next crossing of the second one, and counts once:
who turns at the second line and crosses it again makes no second journey, who comes by the first line again does.
Crossings may be told later than others that happened after them; what counts is when they happened.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from camera_counting.counting.result import Dwell, FlowCount
from camera_counting.scene import Flow, Line

__all__ = ["FlowGauge"]

# Crossings of one track that are remembered: one that lingers on a line for hours needs no more memory.
_KEPT = 32


@dataclass(slots=True)
class _Way:
    """The crossings of one track at both ends of a flow, in the order of time, since its last journey."""

    crossings: list[tuple[float, bool]] = field(default_factory=list)  # seconds, whether at the flow's origin
    arrived: float | None = None


class FlowGauge:
    """One flow, with all tracks that cross its lines.

    Parameters
    ----------
    flow : Flow
    lines : iterable of Line
        Those of the scene: what does not count at one of both does not count here.

    Examples
    --------
    >>> lines = [Line(name=name, start=(x, 0), end=(x, 9)) for x, name in enumerate(["west", "east"])]
    >>> gauge = FlowGauge(Flow.model_validate({"name": "through", "from": "west", "to": "east"}), lines)
    >>> for line, seconds in [("east", 1.0), ("west", 2.0), ("west", 3.0), ("east", 8.5), ("east", 9.0)]:
    ...     print(gauge.crossed(7, line, "in", seconds))
    None
    None
    None
    5.5
    None
    """

    def __init__(self, flow: Flow, lines: Iterable[Line]) -> None:
        self.name = flow.name
        self.classes = _classes(flow, lines)
        self.sums: Tally[str] = Tally()
        self.travel = Dwell()
        self._flow = flow
        self._ways: dict[int, _Way] = {}

    def crossed(self, track: int, line: str, direction: str, seconds: float) -> float | None:
        """A track crossed a line; gives how many seconds its journey took where this makes one complete."""
        at_origin = self._flow.origin.takes(line, direction)
        if not at_origin and not self._flow.destination.takes(line, direction):
            return None
        way = self._ways.get(track)
        if way is None:
            way = self._ways[track] = _Way()
        # what happened before the end of the last journey is no part of the next one
        if way.arrived is not None and seconds < way.arrived:
            return None
        insort(way.crossings, (seconds, at_origin))
        del way.crossings[:-_KEPT]
        return self._journey(way)

    def note(self, class_name: str, seconds: float) -> None:
        """Take a journey into the sums."""
        self.sums[class_name] += 1
        self.travel.add(seconds)

    def take_back(self, class_name: str, seconds: float) -> None:
        """One journey less: it was noted, and was nobody's of this class."""
        self.sums[class_name] -= 1
        self.travel.take_back(seconds)

    def end(self, track: int) -> None:
        """A track ended."""
        self._ways.pop(track, None)

    def count(self) -> FlowCount:
        """The sums."""
        return FlowCount(
            origin=str(self._flow.origin),
            destination=str(self._flow.destination),
            by_class={name: number for name, number in sorted(self.sums.items()) if number},
            travel=self.travel.copy(),
        )

    def snapshot(self) -> dict[str, Any]:
        """The whole state, ready for JSON."""
        return {
            "sums": dict(self.sums),
            "travel": self.travel.snapshot(),
            "ways": [
                [track, way.arrived, [list(crossing) for crossing in way.crossings]]
                for track, way in self._ways.items()
            ],
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot of a gauge of the same flow.

        Raises
        ------
        KeyError, TypeError, ValueError
            Where the snapshot was not made by this class.
        """
        ways = {
            int(track): _Way([(float(seconds), bool(at_origin)) for seconds, at_origin in crossings], arrived)
            for track, arrived, crossings in snapshot["ways"]
        }
        sums, travel = Tally(dict(snapshot["sums"])), Dwell.restored(snapshot["travel"])
        self.sums, self.travel, self._ways = sums, travel, ways

    def _journey(self, way: _Way) -> float | None:
        began = None
        for i, (seconds, at_origin) in enumerate(way.crossings):
            if at_origin:
                began = seconds
            elif began is not None and seconds > began:
                took = seconds - began
                if self._flow.within_seconds is not None and took > self._flow.within_seconds:
                    began = None
                    continue
                del way.crossings[: i + 1]
                way.arrived = seconds
                return took
        return None


def _classes(flow: Flow, lines: Iterable[Line]) -> set[str] | None:
    """The classes that count at both ends; None for all."""
    ends = {flow.origin.line, flow.destination.line}
    wanted = [set(line.classes) for line in lines if line.name in ends and line.classes is not None]
    return set.intersection(*wanted) if wanted else None

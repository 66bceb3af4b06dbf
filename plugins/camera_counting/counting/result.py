"""The counts of a scene, as values."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Crowd", "CrowdCount", "Dwell", "FlowCount", "LineCount", "SceneCount", "ZoneCount"]

# Percentiles are those of this many latest stays: flat in memory over years, and some kilobytes in a snapshot.
_STAYS = 1_000


class Dwell:
    """How long objects stayed in a zone.

    Examples
    --------
    >>> dwell = Dwell()
    >>> for seconds in (1.0, 2.0, 6.0):
    ...     dwell.add(seconds)
    >>> dwell.to_dict()
    {'mean': 3.0, 'p50': 2.0, 'p95': 5.6, 'max': 6.0}
    """

    def __init__(self) -> None:
        self._stays: deque[float] = deque(maxlen=_STAYS)
        self.total = 0.0
        self.number = 0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """One more stay."""
        seconds = round(seconds, 3)
        self._stays.append(seconds)
        self.total += seconds
        self.number += 1
        self.longest = max(self.longest, seconds)

    def take_back(self, seconds: float) -> None:
        """One stay less: it was added, and was nobody's who counts here."""
        seconds = round(seconds, 3)
        if seconds in self._stays:
            self._stays.remove(seconds)
        self.total -= seconds
        self.number -= 1
        if seconds >= self.longest:
            self.longest = max(self._stays, default=0.0)

    def copy(self) -> Dwell:
        """An independent copy."""
        other = Dwell()
        other._stays.extend(self._stays)
        other.total, other.number, other.longest = self.total, self.number, self.longest
        return other

    def snapshot(self) -> dict[str, Any]:
        """The whole state, ready for JSON."""
        return {
            "stays": list(self._stays),
            "total": self.total,
            "number": self.number,
            "longest": self.longest,
        }

    @classmethod
    def restored(cls, snapshot: dict[str, Any]) -> Dwell:
        """The same again, from a snapshot.

        Raises
        ------
        KeyError, TypeError, ValueError
            Where the snapshot was not made by this class.
        """
        dwell = cls()
        dwell._stays.extend(float(stay) for stay in snapshot["stays"])
        dwell.total, dwell.number = float(snapshot["total"]), int(snapshot["number"])
        dwell.longest = float(snapshot["longest"])
        return dwell

    def to_dict(self) -> dict[str, float | None]:
        """Mean, median, 95th percentile and maximum in seconds; None for all where nobody stayed."""
        if not self.number:
            return {"mean": None, "p50": None, "p95": None, "max": None}
        p50, p95 = np.percentile(np.fromiter(self._stays, float), [50, 95])
        return {
            "mean": round(self.total / self.number, 3),
            "p50": round(float(p50), 3),
            "p95": round(float(p95), 3),
            "max": round(self.longest, 3),
        }


@dataclass(frozen=True, slots=True)
class LineCount:
    """Crossings of one line, by class and direction."""

    by_class: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def into(self) -> int:
        """Crossings from the left-hand to the right-hand side."""
        return sum(number["in"] for number in self.by_class.values())

    @property
    def out(self) -> int:
        """Crossings from the right-hand to the left-hand side."""
        return sum(number["out"] for number in self.by_class.values())

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON of ``camera-counting count``."""
        return {"in": self.into, "out": self.out, "by_class": self.by_class}


@dataclass(frozen=True, slots=True)
class Crowd:
    """One time that a zone was crowded.

    Parameters
    ----------
    began, ended : float
        Time in seconds at which the alarm began and ended; None for the end where it lasts.
    seconds : float
        How long it lasted, until now.
    most : int
        The most objects inside at once.
    mean : float
        Objects inside, on average over time.
    """

    began: float
    ended: float | None
    seconds: float
    most: int
    mean: float

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON of ``camera-counting count``."""
        return {
            "from": round(self.began, 3),
            "to": None if self.ended is None else round(self.ended, 3),
            "seconds": round(self.seconds, 3),
            "most": self.most,
            "mean": round(self.mean, 3),
        }


@dataclass(frozen=True, slots=True)
class CrowdCount:
    """How often and how long a zone was crowded; `latest` are the last times, one by one, the oldest first."""

    crowded: bool
    times: int
    seconds: float
    latest: tuple[Crowd, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON of ``camera-counting count``."""
        return {
            "crowded": self.crowded,
            "times": self.times,
            "seconds": round(self.seconds, 3),
            "latest": [crowd.to_dict() for crowd in self.latest],
        }


@dataclass(frozen=True, slots=True)
class FlowCount:
    """Journeys from one line to another, by class, and how long they took."""

    origin: str
    destination: str
    by_class: dict[str, int]
    travel: Dwell

    @property
    def total(self) -> int:
        """Journeys of all classes."""
        return sum(self.by_class.values())

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON of ``camera-counting count``."""
        return {
            "from": self.origin,
            "to": self.destination,
            "total": self.total,
            "by_class": self.by_class,
            "travel_seconds": self.travel.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class ZoneCount:
    """Occupancy of one zone.

    `occupancy` is the number inside now (at the end, in the count of a whole clip), `peak` the most at once,
    `mean` the average over time. Those who were inside from the very first frame belong to the occupancy and have
    not `entered`; those who are inside at the end have not `left`.
    """

    occupancy: int
    peak: int
    mean: float
    entered: int
    left: int
    dwell: Dwell
    crowding: CrowdCount | None = None

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON of ``camera-counting count``."""
        told: dict[str, Any] = {
            "occupancy": self.occupancy,
            "peak": self.peak,
            "mean": round(self.mean, 3),
            "entered": self.entered,
            "left": self.left,
            "dwell_seconds": self.dwell.to_dict(),
        }
        if self.crowding is not None:
            told["crowding"] = self.crowding.to_dict()
        return told


@dataclass(frozen=True, slots=True)
class SceneCount:
    """All counts of a scene so far; `classes` says how many objects of each class were seen at all."""

    lines: dict[str, LineCount]
    zones: dict[str, ZoneCount]
    classes: dict[str, int]
    flows: dict[str, FlowCount] = field(default_factory=dict)

    @property
    def matrix(self) -> dict[str, dict[str, int]]:
        """The origin-destination matrix: journeys by where they began and where they led.

        Examples
        --------
        >>> journeys = [("A", "B", 2), ("A", "C", 3), ("B", "A", 0)]
        >>> flows = {f"{a}{b}": FlowCount(a, b, {"car": n}, Dwell()) for a, b, n in journeys}
        >>> SceneCount({}, {}, {}, flows).matrix
        {'A': {'B': 2, 'C': 3}, 'B': {'A': 0}}
        """
        told: dict[str, dict[str, int]] = {}
        for flow in self.flows.values():
            row = told.setdefault(flow.origin, {})
            # two flows may lead the same way and differ in the time that they allow: the wider one holds the other
            row[flow.destination] = max(row.get(flow.destination, 0), flow.total)
        return told

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON of ``camera-counting count``."""
        told: dict[str, Any] = {
            "lines": {name: line.to_dict() for name, line in self.lines.items()},
            "zones": {name: zone.to_dict() for name, zone in self.zones.items()},
        }
        if self.flows:
            told["flows"] = {name: flow.to_dict() for name, flow in self.flows.items()}
            told["matrix"] = self.matrix
        return {**told, "classes": self.classes}

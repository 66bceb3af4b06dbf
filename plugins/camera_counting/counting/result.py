"""The counts of a scene, as values."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Dwell", "LineCount", "SceneCount", "ZoneCount"]

# Percentiles are those of this many latest stays: enough for a day, and flat in memory over years.
_STAYS = 10_000


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
        self._stays.append(seconds)
        self.total += seconds
        self.number += 1
        self.longest = max(self.longest, seconds)

    def take_back(self, seconds: float) -> None:
        """One stay less: it was added, and was nobody's who counts here."""
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
class ZoneCount:
    """Occupancy of one zone.

    `occupancy` is the number inside now, `peak` the most at once, `mean` the average over time. Those who were
    inside from the very first frame belong to the occupancy and have not `entered`.
    """

    occupancy: int
    peak: int
    mean: float
    entered: int
    left: int
    dwell: Dwell

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON of ``camera-counting count``."""
        return {
            "peak": self.peak,
            "mean": round(self.mean, 3),
            "entered": self.entered,
            "dwell_seconds": self.dwell.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class SceneCount:
    """All counts of a scene so far; `classes` says how many objects of each class were seen at all."""

    lines: dict[str, LineCount]
    zones: dict[str, ZoneCount]
    classes: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON of ``camera-counting count``."""
        return {
            "lines": {name: line.to_dict() for name, line in self.lines.items()},
            "zones": {name: zone.to_dict() for name, zone in self.zones.items()},
            "classes": self.classes,
        }

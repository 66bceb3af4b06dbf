"""Stays of tracks that were lost inside a zone: one that is found again at the same place goes on with its stay.

Who stands behind a van for some seconds is a new track afterwards. Neither did the old one leave, nor did the new
one enter. So a track that ends inside, away from the picture's border, is not told to have left for a while; where
a new one begins near enough, soon enough, of about the same size and of a class that it may be confused with, both
are one stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import hypot
from typing import Any

from camera_counting.counting.events import Event
from camera_counting.counting.zones import Passage
from camera_counting.detections import confusable

__all__ = ["LostStay", "LostStays"]

# How long after it was last seen an object may be found again, and how long its new track may take to be certain.
_FOUND_SECONDS = 6.0
_CERTAIN_SECONDS = 1.0
# How near (relative to the larger size), and how different in size.
_NEAR = 0.5
_SIZES = 1.7


@dataclass(frozen=True, slots=True)
class LostStay:
    """A track was lost inside: what it would be told to have done, as passage and as event."""

    passage: Passage
    event: Event

    def may_be(self, entered: Passage, class_name: str) -> bool:
        """Whether who is first seen here may be who was lost."""
        lost = self.passage
        sizes = sorted((lost.size, entered.size))
        return (
            0 <= entered.seconds - lost.seconds <= _FOUND_SECONDS
            and hypot(entered.x - lost.x, entered.y - lost.y) <= _NEAR * sizes[1]
            and sizes[1] <= _SIZES * sizes[0]
            and confusable(self.event.class_name, class_name)
        )


class LostStays:
    """Those who were lost inside one zone, and may be found again."""

    def __init__(self) -> None:
        self._lost: list[LostStay] = []

    def hold(self, passage: Passage, event: Event) -> None:
        """A track was lost; its leaving is told later, if it is not found."""
        self._lost.append(LostStay(passage, event))

    def find(self, entered: Passage, class_name: str) -> Passage | None:
        """The stay that goes on with one who is first seen inside, the nearest one; it is no longer held."""
        found = [lost for lost in self._lost if lost.may_be(entered, class_name)]
        if not found:
            return None
        x, y = entered.x, entered.y
        nearest = min(found, key=lambda lost: hypot(lost.passage.x - x, lost.passage.y - y))
        self._lost.remove(nearest)
        return nearest.passage

    def give_up(self, now: float, *, all_of_them: bool) -> list[LostStay]:
        """Those who will not be found any more; they left when they were last seen."""
        held = _FOUND_SECONDS + _CERTAIN_SECONDS
        # a clock that jumped back must hold nobody for ever
        gone = [lost for lost in self._lost if all_of_them or not -held <= now - lost.passage.seconds <= held]
        self._lost = [lost for lost in self._lost if lost not in gone]
        return gone

    def stays(self) -> list[float]:
        """How long those who are held stayed, in seconds."""
        return [lost.passage.stay for lost in self._lost]

    def snapshot(self) -> list[Any]:
        """The whole state, ready for JSON."""
        return [[lost.passage.to_row(), asdict(lost.event)] for lost in self._lost]

    def restore(self, snapshot: Sequence[Any]) -> None:
        """Go on from a snapshot.

        Raises
        ------
        KeyError, TypeError, ValueError
            Where the snapshot was not made by this class.
        """
        self._lost = [
            LostStay(Passage(*row), Event(**{**event, "position": (event["position"][0], event["position"][1])}))
            for row, event in snapshot
        ]

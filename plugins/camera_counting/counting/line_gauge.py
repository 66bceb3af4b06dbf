"""A line with all tracks that come by: what happened there, and the sums."""

from __future__ import annotations

from collections import Counter as Tally
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from camera_counting.counting.crossing import Crossing, LineWalk
from camera_counting.counting.events import Observation
from camera_counting.counting.result import LineCount
from camera_counting.detections import confusable
from camera_counting.geometry import Segment
from camera_counting.scene import Line

__all__ = ["LineGauge"]

_Points = npt.NDArray[np.float64]


class LineGauge:
    """One line: the walks of all tracks, and the sums by class and direction."""

    def __init__(self, line: Line) -> None:
        self.name = line.name
        self.anchor = line.anchor
        self.classes = None if line.classes is None else set(line.classes)
        self.sums: Tally[tuple[str, str]] = Tally()
        self._segment = Segment(line.start, line.end)
        self._walks: dict[int, LineWalk] = {}
        self._told: deque[tuple[int, Crossing, str]] = deque()

    def update(
        self,
        tracks: Sequence[int],
        points: _Points,
        seen: Sequence[Observation],
        *,
        at_start: bool,
        elapsed: float,
    ) -> list[tuple[int, Crossing]]:
        """Where tracks are seen now, `elapsed` seconds into the clip; gives the crossings that became certain."""
        found = []
        distances = self._segment.side(points).tolist()
        for track, observation, distance in zip(tracks, seen, distances, strict=True):
            walk = self._walks.get(track)
            if walk is None:
                walk = self._walks[track] = LineWalk(self._segment, elapsed=elapsed)
            crossing = walk.step(observation, distance)
            if crossing is not None:
                found.append((track, crossing))
        return found

    def end(self, track: int, now: float) -> Crossing | None:
        """A track ended; gives the crossing that its last steps tell of."""
        walk = self._walks.pop(track, None)
        return walk.end(now) if walk is not None else None

    def tell(self, track: int, crossing: Crossing, class_name: str) -> bool:
        """Take a crossing of a track that counts into the sums, unless it was told of another track already."""
        # either way: a clock that jumps back would keep them for ever
        while self._told and abs(self._told[0][1].seconds - crossing.seconds) > 10:
            self._told.popleft()
        if crossing.guessed and any(
            other != track
            and confusable(name, class_name)
            and crossing.is_near(past)
            and not self._are_two(track, other)
            for other, past, name in self._told
        ):
            return False
        self._told.append((track, crossing, class_name))
        self.sums[class_name, crossing.word] += 1
        return True

    def _are_two(self, track: int, other: int) -> bool:
        """Whether two tracks are seen beside each other; of one that has ended nobody knows."""
        walk, beside = self._walks.get(track), self._walks.get(other)
        return walk is not None and beside is not None and walk.is_beside(beside)

    def count(self) -> LineCount:
        """The sums."""
        classes = sorted({name for (name, _), number in self.sums.items() if number})
        return LineCount({name: {d: self.sums[name, d] for d in ("in", "out")} for name in classes})

    def snapshot(self) -> dict[str, Any]:
        """The whole state, ready for JSON."""
        return {
            "sums": [[name, direction, number] for (name, direction), number in self.sums.items()],
            "walks": [[track, walk.snapshot()] for track, walk in self._walks.items()],
            "told": [[track, crossing.to_row(), name] for track, crossing, name in self._told],
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot of a gauge at the same line.

        Raises
        ------
        KeyError, TypeError, ValueError
            Where the snapshot was not made by this class.
        """
        self.sums = Tally({(name, direction): number for name, direction, number in snapshot["sums"]})
        self._walks = {track: LineWalk.restored(self._segment, walk) for track, walk in snapshot["walks"]}
        self._told = deque((track, Crossing(*row), name) for track, row, name in snapshot["told"])

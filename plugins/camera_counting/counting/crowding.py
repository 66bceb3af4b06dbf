"""When a zone is crowded: more objects than a number inside, held for a time.

The alarm has a hysteresis in time, so that a number around the limit does not make it flap: it begins when more
than `more_than` were inside for `for_seconds` without a break, and ends when no more than that were inside for
`clear_seconds` without one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from camera_counting.counting.result import Crowd, CrowdCount
from camera_counting.scene import Crowding

__all__ = ["CrowdChange", "CrowdGauge"]

# Between two frames that lie further apart (and by more than the time to be held), nothing is known to hold.
_UNSEEN_SECONDS = 5.0
# So many of the latest times that it was crowded are kept one by one.
_KEPT = 50


@dataclass(frozen=True, slots=True)
class CrowdChange:
    """The alarm began (`crowded`) or ended.

    Parameters
    ----------
    crowded : bool
    seconds : float
        The moment at which the time was up, mostly between two frames.
    number : int
        How many were inside then, where it began; the most inside at once since then, where it ended.
    lasted : float
        How long it was crowded, in seconds; 0 where it began.
    """

    crowded: bool
    seconds: float
    number: int
    lasted: float = 0.0


class CrowdGauge:
    """Whether one zone is crowded.

    Examples
    --------
    >>> gauge = CrowdGauge(Crowding(more_than=2, for_seconds=3))
    >>> inside = [1, 3, 3, 2, 3, 3, 4, 4, 4, 2, 2, 2, 2, 1]  # second by second
    >>> changes = [change for second, number in enumerate(inside) if (change := gauge.update(second, number))]
    >>> [(change.crowded, change.seconds, change.number, change.lasted) for change in changes]
    [(True, 7.0, 4, 0.0), (False, 12.0, 4, 5.0)]
    """

    def __init__(self, crowding: Crowding) -> None:
        self.crowding = crowding
        self._crowded = False
        self._contrary: float | None = None  # since when the number says the contrary
        self._last: tuple[float, int] | None = None
        self._began = 0.0
        self._told = 0.0  # until when it is in the sums
        self._lasted = 0.0
        self._sum = 0.0
        self._most = 0
        self._times = 0
        self._total = 0.0
        self._past: deque[Crowd] = deque(maxlen=_KEPT)

    def update(self, seconds: float, number: int) -> CrowdChange | None:
        """So many are inside at this time; tells when that begins or ends an alarm."""
        held = self.crowding.clear_after if self._crowded else self.crowding.for_seconds
        last, before = self._last or (seconds, number)
        self._last = (seconds, number)
        # a clock that jumps back, and a time in which nobody looked, say nothing of what was held
        if seconds < last or seconds - last > max(_UNSEEN_SECONDS, held):
            self._contrary = None
        self._told = min(self._told, seconds)
        up = None
        if (number > self.crowding.more_than) == self._crowded:
            self._contrary = None
        else:
            self._contrary = seconds if self._contrary is None else self._contrary
            if seconds - self._contrary >= held:
                up = self._contrary + held
        if self._crowded:
            self._add(seconds if up is None else up, before)
            self._most = max(self._most, number)
        if up is None:
            return None
        self._contrary = None
        return self._end(up) if self._crowded else self._begin(up, seconds, before, number)

    def count(self) -> CrowdCount:
        """What there was until now."""
        past = [*self._past, self._as_crowd(None)][-_KEPT:] if self._crowded else list(self._past)
        return CrowdCount(
            crowded=self._crowded,
            times=self._times,
            seconds=self._total + (self._lasted if self._crowded else 0.0),
            latest=tuple(past),
        )

    def snapshot(self) -> dict[str, Any]:
        """The whole state, ready for JSON."""
        return {
            **{key: getattr(self, f"_{key}") for key in _STATE},
            "last": None if self._last is None else list(self._last),
            "past": [list(astuple(crowd)) for crowd in self._past],
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot of a gauge with the same limits.

        Raises
        ------
        KeyError, TypeError, ValueError
            Where the snapshot was not made by this class.
        """
        last, contrary = snapshot["last"], snapshot["contrary"]
        past = [Crowd(*row) for row in snapshot["past"]]
        self._last = None if last is None else (float(last[0]), int(last[1]))
        self._contrary = None if contrary is None else float(contrary)
        for key in _STATE[1:]:
            setattr(self, f"_{key}", type(getattr(self, f"_{key}"))(snapshot[key]))
        self._past = deque(past, maxlen=_KEPT)

    def _begin(self, up: float, seconds: float, before: int, number: int) -> CrowdChange:
        self._crowded = True
        self._began, self._told = up, up
        self._lasted, self._sum, self._most = 0.0, 0.0, number
        self._times += 1
        self._add(seconds, before)
        return CrowdChange(True, up, number)

    def _end(self, up: float) -> CrowdChange:
        self._crowded = False
        self._total += self._lasted
        self._past.append(self._as_crowd(up))
        return CrowdChange(False, up, self._most, self._lasted)

    def _add(self, until: float, number: int) -> None:
        step = max(until - self._told, 0.0)
        self._lasted += step
        self._sum += step * number
        self._told = until

    def _as_crowd(self, until: float | None) -> Crowd:
        mean = self._sum / self._lasted if self._lasted > 0 else float(self._most)
        return Crowd(self._began, until, self._lasted, self._most, mean)


_STATE = ("contrary", "crowded", "began", "told", "lasted", "sum", "most", "times", "total")

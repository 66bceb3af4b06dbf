"""A camera's timestamps on a clock that never jumps."""

from __future__ import annotations

__all__ = ["LiveClock"]

_LEAP = 2.0  # seconds that a timestamp may advance beyond the time that passed
_APART = 10.0  # seconds that stream and arrival may be apart
_PACE = 0.02  # share by which seconds may run faster or slower to come together again
_LEAST = 1e-3


class LiveClock:
    """Seconds since the first frame, from a camera's timestamps and the times at which frames arrived.

    Timestamps tell the distance of frames better than their arrival, which the network shakes. But a camera's
    clock starts anew with every connection, wraps round, is set by somebody, and drifts. So timestamps are
    followed as long as they advance as time does, held together with the arrival slowly, and anchored anew
    where they jump.

    Examples
    --------
    >>> clock = LiveClock()
    >>> [round(clock.seconds(stamp, arrival), 2) for stamp, arrival in [(7.0, 100.0), (7.1, 100.13), (0.0, 100.2)]]
    [0.0, 0.1, 0.2]
    """

    def __init__(self) -> None:
        self._origin: float | None = None
        self._offset: float | None = None
        self._stamp = self._arrival = 0.0
        self._last = -1.0

    def reconnected(self) -> None:
        """The next timestamp has nothing to do with the last one."""
        self._offset = None

    def seconds(self, stamp: float | None, arrival: float) -> float:
        """When a frame was taken, in seconds since the first; always later than the frame before.

        Parameters
        ----------
        stamp : float or None
            Seconds on the camera's clock.
        arrival : float
            Of `time.monotonic`.
        """
        if self._origin is None:
            self._origin = arrival
        arrival -= self._origin
        mapped = arrival if stamp is None else self._follow(stamp, arrival)
        if self._last >= 0:
            mapped = max(mapped, self._last + _LEAST)
        self._last = mapped
        return mapped

    def _follow(self, stamp: float, arrival: float) -> float:
        passed, advanced = arrival - self._arrival, stamp - self._stamp
        self._arrival, self._stamp = arrival, stamp
        if self._offset is not None:
            late = arrival - (stamp + self._offset)
            if 0 < advanced <= passed + _LEAP and abs(late) <= _APART:
                slack = _PACE * advanced
                self._offset += min(max(late, -slack), slack)
                return stamp + self._offset
        self._offset = max(arrival, self._last + _LEAST) - stamp
        return stamp + self._offset

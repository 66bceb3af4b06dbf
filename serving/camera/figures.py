"""How one camera does: what was detected, left out and late, and recent means of how long that took."""

from __future__ import annotations

import threading
import time
from collections import deque

__all__ = ["Figures"]

_RECENT = 0.1  # weight of the newest value in a mean
_SECONDS = 5.0  # over which frames per second are told


class Figures:
    """Counters and recent means of one camera. Thread-safe.

    Attributes
    ----------
    detected, rested, stale, passed : int
        Frames given to the detector; frames in which it was not needed; frames older than the staleness budget;
        frames left out because a newer one was there when the turn came.
    inference_ms, delay_ms : float
        Recent means: detecting in one frame; from its receipt to its count.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.detected = self.rested = self.stale = self.passed = 0
        self.inference_ms = self.delay_ms = 0.0
        self._delays: deque[float] = deque(maxlen=1000)
        self._received: deque[tuple[float, int]] = deque()

    def saw(self, detected: bool, delay: float) -> None:
        """One more frame counted, `delay` seconds after it was received."""
        with self._lock:
            self.detected += detected
            self.rested += not detected
            self.delay_ms = _mean(self.delay_ms, 1000 * delay)
            self._delays.append(1000 * delay)

    def inferred(self, seconds: float) -> None:
        """One more inference, which took so long."""
        with self._lock:
            self.inference_ms = _mean(self.inference_ms, 1000 * seconds)

    def delays(self) -> list[float]:
        """The latest delays in milliseconds."""
        with self._lock:
            return list(self._delays)

    def note(self, received: int) -> None:
        """How many frames were received until now."""
        now = time.monotonic()
        with self._lock:
            if not self._received or now - self._received[-1][0] >= 0.25:
                self._received.append((now, received))
            while now - self._received[0][0] > _SECONDS and len(self._received) > 1:
                self._received.popleft()

    def fps(self, received: int) -> float:
        """Frames received per second over the last seconds."""
        self.note(received)
        with self._lock:
            then, before = self._received[0]
        elapsed = time.monotonic() - then
        return round(max(received - before, 0) / elapsed, 2) if elapsed > 0.5 else 0.0


def _mean(mean: float, value: float) -> float:
    return value if mean == 0.0 else mean + _RECENT * (value - mean)

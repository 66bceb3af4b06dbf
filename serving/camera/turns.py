"""Turns at the detector: a few inferences at a time, and no camera waits because another asks more often."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Turns"]


class Turns:
    """Hands out a fixed number of turns, to the cameras in rotation.

    A camera that asks for many at once (a clip that is counted as fast as possible) gets one when every other that
    waits has had one. While somebody waits for a turn, newer frames may come: take the frame when the turn is
    there.

    Parameters
    ----------
    number : int
        How many may be taken at a time; as many as the runtime keeps in flight.

    Examples
    --------
    >>> turns = Turns(1)
    >>> with turns.turn("gate"):
    ...     pass  # detect
    """

    def __init__(self, number: int) -> None:
        self._free = number
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, deque[threading.Event]] = OrderedDict()

    @contextmanager
    def turn(self, camera: str) -> Iterator[None]:
        """Wait for a turn, and hold it within the block."""
        granted = threading.Event()
        with self._lock:
            self._waiting.setdefault(camera, deque()).append(granted)
            self._grant()
        try:
            granted.wait()
            yield
        finally:
            with self._lock:
                self._free += 1
                self._grant()

    def _grant(self) -> None:
        while self._free and self._waiting:
            camera, asked = self._waiting.popitem(last=False)
            granted = asked.popleft()
            if asked:
                self._waiting[camera] = asked  # again behind all others
            self._free -= 1
            granted.set()

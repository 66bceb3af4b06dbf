"""Ctrl-C and SIGTERM, taken at a moment when nothing is half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interruption"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Remembers that somebody wants the work to end, until the work asks.

    An interrupt that strikes in the middle of a database's transaction can leave a run whose status cannot be
    written any more. So the first signal is only noted, and `check` raises it between two batches; the second one
    strikes at once.

    Examples
    --------
    >>> import os
    >>> interruption = Interruption()
    >>> with interruption.listening():
    ...     os.kill(os.getpid(), signal.SIGTERM)
    ...     interruption.asked
    True
    """

    def __init__(self) -> None:
        self.asked = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal has come."""
        if self.asked:
            raise KeyboardInterrupt

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals while the block runs; only a main thread can, elsewhere they stay as they were."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # A process that was started to ignore a signal (nohup, a shell's background job) goes on ignoring it.
        minded = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._note) for number in minded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

"""What brings records to a sink: a thread of its own, so that a sink that is slow or down holds up nobody else."""

from __future__ import annotations

import logging
import random
import threading
import time

from serving.camera.records import CountRecord
from serving.camera.sinks.base import Sink
from serving.camera.sinks.refusals import Refusals
from serving.camera.state import StateStore
from serving.camera.state.outbox import Batch
from serving.camera.status import SinkStatus
from serving.errors import SinkError, StateError

__all__ = ["Delivery"]

_logger = logging.getLogger(__name__)

_LOOK = 0.1  # seconds between two looks at what waits; a look is a subtraction
_LONGEST_WAIT = 3600.0  # whatever the other side asks for


class Delivery:
    """Takes records from the state, in their order, and brings them to one sink until it has them.

    Cameras never wait for it: what a sink does not take stays in the state. Between two tries of the same batch it
    waits longer and longer, up to the longest wait, or for as long as the sink asked for. Records that the sink
    refuses for good while it takes others are set aside, see `Refusals`.

    Parameters
    ----------
    backoff : (float, float)
        First and longest wait, in seconds; each wait is shortened at random by up to a half, so that many workers
        do not come back to a mended database all at once.
    patience : float
        Seconds after which a sink that has not answered yet is told as down. It is waited for nevertheless: nobody
        knows whether it has taken the batch.
    """

    def __init__(
        self,
        store: StateStore,
        sink: Sink,
        *,
        backoff: tuple[float, float] = (1.0, 60.0),
        patience: float = 60.0,
    ) -> None:
        self.sink = sink
        self._patience, self._asked = patience, 0.0
        self._store, self._backoff = store, backoff
        self._refusals = Refusals(sink, store.folder)
        self._error = ""
        self._failures = 0
        self._untold = 0  # a batch that was taken, and is not yet written down as taken
        self._stopping, self._ended = threading.Event(), threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name=f"sink-{sink.name}", daemon=True)
        self._thread.start()

    def status(self) -> SinkStatus:
        """How the sink is now."""
        name, store, error = self.sink.name, self._store, self._error
        asked = self._asked
        if asked and (silent := time.monotonic() - asked) > self._patience:
            error = f"has not answered for {silent:.0f} s, and is waited for"
        return SinkStatus(
            name=name,
            up=not error,
            error=error,
            waiting=store.backlog(name),
            delivered=store.taken(name),
            lost=store.lost(name),
            refused=self._refusals.number,
        )

    def close(self, timeout: float = 5.0) -> bool:
        """Bring what still waits, as far as the sink takes it and the time suffices, and end.

        Returns
        -------
        bool
            Whether the thread has ended. A sink that hangs is left behind; what it did not take stays in the state
            and is brought by the next worker.
        """
        self._deadline = time.monotonic() + timeout
        self._stopping.set()
        ended = self._ended.wait(timeout)
        if not ended:
            _logger.warning("the sink %s does not answer; what waits for it is kept", self.sink.name)
        return ended

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                wait = self._step()
                if wait:
                    self._stopping.wait(wait)
            while time.monotonic() < self._deadline and self._store.backlog(self.sink.name):
                if self._deliver():  # a failure: the next worker tries again
                    break
        finally:
            try:
                self.sink.close()
            except Exception:
                _logger.exception("closing the sink %s", self.sink.name)
            self._ended.set()

    def _step(self) -> float:
        """One look, and one delivery where something waits; seconds until the next."""
        if not self._untold and not self._store.backlog(self.sink.name):
            return _LOOK
        if self.sink.linger and not self._failures:
            until = time.monotonic() + self.sink.linger
            while self._store.backlog(self.sink.name) < self.sink.batch_size:
                if self._stopping.wait(min(_LOOK, max(0.0, until - time.monotonic()))):
                    return 0.0  # what waits is brought at the end
                if time.monotonic() >= until:
                    break
        return self._deliver()

    def _deliver(self) -> float:
        """Bring one batch; seconds to wait, 0 where it was taken."""
        try:
            if not self._untold:
                batch = self._store.batch(self.sink.name, self.sink.batch_size)
                if batch is None:
                    return _LOOK
                if batch.records:
                    self._asked = time.monotonic()
                    self._bring(batch)
                self._untold = batch.up_to
            self._store.delivered(self.sink.name, self._untold)
            self._untold = 0
        except SinkError as error:
            return self._failed(str(error), error.retry_after, error.permanent)
        except StateError as error:
            return self._failed(str(error), None, False)
        except Exception as error:
            _logger.exception("the sink %s failed in a way that it should not", self.sink.name)
            return self._failed(f"{type(error).__name__}, see the log", None, False)
        finally:
            self._asked = 0.0
        if self._failures:
            _logger.warning("the sink %s takes records again, %d wait", self.sink.name, self._backlog())
        self._error, self._failures = "", 0
        return 0.0

    def _bring(self, batch: Batch) -> None:
        try:
            self.sink.deliver(batch.records, batch.name)
        except SinkError as error:
            if not error.refused:
                raise
            self._refusals.sift(batch, self._behind(batch), error)

    def _behind(self, batch: Batch) -> CountRecord | None:
        """The next record that waits behind a batch."""
        there = len(batch.records)
        waiting = self._store.waiting(self.sink.name, there + 1)
        return waiting[there][1] if len(waiting) > there else None

    def _failed(self, error: str, asked: float | None, permanent: bool) -> float:
        first, longest = self._backoff
        if error != self._error:
            level = logging.ERROR if permanent or not self._failures else logging.WARNING
            _logger.log(level, "the sink %s: %s; %d records wait", self.sink.name, error, self._backlog())
        self._failures += 1
        self._error = error
        wait = longest if permanent else min(longest, first * 2.0 ** min(self._failures - 1, 30))
        wait *= random.uniform(0.5, 1.0)  # noqa: S311 - nothing is guessed from it
        return max(wait, min(asked or 0.0, _LONGEST_WAIT))

    def _backlog(self) -> int:
        return self._store.backlog(self.sink.name)

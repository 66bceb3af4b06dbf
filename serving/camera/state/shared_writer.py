"""Changes of the state that come at the same moment, written in one transaction.

To wait for the disk is what a commit costs. Whoever comes while another one waits is taken along by the next
transaction, so that sixteen cameras wait about as long as one (group commit: DeWitt et al., Implementation
techniques for main memory database systems, 1984).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving.camera.state import outbox
from serving.camera.state.file import in_a_sentence
from serving.camera.state.outbox import SinkBacklog
from serving.errors import StateError

__all__ = ["SharedWriter", "Standing"]

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Standing:
    """How far the line of records goes, and how far each sink has come along it."""

    newest: int
    sinks: dict[str, SinkBacklog]


Apply = Callable[[sqlite3.Connection, Standing], None]


@dataclass(slots=True)
class _Change:
    """What one thread wants written, and what became of it."""

    apply: Apply
    done: bool = False
    error: Exception | None = None


class SharedWriter:
    """The one writer of a state. Thread-safe.

    Parameters
    ----------
    connection : sqlite3.Connection
        Nobody else writes with it.
    folder : Path
        Of the state, for messages.
    most : int
        Records that may wait for a sink.

    Attributes
    ----------
    now : Standing
        As it stands in the file; replaced, never changed.
    """

    def __init__(self, connection: sqlite3.Connection, folder: Path, most: int) -> None:
        self._connection, self._folder, self._most = connection, folder, most
        self._closed = False
        self._writing, self._queueing = threading.Lock(), threading.Lock()
        self._queue: list[_Change] = []
        self.now = Standing(0, {})

    def change(self, what: Sequence[Apply]) -> None:
        """Write changes, together with those that other threads bring meanwhile.

        Raises
        ------
        StateError
            Where they cannot be written; nothing of them is.
        """
        changes = [_Change(apply) for apply in what]
        with self._queueing:
            self._queue += changes
        with self._writing:
            if not all(change.done for change in changes):  # else somebody who came first took them along
                with self._queueing:
                    together, self._queue = self._queue, []
                self._write_together(together)
        for change in changes:
            if isinstance(change.error, StateError):
                raise StateError(str(change.error)) from change.error.__cause__
            if change.error is not None:
                raise change.error

    def wait_for_open_one(self) -> None:
        """Wait until the transaction that is open, if one is, has ended in one way or the other."""
        with self._writing:
            return

    def close(self) -> None:
        """Wait for the transaction that is open, and let none follow."""
        with self._writing:
            self._closed = True

    def _write_together(self, changes: Sequence[_Change]) -> None:
        """One transaction for all; each change learns what became of it."""
        error: Exception | None = None
        try:
            with self._transaction() as write:
                standing = self._standing(write)
                before = standing.newest
                for change in changes:
                    change.apply(write, standing)
                if standing.newest > before:
                    self._trim(write, standing, standing.newest - before)
            self.now = standing
        except StateError as trouble:
            error = trouble
        except Exception as trouble:  # noqa: BLE001 - raised again where the change came from
            if len(changes) > 1:  # the fault of one of them is not that of the others
                for change in changes:
                    self._write_together([change])
                return
            error = trouble
        except BaseException:
            for change in changes:
                change.done, change.error = True, StateError("the worker was interrupted while it wrote its state")
            raise
        for change in changes:
            change.done, change.error = True, error

    def _standing(self, write: sqlite3.Connection) -> Standing:
        """As it stands in the file: after a commit that failed, nobody knows whether it is there after all."""
        sinks = outbox.backlogs(write)
        return Standing(max([outbox.newest(write), *(of.taken for of in sinks.values())]), sinks)

    def _trim(self, write: sqlite3.Connection, standing: Standing, added: int) -> None:
        """Hold what waits and what is kept within its bounds."""
        for name, of in standing.sinks.items():
            shorter = of.shortened(standing.newest, self._most)
            if shorter is not of:
                standing.sinks[name] = shorter
                outbox.write_backlog(write, shorter)
        outbox.prune(write, list(standing.sinks.values()), standing.newest, added)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction; nothing of it stays where it fails."""
        if self._closed:
            raise StateError(f"the state in {self._folder} is closed")
        write = self._connection
        try:
            write.execute("BEGIN IMMEDIATE")
            yield write
            write.execute("COMMIT")
        except sqlite3.Error as error:
            _roll_back(write)
            raise StateError(f"cannot write the state in {self._folder}: {in_a_sentence(error)}") from error
        except BaseException:
            _roll_back(write)
            raise


def _roll_back(write: sqlite3.Connection) -> None:
    try:
        if write.in_transaction:
            write.execute("ROLLBACK")
    except sqlite3.Error as error:
        # SQLite has rolled back by itself; the next transaction tells whether the file can be written
        _logger.debug("rolling back: %s", error)

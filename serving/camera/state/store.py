"""The worker's state: one SQLite file, in which a camera's count and what came of it are written together."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from serving.camera.records import CountRecord
from serving.camera.state import outbox, tallies
from serving.camera.state.file import in_a_sentence, open_state
from serving.camera.state.outbox import Batch, SinkBacklog
from serving.errors import StateError

__all__ = ["Checkpoint", "StateStore"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the count of one camera stands.

    Parameters
    ----------
    snapshot : dict
        Of the counting engine, ready for JSON.
    sequence : int
        How many events the camera has had; what the ids of its records are made of.
    position : float or None
        Seconds into a clip; None for a live source.
    frame : int
        Index of the last frame that is in the snapshot.
    time : datetime
        When that frame was received, UTC.
    """

    snapshot: dict[str, Any]
    sequence: int
    position: float | None
    frame: int
    time: datetime


@dataclass(slots=True)
class _Write:
    """What one camera wants written: rows that are ready, so that nothing can fail but the writing."""

    checkpoint: tuple[Any, ...]
    records: Sequence[CountRecord]
    rows: list[tuple[str, str]]
    done: bool = False
    error: str = ""


class StateStore:
    """The state of one worker. Thread-safe; one process at a time.

    Cameras that commit at the same moment share one transaction, and so one wait for the disk.

    Parameters
    ----------
    folder : Path
        On a local disk; made with the rights 0700.
    sinks : sequence of str
        Names of the sinks. One that is new begins with what is committed next; one that is no longer named is
        kept for a week, in case it comes back.
    max_waiting : int
        Records that may wait for a sink (about 500 bytes each on the disk); beyond that the oldest are given up
        and counted in `lost`. They stay in the counts.

    Attributes
    ----------
    epoch : UUID
        Made when the state was begun; the same as long as the file lives.
    trouble : str
        Why the state had to be begun anew; empty where it had not.

    Raises
    ------
    StateError
        Where another process holds the state, it cannot be written, or a newer version wrote it.

    Examples
    --------
    >>> import tempfile
    >>> store = StateStore(Path(tempfile.mkdtemp()), sinks=["file"])
    >>> now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> record = CountRecord("a", "gate", "crossing", "line", "in", now, "car", 1, 0.9, (3.0, 4.0), 17)
    >>> store.commit("gate", Checkpoint({"tracks": []}, 1, None, 17, now), [record])
    >>> store.load("gate").frame, store.today("gate", "Europe/Berlin", now)["lines"]
    (17, {'line': {'in': 1, 'out': 0}})
    >>> batch = store.batch("file", 100)
    >>> len(batch.records), store.delivered("file", batch.up_to), store.backlog("file")
    (1, None, 0)
    >>> store.close()
    """

    def __init__(self, folder: Path, *, sinks: Sequence[str] = (), max_waiting: int = 1_000_000) -> None:
        if max_waiting < 1:
            raise ValueError(f"max_waiting: expected at least 1, got {max_waiting}")
        self.folder = Path(folder)
        self._most = max_waiting
        self._file = open_state(self.folder)
        self.epoch, self.trouble = self._file.epoch, self._file.trouble
        self._closed = False
        self._writing, self._reading, self._queueing = threading.Lock(), threading.Lock(), threading.Lock()
        self._queue: list[_Write] = []
        self._newest = 0
        self._sinks: dict[str, SinkBacklog] = {}
        try:
            with self._writing, self._transaction() as write:
                self._newest = write.execute("SELECT coalesce(max(number), 0) FROM records").fetchone()[0]
                self._newest = max([self._newest, *(b.taken for b in outbox.backlogs(write).values())])
                absent = outbox.enrol(write, sinks, self._newest, time.time())
                self._sinks = outbox.backlogs(write)
        except BaseException:
            self._file.close()
            raise
        _tell_absent(absent)

    def load(self, camera: str) -> Checkpoint | None:
        """Where the count of a camera stood at its last commit; None for a camera that has none."""
        with self._read() as read:
            row = read.execute(
                "SELECT snapshot, sequence, position, frame, time FROM checkpoints WHERE camera = ?", (camera,)
            ).fetchone()
        if row is None:
            return None
        return Checkpoint(json.loads(row[0]), row[1], row[2], row[3], datetime.fromisoformat(row[4]))

    def commit(self, camera: str, checkpoint: Checkpoint, records: Sequence[CountRecord]) -> None:
        """Write a checkpoint and what happened since the one before: all of it or nothing.

        Records whose id is there already are left out, so that a commit may be tried again.

        Raises
        ------
        StateError
            Where it cannot be written; keep the records and try again.
        ValueError
            Where a record has a time without a zone, or a number that is none.
        """
        self.commit_many([(camera, checkpoint, records)])

    def commit_many(self, commits: Sequence[tuple[str, Checkpoint, Sequence[CountRecord]]]) -> None:
        """Write the checkpoints and records of several cameras in one transaction; see `commit`."""
        writes = [_prepared(*told) for told in commits]
        with self._queueing:
            self._queue += writes
        with self._writing:
            if not all(write.done for write in writes):  # else somebody who came first took them along
                with self._queueing:
                    together, self._queue = self._queue, []
                self._commit_together(together)
        for write in writes:
            if write.error:
                raise StateError(write.error)

    def forget(self, camera: str) -> None:
        """Drop the checkpoint of a camera; its counts and the records on their way stay.

        Raises
        ------
        StateError
            Where it cannot be written.
        """
        with self._writing, self._transaction() as write:
            write.execute("DELETE FROM checkpoints WHERE camera = ?", (camera,))

    def today(self, camera: str, time_zone: str, now: datetime) -> dict[str, Any]:
        """Counts of the day that it is at the site, from its midnight on.

        Returns
        -------
        dict
            {"lines": {name: {"in": n, "out": n}}, "zones": {name: {"entered": n, "left": n}}, "flows": {name: n}};
            a line where nothing happened is not there.
        """
        zone = tallies.time_zone(time_zone)
        first, last = tallies.local_day(now.astimezone(zone).date(), zone)
        with self._read() as read:
            return tallies.day_counts(read, camera, first, last)

    def intervals(
        self, camera: str, interval: str, time_zone: str, since: datetime, until: datetime
    ) -> list[dict[str, Any]]:
        """Counts per interval of the site's clock, `since <= start < until`, intervals without any left out.

        Parameters
        ----------
        interval : {"1min", "15min", "hour", "day"}
            Minutes are kept for 8 days, the others for 400.

        Returns
        -------
        list of dict
            In order of time: start and end (ISO 8601, local), kind (line, zone or flow), name, class, in and out:
            crossings of a line; those who entered and left a zone; `in` alone for a flow.
        """
        zone = tallies.time_zone(time_zone)
        with self._read() as read:
            return tallies.interval_rows(read, camera, interval, zone, since.timestamp(), until.timestamp())

    def waiting(self, sink: str, limit: int) -> list[tuple[int, CountRecord]]:
        """The oldest records that a sink has not taken, with their numbers, at most `limit`."""
        with self._read() as read:
            of = self._sinks[sink]
            found = outbox.read_records(read, of.first, of.last, limit)
            return found + outbox.read_records(read, of.taken + 1, self._newest, limit - len(found))

    def batch(self, sink: str, limit: int) -> Batch | None:
        """The batch that a sink is to take now; None where nothing waits.

        One that was not acknowledged is given again, with the same records under the same name, also after a
        `kill -9`. A new one holds at most `limit` records, and is written down before it is given.

        Raises
        ------
        StateError
            Where it cannot be written down.
        """
        of = self._sinks[sink]
        if not of.in_batch:
            with self._writing:
                of = self._sinks[sink]
                if of.taken >= self._newest:
                    return None
                of = of.begun(min(of.taken + limit, self._newest))
                with self._transaction() as write:
                    outbox.write_backlog(write, of)
                self._sinks[sink] = of
        with self._read() as read:
            found = outbox.read_records(read, of.first, of.last, of.in_batch)
        return Batch(f"{self.epoch.hex}-{of.first}-{of.last}", of.last, tuple(record for _, record in found))

    def delivered(self, sink: str, up_to: int) -> None:
        """Write down that a sink has taken all records up to this number.

        Raises
        ------
        StateError
            Where it cannot be written; the sink gets the same batch again.
        """
        with self._writing:
            of = self._sinks[sink].acknowledged(min(up_to, self._newest))
            with self._transaction() as write:
                outbox.write_backlog(write, of)
            self._sinks[sink] = of

    def backlog(self, sink: str) -> int:
        """How many records wait for a sink."""
        return self._sinks[sink].waiting(self._newest)

    def taken(self, sink: str) -> int:
        """How many records a sink has taken since the state was begun."""
        return self._sinks[sink].delivered

    def lost(self, sink: str) -> int:
        """How many records a sink never gets, because more than `max_waiting` waited."""
        return self._sinks[sink].lost

    def close(self) -> None:
        """Let go of the file; another process may then open it."""
        with self._writing, self._reading:
            if not self._closed:
                self._closed = True
                self._file.close()

    def _commit_together(self, writes: Sequence[_Write]) -> None:
        """Write what several threads brought; each learns from its `_Write` what became of it."""
        try:
            with self._transaction() as write:
                newest, sinks = self._newest, self._sinks
                for told in writes:
                    write.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?, ?, ?)", told.checkpoint)
                    new = outbox.append(write, told.rows, newest)
                    newest += len(new)
                    tallies.add(write, [told.records[index] for index in new], time.time())
                if newest > self._newest:
                    sinks = {name: of.shortened(newest, self._most) for name, of in sinks.items()}
                    for name, of in sinks.items():
                        if of is not self._sinks[name]:
                            outbox.write_backlog(write, of)
                    outbox.prune(write, list(sinks.values()), newest, newest - self._newest)
            self._newest, self._sinks = newest, dict(sinks)
        except BaseException as error:
            for told in writes:
                told.done, told.error = True, str(error) or type(error).__name__
            if not isinstance(error, StateError):
                raise
        else:
            for told in writes:
                told.done = True

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction of the writer, whose lock is held; nothing of it stays where it fails."""
        if self._closed:
            raise StateError(f"the state in {self.folder} is closed")
        write = self._file.write
        try:
            write.execute("BEGIN IMMEDIATE")
            yield write
            write.execute("COMMIT")
        except sqlite3.Error as error:
            _roll_back(write)
            raise StateError(f"cannot write the state in {self.folder}: {in_a_sentence(error)}") from error
        except BaseException:
            _roll_back(write)
            raise

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._reading:
            if self._closed:
                raise StateError(f"the state in {self.folder} is closed")
            try:
                yield self._file.read
            except sqlite3.Error as error:
                raise StateError(f"cannot read the state in {self.folder}: {in_a_sentence(error)}") from error


def _prepared(camera: str, checkpoint: Checkpoint, records: Sequence[CountRecord]) -> _Write:
    for record in records:
        if record.time.tzinfo is None:
            raise ValueError(f"record {record.id}: expected a time with its zone, got {record.time.isoformat()}")
    row = (
        camera,
        json.dumps(checkpoint.snapshot, separators=(",", ":")),
        checkpoint.sequence,
        checkpoint.position,
        checkpoint.frame,
        checkpoint.time.astimezone(UTC).isoformat(),
    )
    texts = [json.dumps(r.to_dict(), separators=(",", ":"), allow_nan=False) for r in records]
    return _Write(row, tuple(records), [(r.id, text) for r, text in zip(records, texts, strict=True)])


def _roll_back(write: sqlite3.Connection) -> None:
    try:
        if write.in_transaction:
            write.execute("ROLLBACK")
    except sqlite3.Error as error:
        # SQLite has rolled back by itself; the next transaction tells whether the file can be written
        _logger.debug("rolling back: %s", error)


def _tell_absent(absent: dict[str, int]) -> None:
    for name, waiting in sorted(absent.items()):
        if waiting > 0:
            _logger.warning(
                "%d records wait for the sink %s, which is no longer configured: they are kept for a week",
                waiting,
                name,
            )
        elif waiting < 0:
            _logger.warning(
                "the sink %s was not configured for a week: %d records for it are dropped", name, -waiting
            )

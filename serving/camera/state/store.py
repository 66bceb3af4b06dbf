"""The worker's state: one SQLite file, in which a camera's count and what came of it are written together."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from camera_counting.counting.intervals import Interval, interval_of
from camera_counting.time_zones import time_zone as zone_named
from serving.camera.records import CountRecord
from serving.camera.state import outbox, tallies
from serving.camera.state.checkpoint import Checkpoint, change_of
from serving.camera.state.file import in_a_sentence, open_state
from serving.camera.state.outbox import Batch
from serving.camera.state.shared_writer import SharedWriter, Standing
from serving.camera.state.texts import Texts
from serving.errors import StateError

__all__ = ["Checkpoint", "StateStore"]

_logger = logging.getLogger(__name__)


class StateStore:
    """The state of one worker. Thread-safe; one process at a time.

    Cameras and sinks that have something to write at the same moment share one transaction, and so one wait for
    the disk.

    Parameters
    ----------
    folder : Path
        On a local disk; made with the rights 0700 where it is absent. Its files have the rights 0600.
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
    >>> from datetime import UTC
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
        self._file = open_state(self.folder)
        self.epoch, self.trouble = self._file.epoch, self._file.trouble
        self._closed = False
        self._reading = threading.Lock()
        self._texts = Texts()
        absent: dict[str, int] = {}

        def enrol(write: sqlite3.Connection, standing: Standing) -> None:
            absent.update(outbox.enrol(write, sinks, standing.newest, time.time()))
            standing.sinks = outbox.backlogs(write)

        try:
            self._writer = SharedWriter(self._file.write, self.folder, max_waiting)
            self._writer.change([enrol])
        except BaseException:
            self._file.close()
            raise
        _tell_absent(absent)

    def load(self, camera: str) -> Checkpoint | None:
        """Where the count of a camera stood at its last commit; None for a camera that has none.

        A commit that is on its way, perhaps to a disk that hangs, is waited for: it is the last one.
        """
        self._writer.wait_for_open_one()
        with self._read() as read:
            row = read.execute(
                "SELECT snapshot, sequence, position, frame, time FROM checkpoints WHERE camera = ?", (camera,)
            ).fetchone()
        if row is None:
            return None
        return Checkpoint(json.loads(row[0]), row[1], row[2], row[3], datetime.fromisoformat(row[4]))

    def commit(
        self,
        camera: str,
        checkpoint: Checkpoint,
        records: Sequence[CountRecord],
        unless: Callable[[], bool] = lambda: False,
    ) -> None:
        """Write a checkpoint and what happened since the one before: all of it or nothing.

        Records whose id is there already are left out, so that a commit may be tried again.

        Parameters
        ----------
        unless : callable
            Asked within the transaction, however long it was waited for; where it says yes, nothing is written.

        Raises
        ------
        StateError
            Where it cannot be written; keep the records and try again.
        ValueError
            Where a record has a time without a zone, or a number that is none.
        """
        self._commit([(camera, checkpoint, records)], unless)

    def commit_many(self, commits: Sequence[tuple[str, Checkpoint, Sequence[CountRecord]]]) -> None:
        """Write the checkpoints and records of several cameras in one transaction; see `commit`."""
        self._commit(commits, lambda: False)

    def _commit(
        self, commits: Sequence[tuple[str, Checkpoint, Sequence[CountRecord]]], unless: Callable[[], bool]
    ) -> None:
        texts = [self._texts.of(records) for _, _, records in commits]
        changes = [change_of(*told, of, unless) for told, of in zip(commits, texts, strict=True)]
        try:
            self._writer.change(changes)
        except StateError:
            for (_, _, records), of in zip(commits, texts, strict=True):
                self._texts.keep(records, of)
            raise
        for _, _, records in commits:
            self._texts.drop(records)

    def forget(self, camera: str) -> None:
        """Drop the checkpoint of a camera; its counts and the records on their way stay.

        Raises
        ------
        StateError
            Where it cannot be written.
        """

        def apply(write: sqlite3.Connection, _: Standing) -> None:
            write.execute("DELETE FROM checkpoints WHERE camera = ?", (camera,))

        self._writer.change([apply])

    def today(self, camera: str, time_zone: str, now: datetime) -> dict[str, Any]:
        """Counts of the day that it is at the site, from its midnight on.

        Returns
        -------
        dict
            {"lines": {name: {"in": n, "out": n}}, "zones": {name: {"entered": n, "left": n}}, "flows": {name: n}};
            a line where nothing happened is not there.
        """
        began, ended = interval_of(now, "day", zone_named(time_zone))
        with self._read() as read:
            return tallies.day_counts(read, camera, began.timestamp(), ended.timestamp())

    def intervals(
        self, camera: str, interval: Interval, time_zone: str, since: datetime, until: datetime
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
        zone = zone_named(time_zone)
        with self._read() as read:
            return tallies.interval_rows(read, camera, interval, zone, since.timestamp(), until.timestamp())

    def totals(self, camera: str) -> list[dict[str, Any]]:
        """What a camera has counted in all, of the last 400 days.

        Returns
        -------
        list of dict
            kind, name, direction, class and count.
        """
        with self._read() as read:
            return tallies.totals(read, camera)

    def waiting(self, sink: str, limit: int) -> list[tuple[int, CountRecord]]:
        """The oldest records that a sink has not taken, with their numbers, at most `limit`."""
        now = self._writer.now
        of = now.sinks[sink]
        with self._read() as read:
            found = outbox.read_records(read, of.first, of.last, limit)
            return found + outbox.read_records(read, of.taken + 1, now.newest, limit - len(found))

    def batch(self, sink: str, limit: int) -> Batch | None:
        """The batch that a sink is to take now; None where nothing waits.

        One that was not acknowledged is given again, with the same records under the same name, also after a
        `kill -9`. A new one holds at most `limit` records, and is written down before it is given.

        Raises
        ------
        StateError
            Where it cannot be written down.
        """

        def apply(write: sqlite3.Connection, standing: Standing) -> None:
            of = standing.sinks[sink]
            if not of.in_batch and of.taken < standing.newest:
                standing.sinks[sink] = of.begun(min(of.taken + limit, standing.newest))
                outbox.write_backlog(write, standing.sinks[sink])

        if not self._writer.now.sinks[sink].in_batch:
            self._writer.change([apply])
        of = self._writer.now.sinks[sink]
        if not of.in_batch:
            return None
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

        def apply(write: sqlite3.Connection, standing: Standing) -> None:
            standing.sinks[sink] = standing.sinks[sink].acknowledged(min(up_to, standing.newest))
            outbox.write_backlog(write, standing.sinks[sink])

        self._writer.change([apply])

    def backlog(self, sink: str) -> int:
        """How many records wait for a sink."""
        now = self._writer.now
        return now.sinks[sink].waiting(now.newest)

    def taken(self, sink: str) -> int:
        """How many records a sink has taken since the state was begun."""
        return self._writer.now.sinks[sink].delivered

    def lost(self, sink: str) -> int:
        """How many records a sink never gets, because more than `max_waiting` waited."""
        return self._writer.now.sinks[sink].lost

    def close(self) -> None:
        """Let go of the file; another process may then open it."""
        self._writer.close()
        with self._reading:
            if not self._closed:
                self._closed = True
                self._file.close()

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._reading:
            if self._closed:
                raise StateError(f"the state in {self.folder} is closed")
            try:
                yield self._file.read
            except sqlite3.Error as error:
                raise StateError(f"cannot read the state in {self.folder}: {in_a_sentence(error)}") from error


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

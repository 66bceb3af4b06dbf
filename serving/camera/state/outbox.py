"""What waits for the sinks: one line of records, and for each sink how far along it the sink has come.

A batch is settled before it is delivered: its first and last record stand in the file. Whoever dies over it
delivers the very same batch again, under the same name, so that a sink can tell it by its name.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from serving.camera.records import CountRecord

__all__ = [
    "TABLES",
    "Batch",
    "SinkBacklog",
    "append",
    "backlogs",
    "enrol",
    "prune",
    "read_records",
    "write_backlog",
]

TABLES = (
    "CREATE TABLE records (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL)",
    """CREATE TABLE sinks (
        name TEXT PRIMARY KEY, taken INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
        delivered INTEGER NOT NULL, lost INTEGER NOT NULL, absent_since REAL
    ) WITHOUT ROWID""",
)
_ABSENT_DAYS = 7
# Records that every sink has taken are kept so that one that is committed again is known by its id.
_KEPT_RECORDS = 20_000
_PRUNED_AT_ONCE = 2_000
_IN_NO_BATCH = "NOT EXISTS (SELECT 1 FROM sinks WHERE records.number BETWEEN sinks.first AND sinks.last)"


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that a sink gets at once, in order, under a name that is theirs alone.

    Parameters
    ----------
    name : str
        <epoch>-<first>-<last>: the same whenever the batch is delivered again.
    up_to : int
        Number of the last record, for `StateStore.delivered`.
    """

    name: str
    up_to: int
    records: tuple[CountRecord, ...]


@dataclass(frozen=True, slots=True)
class SinkBacklog:
    """How far one sink has come.

    Parameters
    ----------
    taken : int
        Number of the last record that is in a batch, delivered, or lost.
    first, last : int
        The batch that is being delivered; `last < first` where there is none.
    delivered, lost : int
        Records, since the state was begun.
    """

    name: str
    taken: int
    first: int = 1
    last: int = 0
    delivered: int = 0
    lost: int = 0

    @property
    def in_batch(self) -> int:
        """Records in the batch that is being delivered."""
        return max(0, self.last - self.first + 1)

    def waiting(self, newest: int) -> int:
        """Records that are not delivered, where `newest` is the number of the newest one."""
        return newest - self.taken + self.in_batch

    def begun(self, last: int) -> SinkBacklog:
        """With a batch up to this record."""
        return replace(self, taken=last, first=self.taken + 1, last=last)

    def acknowledged(self, up_to: int) -> SinkBacklog:
        """Without the records up to this one."""
        of_batch = max(0, min(up_to, self.last) - self.first + 1)
        beyond = max(0, up_to - max(self.taken, self.last))
        first = self.first + of_batch
        return replace(
            self, taken=max(self.taken, up_to), first=first, delivered=self.delivered + of_batch + beyond
        )

    def shortened(self, newest: int, most: int) -> SinkBacklog:
        """With the oldest given up where more than `most` wait; those in a batch are never given up."""
        surplus = min(self.waiting(newest) - most, newest - self.taken)
        return self if surplus <= 0 else replace(self, taken=self.taken + surplus, lost=self.lost + surplus)


def backlogs(connection: sqlite3.Connection) -> dict[str, SinkBacklog]:
    """Every sink's, as it stands in the file."""
    rows = connection.execute("SELECT name, taken, first, last, delivered, lost FROM sinks").fetchall()
    return {row[0]: SinkBacklog(*row) for row in rows}


def newest(connection: sqlite3.Connection) -> int:
    """Number of the newest record; 0 before there was one."""
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM records").fetchone()[0])


def enrol(write: sqlite3.Connection, names: Sequence[str], newest: int, now: float) -> dict[str, int]:
    """Let new sinks begin with what comes next, and let go of those that have been absent for a week.

    Returns
    -------
    dict of str to int
        The sinks that are no longer among `names`, with how many records they never got; those that were let go
        have a negative number.
    """
    known = backlogs(write)
    absent: dict[str, int] = {}
    for name in names:
        write.execute("INSERT OR IGNORE INTO sinks VALUES (?, ?, 1, 0, 0, 0, NULL)", (name, newest))
        write.execute("UPDATE sinks SET absent_since = NULL WHERE name = ?", (name,))
    for name in set(known) - set(names):
        write.execute("UPDATE sinks SET absent_since = coalesce(absent_since, ?) WHERE name = ?", (now, name))
        since = write.execute("SELECT absent_since FROM sinks WHERE name = ?", (name,)).fetchone()[0]
        waiting = known[name].waiting(newest)
        if not waiting or now - since > _ABSENT_DAYS * 86_400:
            write.execute("DELETE FROM sinks WHERE name = ?", (name,))
            waiting = -waiting
        absent[name] = waiting
    return absent


def append(write: sqlite3.Connection, records: Sequence[tuple[str, str]], newest: int) -> list[int]:
    """Put (id, JSON) pairs at the end, except for those that are there.

    Returns
    -------
    list of int
        Indices of the records that were new.
    """
    new: list[int] = []
    for index, (name, text) in enumerate(records):
        number = newest + len(new) + 1
        insert = "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING"
        if write.execute(insert, (number, name, text)).rowcount:
            new.append(index)
    return new


def write_backlog(write: sqlite3.Connection, backlog: SinkBacklog) -> None:
    """Keep how far a sink has come."""
    write.execute(
        "UPDATE sinks SET taken = ?, first = ?, last = ?, delivered = ?, lost = ? WHERE name = ?",
        (backlog.taken, backlog.first, backlog.last, backlog.delivered, backlog.lost, backlog.name),
    )


def prune(write: sqlite3.Connection, of_sinks: Sequence[SinkBacklog], newest: int, added: int) -> None:
    """Drop old records that no sink waits for, some at a time, so that no commit waits long for it.

    They are dropped faster than they are `added`.
    """
    needed = min([newest, *(b.taken for b in of_sinks)])
    last = min(needed, newest - _KEPT_RECORDS)
    # a batch is kept as long as it takes, but not all that came after it and was given up meanwhile
    first = f"SELECT number FROM records WHERE {_IN_NO_BATCH} ORDER BY number LIMIT 1"  # noqa: S608
    row = write.execute(first).fetchone()
    if row is not None and last - (oldest := row[0]) >= _PRUNED_AT_ONCE // 4:
        write.execute(
            f"DELETE FROM records WHERE number <= ? AND {_IN_NO_BATCH}",  # noqa: S608
            (min(last, oldest + max(_PRUNED_AT_ONCE, 2 * added)),),
        )


def read_records(read: sqlite3.Connection, first: int, last: int, limit: int) -> list[tuple[int, CountRecord]]:
    """Records by number, at most `limit`."""
    rows = read.execute(
        "SELECT number, record FROM records WHERE number BETWEEN ? AND ? ORDER BY number LIMIT ?",
        (first, last, limit),
    ).fetchall()
    return [(number, _record(json.loads(text))) for number, text in rows]


def _record(told: dict[str, Any]) -> CountRecord:
    x, y = told["position"]
    return CountRecord(**{**told, "time": datetime.fromisoformat(told["time"]), "position": (x, y)})

"""How often something happened, by time: what the day's counts and the counts per interval are added up from.

Counts are kept by the minute and by the quarter of an hour, in UTC. Every time zone in use is a whole number of
quarters away from UTC, so that hours and days of any site are sums of quarters, also where its clocks are put
forward or back. Minutes are kept for 8 days, quarters for 400.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from camera_counting.counting.intervals import Interval, interval_of
from serving.camera.records import CountRecord

__all__ = ["TABLES", "add", "day_counts", "interval_rows", "totals"]

TABLES = (
    """CREATE TABLE tallies (
        camera TEXT NOT NULL, span INTEGER NOT NULL, start INTEGER NOT NULL, kind TEXT NOT NULL,
        name TEXT NOT NULL, class_name TEXT NOT NULL, direction TEXT NOT NULL, n INTEGER NOT NULL,
        PRIMARY KEY (camera, span, start, kind, name, class_name, direction)
    ) WITHOUT ROWID""",
    "CREATE TABLE days (camera TEXT NOT NULL, day INTEGER NOT NULL, PRIMARY KEY (camera, day)) WITHOUT ROWID",
)
_MINUTE, _QUARTER, _DAY = 60, 900, 86_400
_KEPT_DAYS = {_MINUTE: 8, _QUARTER: 400}
# of what an event counts, and whether as in (0) or out (1); None where its direction says so
_COLUMNS = {"crossing": ("line", None), "entered": ("zone", 0), "left": ("zone", 1), "flow": ("flow", 0)}
_SPANS = {"1min": _MINUTE, "15min": _QUARTER, "hour": _QUARTER, "day": _QUARTER}


def add(write: sqlite3.Connection, records: Iterable[CountRecord], now: float) -> None:
    """Count records in the transaction that is open; `now` (seconds since 1970) says which old counts may go."""
    found: Counter[tuple[str, int, int, str, str, str, str]] = Counter()
    for record in records:
        moment = int(record.time.timestamp() // 1)
        for span in (_MINUTE, _QUARTER):
            told = (record.kind, record.name, record.class_name, record.direction)
            found[(record.camera, span, moment - moment % span, *told)] += 1
    write.executemany(
        "INSERT INTO tallies VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
        [(*key, n) for key, n in found.items()],
    )
    for camera, day in {(key[0], key[2] // _DAY) for key in found}:
        if write.execute("INSERT OR IGNORE INTO days VALUES (?, ?)", (camera, day)).rowcount:
            _forget(write, camera, now)


def day_counts(read: sqlite3.Connection, camera: str, first: float, last: float) -> dict[str, Any]:
    """Counts of the quarters with `first <= start < last`: {"lines": ..., "zones": ..., "flows": ...}."""
    lines: dict[str, dict[str, int]] = {}
    zones: dict[str, dict[str, int]] = {}
    flows: dict[str, int] = {}
    rows = read.execute(
        "SELECT kind, name, direction, sum(n) FROM tallies WHERE camera = ? AND span = ? AND start >= ? AND "
        "start < ? GROUP BY kind, name, direction",
        (camera, _QUARTER, first, last),
    ).fetchall()
    for kind, name, direction, n in rows:
        if kind == "crossing" and direction in ("in", "out"):
            lines.setdefault(name, {"in": 0, "out": 0})[direction] += n
        elif kind in ("entered", "left"):
            zones.setdefault(name, {"entered": 0, "left": 0})[kind] += n
        elif kind == "flow":
            flows[name] = flows.get(name, 0) + n
    return {"lines": lines, "zones": zones, "flows": flows}


def totals(read: sqlite3.Connection, camera: str) -> list[dict[str, Any]]:
    """All that is kept of a camera, added up; see `StateStore.totals`."""
    rows = read.execute(
        "SELECT kind, name, direction, class_name, sum(n) FROM tallies WHERE camera = ? AND span = ? "
        "GROUP BY kind, name, direction, class_name",
        (camera, _QUARTER),
    )
    return [dict(zip(("kind", "name", "direction", "class", "count"), row, strict=True)) for row in rows]


def interval_rows(
    read: sqlite3.Connection, camera: str, interval: Interval, zone: ZoneInfo, first: float, last: float
) -> list[dict[str, Any]]:
    """Counts per interval; see `StateStore.intervals`."""
    if interval not in _SPANS:
        raise ValueError(f"interval: expected one of {', '.join(_SPANS)}, got {interval!r}")
    rows = read.execute(
        "SELECT start, kind, name, class_name, direction, n FROM tallies WHERE camera = ? AND span = ? AND "
        "start >= ? AND start < ?",
        (camera, _SPANS[interval], first, last),
    ).fetchall()
    sums: dict[tuple[float, float, str, str, str], list[int]] = {}
    for start, kind, name, class_name, direction, n in rows:
        if kind in _COLUMNS:
            what, column = _COLUMNS[kind]
            numbers = sums.setdefault((*_interval(start, interval, zone), what, name, class_name), [0, 0])
            numbers[column if column is not None else int(direction == "out")] += n
    return [
        {
            "start": datetime.fromtimestamp(start, zone).isoformat(),
            "end": datetime.fromtimestamp(end, zone).isoformat(),
            "kind": what,
            "name": name,
            "class": class_name,
            "in": numbers[0],
            "out": numbers[1],
        }
        for (start, end, what, name, class_name), numbers in sorted(sums.items())
    ]


def _interval(start: int, interval: Interval, zone: ZoneInfo) -> tuple[float, float]:
    began, ended = interval_of(datetime.fromtimestamp(start, UTC), interval, zone)
    return began.timestamp(), ended.timestamp()


def _forget(write: sqlite3.Connection, camera: str, now: float) -> None:
    """Drop days that are too old both by the clock and by how many newer ones there are.

    A clock that jumps for a moment can thus not drop the counts of the days before it jumped.
    """
    for span, kept in _KEPT_DAYS.items():
        row = write.execute(
            "SELECT day FROM days WHERE camera = ? ORDER BY day DESC LIMIT 1 OFFSET ?", (camera, kept - 1)
        ).fetchone()
        if row is None:
            continue
        oldest = min(row[0], int(now) // _DAY - kept)
        write.execute(
            "DELETE FROM tallies WHERE camera = ? AND span = ? AND start < ?", (camera, span, oldest * _DAY)
        )
        if span == _QUARTER:
            write.execute("DELETE FROM days WHERE camera = ? AND day < ?", (camera, oldest))

"""Counts per interval of the site's own clock: 1 minute, 15 minutes, an hour, a day.

Intervals are those that a clock on the wall shows: they begin at full minutes, quarters, hours and midnights of
the site's time zone. On the two days on which that clock is put forward or back, a day has 23 or 25 hours, and an
hour that comes twice is two intervals, told apart by their offsets. Where the clock jumps in the middle of an
interval (Lord Howe Island by half an hour), the interval is cut there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal, get_args

from camera_counting.counting.events import Event
from camera_counting.time_zones import time_zone

__all__ = ["INTERVALS", "Interval", "IntervalCounts", "counts_per_interval", "interval_of"]

Interval = Literal["1min", "15min", "hour", "day"]
INTERVALS: tuple[Interval, ...] = get_args(Interval)

_MINUTES: dict[str, int] = {"1min": 1, "15min": 15, "hour": 60}
_KINDS = {
    "crossing": ("line", None),
    "entered": ("zone", "in"),
    "left": ("zone", "out"),
    "flow": ("flow", "in"),
}
_ORDER = ("line", "zone", "flow")
# Of each interval, so many rows are kept: a day of minutes of a busy camera, some years of days.
_MOST_ROWS = 20_000
_FORMAT = 1

_Key = tuple[str, str, str]  # line, zone or flow; its name; the class
_Start = float  # of an interval, seconds since 1970 UTC


class IntervalCounts:
    """Counts per interval of all lengths, as events come.

    Memory is bounded: of each length of interval the oldest are dropped once there are more than `most_rows` rows
    (one row is one interval, line or zone or flow, and class); `dropped` says how many rows were.

    Parameters
    ----------
    time_zone : str or tzinfo
        The site's, by its IANA name as "Europe/Berlin".
    most_rows : int

    Raises
    ------
    ValueError
        Where there is no such time zone, in a sentence.

    Examples
    --------
    >>> counts = IntervalCounts("Europe/Berlin")
    >>> counts.add("crossing", "gate", "car", "in", datetime(2026, 3, 29, 0, 59, tzinfo=UTC))
    >>> counts.add("crossing", "gate", "car", "in", datetime(2026, 3, 29, 1, 1, tzinfo=UTC))
    >>> [(row["start"], row["in"]) for row in counts.rows("hour")]  # there is no hour from 2 to 3 in this night
    [('2026-03-29T01:00:00+01:00', 1), ('2026-03-29T03:00:00+02:00', 1)]
    >>> [(row["start"], row["end"], row["in"]) for row in counts.rows("day")]
    [('2026-03-29T00:00:00+01:00', '2026-03-30T00:00:00+02:00', 2)]
    """

    def __init__(self, time_zone: str | tzinfo, *, most_rows: int = _MOST_ROWS) -> None:
        if most_rows < 1:
            raise ValueError(f"expected most_rows of at least 1, got {most_rows}")
        self._zone = _zone(time_zone)
        self._most = most_rows
        self._sums: dict[Interval, dict[_Start, dict[_Key, list[int]]]] = {name: {} for name in INTERVALS}
        self._ends: dict[tuple[Interval, _Start], float] = {}
        self._rows: dict[Interval, int] = dict.fromkeys(INTERVALS, 0)
        self.dropped: dict[Interval, int] = dict.fromkeys(INTERVALS, 0)

    @property
    def time_zone(self) -> str:
        """The name of the time zone."""
        return str(self._zone)

    def add(self, event_kind: str, name: str, class_name: str, direction: str, time: datetime) -> None:
        """Take in one event; those of other kinds than crossing, entered, left and flow are no counts.

        Parameters
        ----------
        event_kind, name, class_name, direction
            As in `Event`.
        time : datetime
            When it happened, with an offset.

        Raises
        ------
        ValueError
            Where the time has no offset.
        """
        if event_kind not in _KINDS:
            return
        of, way = _KINDS[event_kind]
        column = 0 if (way or direction) == "in" else 1
        for interval in INTERVALS:
            began, ended = interval_of(time, interval, self._zone)
            start = began.timestamp()
            sums = self._sums[interval].get(start)
            if sums is None:
                sums = self._sums[interval][start] = {}
                self._ends[interval, start] = ended.timestamp()
            key = (of, name, class_name)
            if key not in sums:
                sums[key] = [0, 0]
                self._rows[interval] += 1
            sums[key][column] += 1
            self._drop_oldest(interval)

    def rows(self, interval: Interval) -> list[dict[str, Any]]:
        """The counts of all intervals in which something counted, the oldest first.

        Returns
        -------
        list of dict
            `start` and `end` (ISO 8601 with the site's offset at that time; the end is the next one's start),
            `kind` (line, zone or flow), `name`, `class`, `in` and `out`: crossings of a line; those who entered
            and left a zone; `in` alone for a flow.

        Raises
        ------
        ValueError
            Where it is none of 1min, 15min, hour, day.
        """
        if interval not in _MINUTES and interval != "day":
            raise ValueError(f"expected an interval of {', '.join(INTERVALS)}; got {interval!r}")
        found = []
        for start, sums in sorted(self._sums[interval].items()):
            times = [self._iso(start), self._iso(self._ends[interval, start])]
            for (kind, name, class_name), numbers in sorted(sums.items(), key=_in_order):
                found.append(
                    dict(
                        zip(
                            ("start", "end", "kind", "name", "class", "in", "out"),
                            (*times, kind, name, class_name, *numbers),
                            strict=True,
                        )
                    )
                )
        return found

    def snapshot(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "format": _FORMAT,
            "time_zone": self.time_zone,
            "dropped": dict(self.dropped),
            "rows": {
                interval: [
                    [start, self._ends[interval, start], *key, *numbers]
                    for start, sums in self._sums[interval].items()
                    for key, numbers in sums.items()
                ]
                for interval in INTERVALS
            },
        }

    def restore(self, snapshot: Mapping[str, Any]) -> bool:
        """Go on from a snapshot; False, and nothing changed, where it is of another format or time zone."""
        if snapshot.get("format") != _FORMAT or snapshot.get("time_zone") != self.time_zone:
            return False
        other = IntervalCounts(self._zone, most_rows=self._most)
        for interval in INTERVALS:
            for start, end, kind, name, class_name, into, out in snapshot["rows"][interval]:
                other._sums[interval].setdefault(start, {})[kind, name, class_name] = [into, out]
                other._ends[interval, start] = end
                other._rows[interval] += 1
            other.dropped[interval] = snapshot["dropped"][interval]
            other._drop_oldest(interval)
        self._sums, self._ends, self._rows, self.dropped = other._sums, other._ends, other._rows, other.dropped
        return True

    def _drop_oldest(self, interval: Interval) -> None:
        sums = self._sums[interval]
        # the interval that is counted now stays, however many rows it has: its sums would be wrong otherwise
        while self._rows[interval] > self._most and len(sums) > 1:
            start = min(sums)
            number = len(sums.pop(start))
            del self._ends[interval, start]
            self._rows[interval] -= number
            self.dropped[interval] += number

    def _iso(self, seconds: float) -> str:
        return datetime.fromtimestamp(seconds, UTC).astimezone(self._zone).isoformat()


def counts_per_interval(
    events: Iterable[Event], interval: Interval, start: datetime, zone: str | tzinfo
) -> list[dict[str, Any]]:
    """The counts of a clip that began at `start`, as the rows of `IntervalCounts`.

    Raises
    ------
    ValueError
        Where `start` has no offset.

    Examples
    --------
    >>> event = Event("crossing", "gate", "in", 75, 2.5, (80.0, 60.0), 1, "car", 0.9)
    >>> start = datetime(2026, 3, 29, 0, 59, 58, tzinfo=UTC)
    >>> [row["start"] for row in counts_per_interval([event], "1min", start, "Europe/Berlin")]
    ['2026-03-29T03:00:00+02:00']
    """
    if start.utcoffset() is None:
        raise ValueError(f"expected a start with an offset, as 2026-03-29T00:30+01:00; got {start.isoformat()}")
    counts = IntervalCounts(zone, most_rows=sys.maxsize)
    # seconds are added in UTC: on a clock that is put forward, half past one and an hour is half past three
    began = start.astimezone(UTC)
    for event in events:
        time = began + timedelta(seconds=event.seconds)
        counts.add(event.kind, event.name, event.class_name, event.direction, time)
    return counts.rows(interval)


def interval_of(time: datetime, interval: Interval, zone: tzinfo) -> tuple[datetime, datetime]:
    """Start and end of the interval in which a time lies, by the clock of `zone`.

    Parameters
    ----------
    time : datetime
        With an offset, of whatever zone.

    Raises
    ------
    ValueError
        Where the time has no offset.

    Examples
    --------
    >>> noon = datetime(2026, 10, 25, 12, tzinfo=UTC)
    >>> start, end = interval_of(noon, "day", time_zone("Europe/Berlin"))
    >>> start.isoformat(), end.isoformat(), (end.astimezone(UTC) - start.astimezone(UTC)).total_seconds() / 3600
    ('2026-10-25T00:00:00+02:00', '2026-10-26T00:00:00+01:00', 25.0)
    """
    if time.utcoffset() is None:
        raise ValueError(f"expected a time with an offset, as 2026-03-29T00:30+01:00; got {time.isoformat()}")
    instant = time.astimezone(UTC)
    local = instant.astimezone(zone)
    if interval == "day":
        midnight = datetime(local.year, local.month, local.day)
        began, ended = _first_instant(midnight, zone), _first_instant(midnight + timedelta(days=1), zone)
        # where the clock is put back from just after midnight, the end of the day before comes twice
        return began.astimezone(zone), ended.astimezone(zone)
    minutes = _MINUTES[interval]
    into = timedelta(minutes=local.minute % minutes, seconds=local.second, microseconds=local.microsecond)
    began, ended = instant - into, instant - into + timedelta(minutes=minutes)
    offset = local.utcoffset()
    if _offset(began, zone) != offset:
        began = _change(began, instant, zone)
    if _offset(ended - timedelta(seconds=1), zone) != offset:
        ended = _change(instant, ended, zone)
    return began.astimezone(zone), ended.astimezone(zone)


def _zone(zone: str | tzinfo) -> tzinfo:
    return time_zone(zone) if isinstance(zone, str) else zone


def _in_order(item: tuple[_Key, list[int]]) -> tuple[int, str, str]:
    (kind, name, class_name), _ = item
    return _ORDER.index(kind), name, class_name


def _first_instant(naive: datetime, zone: tzinfo) -> datetime:
    """The instant (UTC) at which a clock of `zone` first shows this time, or jumps over it."""
    first = naive.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None, fold=0) == naive:
        return first
    return _change(naive.replace(tzinfo=zone, fold=1).astimezone(UTC), first, zone)


def _change(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """The second in between at which the offset becomes another one."""
    low, high = int(before.timestamp()) - 1, int(after.timestamp())
    then = _offset(datetime.fromtimestamp(low, UTC), zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(datetime.fromtimestamp(middle, UTC), zone) == then:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _offset(instant: datetime, zone: tzinfo) -> timedelta | None:
    return instant.astimezone(zone).utcoffset()

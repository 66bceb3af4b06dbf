"""Counts by time, as the worker's state keeps them: the site's day, its intervals, and what is dropped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.camera.state import StateStore
from tests.camera_records import NOON, checkpoint, record


@pytest.mark.parametrize(
    ("zone", "moments", "now", "expected"),
    [
        # a day begins at the site's midnight, not at that of UTC
        ("Asia/Kathmandu", ["2026-03-01T18:14:59", "2026-03-01T18:15:00"], "2026-03-02T03:00:00", 1),
        ("America/St_Johns", ["2026-01-10T03:29:59", "2026-01-10T03:30:00"], "2026-01-11T03:29:59", 1),
        # 23 hours, and 25
        ("Europe/Berlin", ["2026-03-28T22:59:59", "2026-03-28T23:00:00", "2026-03-29T21:59:59",
         "2026-03-29T22:00:00"], "2026-03-29T12:00:00", 2),
        ("Europe/Berlin", ["2026-10-24T21:59:59", "2026-10-24T22:00:00", "2026-10-25T22:59:59",
         "2026-10-25T23:00:00"], "2026-10-25T12:00:00", 2),
        # no midnight: the clocks went from 23:59:59 to 01:00:00
        ("Asia/Beirut", ["2024-03-30T21:59:59", "2024-03-30T22:00:00"], "2024-03-31T12:00:00", 1),
    ],
)  # fmt: skip
def test_the_day_is_the_sites(tmp_path: Path, zone: str, moments: list[str], now: str, expected: int) -> None:
    store = StateStore(tmp_path)
    times = [datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in moments]
    store.commit("gate", checkpoint(), [record(n, time=time) for n, time in enumerate(times)])
    lines = store.today("gate", zone, datetime.fromisoformat(now).replace(tzinfo=UTC))["lines"]
    assert lines == {"entrance": {"in": expected, "out": 0}}
    store.close()


def test_the_days_counts_are_those_of_the_camera_by_line_zone_and_flow(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    told = [
        record(1), record(2), record(3, direction="out"), record(4, name="exit", direction="out"),
        record(5, kind="entered", name="yard"), record(6, kind="entered", name="yard"),
        record(7, kind="left", name="yard", direction="out"), record(8, kind="flow", name="through", direction=""),
        record(9, kind="crowded", name="yard", direction=""), record(10, time=NOON - timedelta(days=1)),
    ]  # fmt: skip
    store.commit("gate", checkpoint(), told)
    store.commit("other", checkpoint(), [record(1, "other")])
    assert store.today("gate", "UTC", NOON) == {
        "lines": {"entrance": {"in": 2, "out": 1}, "exit": {"in": 0, "out": 1}},
        "zones": {"yard": {"entered": 2, "left": 1}},
        "flows": {"through": 1},
    }
    assert store.today("gate", "UTC", NOON + timedelta(days=1))["lines"] == {}
    with pytest.raises(ValueError, match="there is no 'Mars/Base'"):
        store.today("gate", "Mars/Base", NOON)
    store.close()


def test_intervals_follow_the_sites_clock(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    # 2026-10-25 in Berlin: 02:30 comes twice, at 00:30 and 01:30 UTC
    times = [
        datetime(2026, 10, 25, hour, minute, tzinfo=UTC) for hour, minute in [(0, 30), (1, 30), (1, 44), (1, 45)]
    ]
    store.commit("gate", checkpoint(), [record(n, time=time) for n, time in enumerate(times)])

    def rows(interval: str, zone: str = "Europe/Berlin") -> list[tuple[str, str, int]]:
        since, until = NOON, NOON + timedelta(days=365)
        told = store.intervals("gate", interval, zone, since, until)
        return [(row["start"], row["end"], row["in"]) for row in told]

    assert rows("hour") == [
        ("2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", 1),
        ("2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00", 3),
    ]
    assert rows("hour", "Asia/Kolkata") == [
        ("2026-10-25T06:00:00+05:30", "2026-10-25T07:00:00+05:30", 1),
        ("2026-10-25T07:00:00+05:30", "2026-10-25T08:00:00+05:30", 3),
    ]
    assert rows("day") == [("2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00", 4)]
    assert [(start[11:16], n) for start, _, n in rows("15min", "UTC")] == [
        ("00:30", 1),
        ("01:30", 2),
        ("01:45", 1),
    ]
    assert [(start[11:16], n) for start, _, n in rows("1min", "UTC")] == [
        ("00:30", 1), ("01:30", 1), ("01:44", 1), ("01:45", 1),
    ]  # fmt: skip
    told = [record(10), record(11), record(12, direction="out"), record(13, class_name="car")]
    told += [record(14, kind="left", name="yard", direction="out"), record(15, kind="crowded", name="yard")]
    store.commit("gate", checkpoint(), told)
    times = {"start": "2026-03-01T12:00:00+00:00", "end": "2026-03-01T13:00:00+00:00"}
    assert store.intervals("gate", "hour", "UTC", NOON, NOON + timedelta(hours=1)) == [
        {**times, "kind": "line", "name": "entrance", "class": "car", "in": 1, "out": 0},
        {**times, "kind": "line", "name": "entrance", "class": "person", "in": 2, "out": 1},
        {**times, "kind": "zone", "name": "yard", "class": "person", "in": 0, "out": 1},
    ]
    with pytest.raises(ValueError, match="interval: expected one of 1min, 15min, hour, day, got 'week'"):
        rows("week")
    store.close()


@settings(max_examples=15, deadline=None)
@given(
    seconds=st.lists(st.integers(0, 3 * 86_400), max_size=40),
    zone=st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Havana", "UTC"]),
)
def test_days_add_up_to_the_local_dates(
    tmp_path_factory: pytest.TempPathFactory, seconds: list[int], zone: str
) -> None:
    from zoneinfo import ZoneInfo

    # three days around a change of the clocks in Berlin, Havana (a week apart) and Lord Howe
    first = datetime(2026, 10, 24, tzinfo=UTC)
    times = [first + timedelta(seconds=s) for s in seconds]
    store = StateStore(tmp_path_factory.mktemp("state"))
    store.commit("gate", checkpoint(), [record(n, time=time) for n, time in enumerate(times)])
    for day in range(-1, 5):
        now = datetime(2026, 10, 24, 12, tzinfo=ZoneInfo(zone)) + timedelta(days=day)
        expected = sum(time.astimezone(ZoneInfo(zone)).date() == now.date() for time in times)
        assert store.today("gate", zone, now)["lines"].get("entrance", {"in": 0})["in"] == expected
    store.close()


def test_a_clock_that_jumps_drops_no_counts(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    store.commit("gate", checkpoint(), [record(1)])
    far = [datetime(year, 1, 1, tzinfo=UTC) for year in (1970, 1999, 2038, 2099, 9000)]
    store.commit("gate", checkpoint(), [record(n + 2, time=time) for n, time in enumerate(far)])
    store.commit("gate", checkpoint(), [record(n + 20, time=NOON - timedelta(days=n)) for n in range(20)])
    assert store.today("gate", "UTC", NOON)["lines"] == {"entrance": {"in": 2, "out": 0}}
    assert store.today("gate", "UTC", far[3])["lines"] == {"entrance": {"in": 1, "out": 0}}
    store.close()


def test_old_counts_are_dropped_minutes_before_quarters(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    now = datetime.now(UTC).replace(hour=12, minute=7)
    for ages in (range(450, 200, -1), range(200, 1, -1), [1], [0]):
        store.commit("gate", checkpoint(), [record(age, time=now - timedelta(days=age)) for age in ages])
    since = now - timedelta(days=1000)
    minutes = store.intervals("gate", "1min", "UTC", since, now + timedelta(days=1))
    days = store.intervals("gate", "day", "UTC", since, now + timedelta(days=1))
    assert 8 <= len(minutes) <= 10
    assert 400 <= len(days) <= 402
    assert days[-1]["start"][:10] == now.date().isoformat()
    store.close()

"""Counts per minute, quarter, hour and day of the site's clock."""

from __future__ import annotations

import json
from collections import Counter as Tally
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_counting.counting.intervals import INTERVALS, IntervalCounts, interval_of
from camera_counting.time_zones import local_time, time_zone

BERLIN = ZoneInfo("Europe/Berlin")
# by half an hour; at midnight; not on the hour; no summer time; the other hemisphere; half-hour offsets
ZONES = [
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Beirut",
    "America/St_Johns",
    "Asia/Kathmandu",
    "America/Santiago",
    "Pacific/Chatham",
    "UTC",
]
MINUTE = timedelta(minutes=1)


def label(instant, interval, zone):
    """What a clock on the wall shows of the interval: two minutes belong together if it shows the same."""
    local = instant.astimezone(zone)
    day = local.date()
    if interval == "day":
        return day
    part = {"hour": 60, "15min": 15, "1min": 1}[interval]
    return day, local.hour, local.minute // part, local.utcoffset()


@settings(deadline=None, max_examples=150)
@given(
    st.datetimes(datetime(2023, 1, 1), datetime(2027, 12, 31)),
    st.sampled_from(ZONES),
    st.sampled_from(["1min", "15min", "hour"]),
)
def test_an_interval_is_as_long_as_the_clock_shows_the_same(time, name, interval):
    zone, time = ZoneInfo(name), time.replace(tzinfo=UTC)
    began, ended = (t.astimezone(UTC) for t in interval_of(time, interval, zone))
    assert began <= time < ended
    same = label(time, interval, zone)
    minutes = [began + i * MINUTE for i in range(-1, int((ended - began) / MINUTE) + 1)]
    assert [label(minute, interval, zone) == same for minute in minutes] == [
        False,
        *[True] * (len(minutes) - 2),
        False,
    ]


def changes(name):
    """All hours of two years within which the clock is put forward or back."""
    zone, time = ZoneInfo(name), datetime(2025, 1, 1, tzinfo=UTC)
    found = []
    for _ in range(2 * 365 * 24):
        if time.astimezone(zone).utcoffset() != (time + timedelta(hours=1)).astimezone(zone).utcoffset():
            found.append(time)
        time += timedelta(hours=1)
    return found


@pytest.mark.parametrize("name", ZONES)
def test_around_every_change_of_the_clock_intervals_join_without_gap_or_overlap(name):
    zone = ZoneInfo(name)
    for change in changes(name):
        for interval in ("15min", "hour", "day"):
            time = change - timedelta(days=1)
            while time < change + timedelta(days=1):
                began, ended = (t.astimezone(UTC) for t in interval_of(time, interval, zone))
                assert began <= time < ended
                assert label(began, interval, zone) == label(ended - MINUTE, interval, zone)
                assert interval_of(ended, interval, zone)[0].astimezone(UTC) == ended
                time = ended


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("Europe/Berlin", (2026, 6, 1), 24),
        ("Australia/Lord_Howe", (2026, 4, 5), 24.5),
        ("Africa/Cairo", (2026, 4, 24), 23),  # there is no midnight: the day begins at one o'clock
        ("America/Havana", (2026, 11, 1), 25),  # midnight comes twice
    ],
)
def test_days_on_which_the_clock_is_put_are_as_long_as_they_are(zone, day, hours):
    noon = datetime(*day, 12, tzinfo=ZoneInfo(zone))
    began, ended = interval_of(noon, "day", ZoneInfo(zone))
    assert (ended.timestamp() - began.timestamp()) / 3600 == hours


def test_the_hour_that_comes_twice_is_two_rows():
    counts = IntervalCounts("Europe/Berlin")
    for hour in range(24):  # from midnight on, one each hour: the clock shows 2 at 0:00 and at 1:00 UTC
        counts.add(
            "crossing", "gate", "car", "in", datetime(2026, 10, 24, 22, 30, tzinfo=UTC) + timedelta(hours=hour)
        )
    starts = [row["start"] for row in counts.rows("hour")]
    assert starts[2:4] == ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"]
    assert len(starts) == 24
    # the day has 25 hours: the 24 crossings are all of it
    assert [(row["start"], row["in"]) for row in counts.rows("day")] == [("2026-10-25T00:00:00+02:00", 24)]


def test_rows_tell_lines_zones_and_flows():
    counts = IntervalCounts("Europe/Berlin")
    noon = datetime(2026, 6, 1, 12, 0, tzinfo=BERLIN)
    for minute, event in enumerate(
        [
            ("left", "yard", "person", "out"),
            ("crossing", "gate", "car", "in"),
            ("crossing", "gate", "car", "out"),
            ("crossing", "gate", "bus", "in"),
            ("entered", "yard", "person", "in"),
            ("flow", "through", "car", ""),
            ("crowded", "yard", "", ""),
        ]
    ):
        counts.add(*event, noon + minute * MINUTE)
    times = {"start": "2026-06-01T12:00:00+02:00", "end": "2026-06-01T12:15:00+02:00"}
    assert counts.rows("15min") == [
        {**times, "kind": "line", "name": "gate", "class": "bus", "in": 1, "out": 0},
        {**times, "kind": "line", "name": "gate", "class": "car", "in": 1, "out": 1},
        {**times, "kind": "zone", "name": "yard", "class": "person", "in": 1, "out": 1},
        {**times, "kind": "flow", "name": "through", "class": "car", "in": 1, "out": 0},
    ]
    assert [row["start"][11:16] for row in counts.rows("1min")] == [f"12:0{i}" for i in range(6)]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.datetimes(datetime(2026, 10, 24), datetime(2026, 10, 27)),
            st.sampled_from(["car", "bus"]),
            st.sampled_from(["in", "out"]),
        )
    )
)
def test_the_sums_of_all_lengths_are_those_of_the_events(events):
    counts = IntervalCounts("Europe/Berlin")
    for time, class_name, direction in events:
        counts.add("crossing", "gate", class_name, direction, time.replace(tzinfo=UTC))
    for interval in INTERVALS:
        got = Tally()
        for row in counts.rows(interval):
            began = datetime.fromisoformat(row["start"])
            for direction in ("in", "out"):
                got[label(began, interval, BERLIN), row["class"], direction] += row[direction]
        expected = Tally(
            (label(time.replace(tzinfo=UTC), interval, BERLIN), class_name, direction)
            for time, class_name, direction in events
        )
        assert +got == expected
    # through JSON and back
    other = IntervalCounts("Europe/Berlin")
    assert other.restore(json.loads(json.dumps(counts.snapshot())))
    assert [other.rows(i) for i in INTERVALS] == [counts.rows(i) for i in INTERVALS]


def test_memory_is_bounded_and_what_was_dropped_is_told():
    counts = IntervalCounts("UTC", most_rows=100)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for i in range(1000):
        counts.add("crossing", "gate", "car", "in", start + i * MINUTE)
    assert [row["start"] for row in counts.rows("1min")] == [
        (start + i * MINUTE).isoformat() for i in range(900, 1000)
    ]
    assert counts.dropped == {"1min": 900, "15min": 0, "hour": 0, "day": 0}
    assert sum(row["in"] for row in counts.rows("hour")) == 1000
    assert len(counts._ends) == sum(len(counts._sums[i]) for i in INTERVALS)
    # an interval of which more rows are counted than are kept stays whole
    few = IntervalCounts("UTC", most_rows=1)
    for name in "abc":
        few.add("crossing", name, "car", "in", start)
    assert len(few.rows("day")) == 3


def test_a_snapshot_of_another_time_zone_or_format_changes_nothing():
    counts = IntervalCounts("Europe/Berlin")
    counts.add("crossing", "gate", "car", "in", datetime(2026, 1, 1, tzinfo=UTC))
    before = counts.rows("day")
    assert not counts.restore(IntervalCounts("UTC").snapshot())
    assert not counts.restore({**counts.snapshot(), "format": 99})
    assert not counts.restore({})
    assert counts.rows("day") == before


def test_what_makes_no_sense_is_told():
    counts = IntervalCounts(timezone(timedelta(hours=1)))
    with pytest.raises(ValueError, match="expected a time with an offset"):
        counts.add("crossing", "gate", "car", "in", datetime(2026, 1, 1))
    with pytest.raises(ValueError, match=r"expected an interval of 1min, 15min, hour, day; got '5min'"):
        counts.rows("5min")


@pytest.mark.parametrize(
    "name", ["Europe/Berln", "Europe", "../etc/passwd", "", "/etc/localtime", "a\0b", "x" * 5000]
)
def test_an_unknown_time_zone_is_told_in_a_sentence(name):
    with pytest.raises(ValueError, match="expected a time zone's IANA name") as caught:
        time_zone(name)
    assert len(str(caught.value)) < 300
    assert name != "Europe/Berln" or "(Europe/Berlin?)" in str(caught.value)


def test_a_time_that_the_clock_shows_twice_or_never_needs_an_offset():
    assert local_time(datetime(2026, 6, 1, 12), BERLIN).isoformat() == "2026-06-01T12:00:00+02:00"
    with pytest.raises(ValueError, match=r"shows 2026-03-29T02:30 never; .*2026-03-29T02:30\+01:00"):
        local_time(datetime(2026, 3, 29, 2, 30), BERLIN)
    with pytest.raises(ValueError, match=r"shows 2026-10-25T02:30 twice; .*2026-10-25T02:30\+02:00"):
        local_time(datetime(2026, 10, 25, 2, 30), BERLIN)

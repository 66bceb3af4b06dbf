"""The worker's state: all of a commit or nothing, the site's day, and what waits for the sinks."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.camera.records import CountRecord
from serving.camera.state import StateStore
from serving.errors import StateError
from tests.camera_records import NOON, checkpoint, record


def numbers(store: StateStore, sink: str) -> list[int]:
    return [waiting.track for _, waiting in store.waiting(sink, 1_000)]


def test_a_commit_is_found_again_by_the_next_process(tmp_path: Path) -> None:
    store = StateStore(tmp_path, sinks=["file"])
    epoch = store.epoch
    assert store.load("gate") is None
    store.commit("gate", checkpoint(1, position=3.5), [record(1)])
    store.commit("gate", checkpoint(2, position=4.5), [record(2), record(3)])
    store.commit("yard", checkpoint(7), [])
    store.close()
    again = StateStore(tmp_path, sinks=["file"])
    assert again.epoch == epoch
    assert again.trouble == ""
    assert again.load("gate") == checkpoint(2, position=4.5)
    assert again.load("yard") == checkpoint(7)
    assert [waiting for _, waiting in again.waiting("file", 10)] == [record(1), record(2), record(3)]
    again.close()


def test_records_come_out_as_they_went_in(tmp_path: Path) -> None:
    told = [
        record(1),
        record(2, kind="left", direction="out", lasted=12.25),
        record(3, kind="crowded", track=-1, number=7),
        record(4, kind="cleared", track=-1, lasted=60.5, number=9),
    ]
    with closing(StateStore(tmp_path, sinks=["file"])) as store:
        store.commit("gate", checkpoint(4), told)
        batch = store.batch("file", 10)
    assert batch is not None
    assert list(batch.records) == told


def test_what_is_committed_again_is_there_once(tmp_path: Path) -> None:
    store = StateStore(tmp_path, sinks=["file"])
    store.commit("gate", checkpoint(2), [record(1), record(2)])
    store.commit("gate", checkpoint(3), [record(1), record(2), record(3), record(3)])
    assert numbers(store, "file") == [1, 2, 3]
    assert store.today("gate", "UTC", NOON)["lines"] == {"entrance": {"in": 3, "out": 0}}
    store.delivered("file", store.waiting("file", 3)[-1][0])
    store.commit("gate", checkpoint(4), [record(2), record(4)])  # also after it was delivered
    assert numbers(store, "file") == [4]
    store.close()


def test_nothing_of_a_commit_that_fails_is_there(tmp_path: Path) -> None:
    store = StateStore(tmp_path, sinks=["file"])
    store.commit("gate", checkpoint(1), [record(1)])
    broken = record(3, confidence=float("nan"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.commit("gate", checkpoint(3), [record(2), broken])
    with pytest.raises(ValueError, match="expected a time with its zone"):
        store.commit("gate", checkpoint(3), [record(2), record(3, time=datetime(2026, 3, 1))])
    assert store.load("gate") == checkpoint(1)
    assert numbers(store, "file") == [1]
    store.close()


def test_only_its_user_may_look_into_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    StateStore(tmp_path / "a" / "state").close()
    assert stat.S_IMODE((tmp_path / "a" / "state").stat().st_mode) == 0o700
    assert caplog.text == ""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    store = StateStore(shared)
    store.commit("gate", checkpoint(), [record(1)])
    assert {stat.S_IMODE(path.stat().st_mode) for path in shared.iterdir()} == {0o600}
    assert {path.name for path in shared.iterdir()} == {"lock", "state.db", "state.db-wal", "state.db-shm"}
    assert stat.S_IMODE(shared.stat().st_mode) == 0o777  # it may hold other things than ours
    assert f"others may write the folder {shared}" in caplog.text
    store.close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    with pytest.raises(StateError, match=r"in use by another worker \(process \d+\): stop that one"):
        StateStore(tmp_path)
    store.close()
    StateStore(tmp_path).close()


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="expected a folder that can be written for the worker's state, got"):
        StateStore(tmp_path / "file")


def test_a_damaged_file_is_kept_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = StateStore(tmp_path, sinks=["file"])
    store.commit("gate", checkpoint(200), [record(number) for number in range(200)])
    epoch = store.epoch
    store.close()
    damaged = bytearray((tmp_path / "state.db").read_bytes())
    damaged[4096 : 4096 * 12] = b"\xa5" * 4096 * 11
    (tmp_path / "state.db").write_bytes(damaged)
    again = StateStore(tmp_path, sinks=["file"])
    assert again.epoch != epoch  # else new records could have the ids of those that were lost
    assert again.load("gate") is None
    (kept,) = tmp_path.glob("state.db.damaged-*")
    assert kept.read_bytes() == damaged
    assert "was damaged" in again.trouble
    assert kept.name in again.trouble
    assert again.trouble in caplog.text
    again.commit("gate", checkpoint(1), [record(1)])
    again.close()
    assert StateStore(tmp_path).trouble == ""


@pytest.mark.parametrize("content", [b"no database at all" * 300, b"\x00" * 8192])
def test_a_file_that_is_no_database_is_kept_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.db").write_bytes(content)
    store = StateStore(tmp_path)
    (kept,) = tmp_path.glob("state.db.damaged-*")
    assert kept.read_bytes() == content
    store.close()


def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    StateStore(tmp_path).close()
    with sqlite3.connect(tmp_path / "state.db") as database:
        database.execute("PRAGMA user_version=2")
    database.close()
    before = (tmp_path / "state.db").read_bytes()
    with pytest.raises(StateError, match="has the format 2, this version reads 1: run the newer version"):
        StateStore(tmp_path)
    assert (tmp_path / "state.db").read_bytes() == before


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "state.db") as database:
        database.execute("CREATE TABLE theirs (a)")
    database.close()
    with pytest.raises(StateError, match="got another program's database"):
        StateStore(tmp_path)
    assert not list(tmp_path.glob("*damaged*"))


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


def test_a_sink_gets_the_same_batch_until_it_has_taken_it(tmp_path: Path) -> None:
    store = StateStore(tmp_path, sinks=["file"])
    assert store.batch("file", 2) is None
    store.commit("gate", checkpoint(), [record(n) for n in range(3)])
    first = store.batch("file", 2)
    store.close()
    again = StateStore(tmp_path, sinks=["file"])
    again.commit("gate", checkpoint(), [record(3)])
    assert first is not None
    assert again.batch("file", 100) == first
    assert [r.track for r in first.records] == [0, 1]
    assert again.backlog("file") == 4
    again.delivered("file", first.up_to)
    assert (again.backlog("file"), again.taken("file"), numbers(again, "file")) == (2, 2, [2, 3])
    second = again.batch("file", 100)
    assert second is not None
    assert second.name != first.name
    assert [r.track for r in second.records] == [2, 3]
    again.close()


def test_the_oldest_are_given_up_where_too_many_wait(tmp_path: Path) -> None:
    store = StateStore(tmp_path, sinks=["slow", "down", "quick"], max_waiting=5)
    for n in range(4):
        store.commit("gate", checkpoint(n), [record(n)])
    store.delivered("quick", store.waiting("quick", 4)[-1][0])
    batch = store.batch("slow", 2)
    store.commit("gate", checkpoint(12), [record(n) for n in range(4, 12)])
    # what is under way to a sink is not given up: nobody knows whether it is there already
    assert numbers(store, "slow") == [0, 1, 9, 10, 11]
    assert numbers(store, "down") == [7, 8, 9, 10, 11]
    assert numbers(store, "quick") == [7, 8, 9, 10, 11]
    assert [store.lost(name) for name in ("slow", "down", "quick")] == [7, 7, 3]
    assert store.today("gate", "UTC", NOON)["lines"] == {"entrance": {"in": 12, "out": 0}}
    store.close()
    again = StateStore(tmp_path, sinks=["slow", "down", "quick"], max_waiting=5)
    assert again.batch("slow", 100) == batch
    assert batch is not None
    again.delivered("slow", batch.up_to)
    assert (numbers(again, "slow"), again.lost("slow"), again.taken("slow")) == ([9, 10, 11], 7, 2)
    again.close()


def test_sinks_come_and_go(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = StateStore(tmp_path, sinks=["file"])
    store.commit("gate", checkpoint(1), [record(1)])
    store.close()
    store = StateStore(tmp_path, sinks=["new"])
    assert (
        "1 records wait for the sink file, which is no longer configured: they are kept for a week" in caplog.text
    )
    assert numbers(store, "new") == []  # it begins with what comes next
    store.commit("gate", checkpoint(2), [record(2)])
    store.close()
    store = StateStore(tmp_path, sinks=["file", "new"])
    assert (numbers(store, "file"), numbers(store, "new")) == ([1, 2], [2])
    store.close()
    with sqlite3.connect(tmp_path / "state.db") as database:
        database.execute("UPDATE sinks SET absent_since = 1000 WHERE name = 'file'")
    database.close()
    StateStore(tmp_path, sinks=["new"]).close()
    assert "the sink file was not configured for a week: 2 records for it are dropped" in caplog.text
    store = StateStore(tmp_path, sinks=["file", "new"])
    assert (numbers(store, "file"), numbers(store, "new")) == ([], [2])
    store.close()


def test_the_file_does_not_grow_with_what_was_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.camera.state.outbox._KEPT_RECORDS", 300)  # in place of 20,000
    monkeypatch.setattr("serving.camera.state.outbox._PRUNED_AT_ONCE", 40)
    store = StateStore(tmp_path, sinks=["quick", "slow"])

    def kept() -> tuple[int, int]:
        with sqlite3.connect(tmp_path / "state.db") as database:
            lowest, number = database.execute("SELECT min(number), count(*) FROM records").fetchone()
        database.close()
        return lowest, number

    def commit(rounds: range) -> None:
        for n in rounds:
            store.commit("gate", checkpoint(n), [record(100 * n + m) for m in range(100)])
            store.delivered("quick", 100 * (n + 1))

    commit(range(8))
    assert kept() == (1, 800)  # for the slow one
    assert numbers(store, "slow") == list(range(800))
    store.delivered("slow", 750)
    commit(range(8, 20))
    assert kept()[0] == 751
    assert numbers(store, "slow")[:2] == [750, 751]
    store.delivered("slow", 2_000)
    commit(range(20, 40))
    store.delivered("slow", 4_000)
    commit(range(40, 60))
    assert 2_000 <= kept()[1] <= 2_100  # what waits for the slow one
    store.delivered("slow", 6_000)
    commit(range(60, 75))
    assert kept()[1] <= 1_600
    store.commit("gate", checkpoint(75), [record(7_499)])  # known by its id still
    assert store.backlog("quick") == 0
    store.close()


def test_many_cameras_commit_at_once(tmp_path: Path) -> None:
    store = StateStore(tmp_path, sinks=["file"])
    failures: list[BaseException] = []

    def work(camera: str) -> None:
        try:
            for n in range(1, 21):
                store.commit(camera, checkpoint(n), [record(n, camera)])
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"camera-{i}",)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert store.backlog("file") == 320
    told = [r for _, r in store.waiting("file", 1_000)]
    for i in range(16):
        assert [r.track for r in told if r.camera == f"camera-{i}"] == list(range(1, 21))  # in the camera's order
        assert store.load(f"camera-{i}") == checkpoint(20)
    store.commit_many([(f"camera-{i}", checkpoint(21), [record(21, f"camera-{i}")]) for i in range(16)])
    assert store.backlog("file") == 336
    store.close()


def test_the_fault_of_one_camera_is_not_that_of_the_others(tmp_path: Path) -> None:
    store = StateStore(tmp_path, sinks=["file"])
    failures: dict[str, str] = {}
    bad = {"broken": record(1, "broken", class_name="\ud800"), "huge": record(1, "huge")}

    def work(camera: str) -> None:
        for n in range(1, 11):
            try:
                frame = 2**70 if camera == "huge" else n  # more than a database's number holds
                store.commit(camera, checkpoint(n, frame=frame), [bad.get(camera, record(n, camera))])
            except StateError:
                raise
            except Exception as error:  # noqa: BLE001 - looked at below
                failures[camera] = type(error).__name__

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "broken", "c", "huge", "d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == {"broken": "UnicodeEncodeError", "huge": "OverflowError"}
    assert store.backlog("file") == 40
    assert store.load("huge") is None
    store.close()


def test_what_a_full_disk_refuses_is_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worked_out: list[str] = []
    to_dict = CountRecord.to_dict

    def counted(self: CountRecord) -> dict[str, object]:
        worked_out.append(self.id)
        return to_dict(self)

    monkeypatch.setattr(CountRecord, "to_dict", counted)
    store = StateStore(tmp_path, sinks=["file"])
    waiting = [record(number) for number in range(200)]
    pages = store._file.write.execute("PRAGMA page_count").fetchone()[0]
    store._file.write.execute(
        f"PRAGMA max_page_count={pages}"
    )  # what SQLite then says is what it says of a full disk
    for tries in range(1, 6):
        waiting.append(record(200 + tries))
        with pytest.raises(StateError, match="the disk is full"):
            store.commit("gate", checkpoint(200 + tries), waiting)
    assert sorted(worked_out) == sorted(of.id for of in waiting)
    store._file.write.execute("PRAGMA max_page_count=1000000")
    store.commit("gate", checkpoint(300), waiting)
    assert numbers(store, "file") == [of.track for of in waiting]
    assert store._texts._kept == {}
    store.close()


def test_an_id_that_was_never_written_may_be_another_records(tmp_path: Path) -> None:
    store = StateStore(tmp_path, sinks=["file"])
    pages = store._file.write.execute("PRAGMA page_count").fetchone()[0]
    store._file.write.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StateError, match="the disk is full"):
        store.commit("gate", checkpoint(300), [record(number) for number in range(300)])
    store._file.write.execute("PRAGMA max_page_count=1000000")
    # the camera was begun anew from the state before, and something else happened
    other = replace(record(0), track=77)
    store.commit("gate", checkpoint(1), [other])
    assert [waiting for _, waiting in store.waiting("file", 10)] == [other]
    store.close()


def test_a_full_disk_is_told_and_survived(tmp_path: Path) -> None:
    """A limit on the size of files makes writes fail as a full disk does; lifted, the same process goes on."""
    script = """
        import resource, sys
        from pathlib import Path
        from serving.camera.state import StateStore
        from serving.errors import StateError
        from tests.camera_records import checkpoint, record

        store = StateStore(Path(sys.argv[1]), sinks=["file"])
        store.commit("gate", checkpoint(0), [record(0)])
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        failed = ""
        for number in range(1, 2000):
            try:
                store.commit("gate", checkpoint(number), [record(number)])
            except StateError as error:
                failed = str(error)
                break
        assert "the disk is full or failing: make room, and it goes on by itself" in failed, failed
        assert store.load("gate") == checkpoint(number - 1)
        assert store.backlog("file") == number
        assert store.today("gate", "UTC", checkpoint(0).time)["lines"] == {"entrance": {"in": number, "out": 0}}
        for _ in range(3):  # still full
            try:
                store.commit("gate", checkpoint(number), [record(number)])
                raise SystemExit("committed although nothing can be written")
            except StateError:
                pass
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        store.commit("gate", checkpoint(number), [record(number)])
        print(number)
        store.close()
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr + ran.stdout
    number = int(ran.stdout)
    store = StateStore(tmp_path, sinks=["file"])
    assert store.trouble == ""
    assert store.load("gate") == checkpoint(number)
    assert [r.track for _, r in store.waiting("file", 10_000)] == list(range(number + 1))
    store.close()

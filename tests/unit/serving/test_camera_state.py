"""The worker's state: all of a commit or nothing, one process at a time, damaged files, full disks."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from serving.camera.records import CountRecord
from serving.camera.state import StateStore
from serving.errors import StateError
from tests.camera_records import NOON, checkpoint, numbers, record


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
        from tests.camera_records import checkpoint, numbers, record

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

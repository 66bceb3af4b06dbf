"""The prediction log loses nothing that was answered, counts nothing twice, and never stops an answer."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_counting.prediction_log import Prediction, PredictionLog, active_log, read_predictions
from camera_counting.prediction_log.record import camera_folder
from tests.small_s3 import small_s3

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def parts(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.parquet"))


def test_rows_are_there_at_once_and_after_packing(tmp_path: Path) -> None:
    log = PredictionLog(str(tmp_path))
    first = Prediction.now(
        time=NOON, camera_id="gate-7", model_name="people", model_version="3", model_digest="d" * 64,
        counts={"person": 2, "car": 0}, confidence_mean=0.8, confidence_min=0.7, confidence_p10=0.71,
        brightness=100.5, contrast=20.0, sharpness=33.0, width=640, height=480, latency_ms=31.5,
    )  # fmt: skip
    log.append([first, Prediction.now(time=NOON + timedelta(days=1), kind="video", counts={"person": 1})])
    assert parts(tmp_path) == []  # no file per request
    waiting = read_predictions(str(tmp_path))
    log.flush()
    packed = read_predictions(str(tmp_path))
    pd.testing.assert_frame_equal(waiting, packed, check_dtype=False)
    assert [name.rsplit("/", 1)[0] for name in parts(tmp_path)] == [
        "date=2026-03-01/camera_id=gate-7",
        "date=2026-03-02/camera_id=__HIVE_DEFAULT_PARTITION__",
    ]
    assert list((tmp_path / "_spool").glob("*.jsonl")) == []
    row = packed.iloc[0]
    assert (row["time"], row["camera_id"], row["counts"]) == (NOON, "gate-7", {"person": 2, "car": 0})
    assert (row["id"], row["model_version"], row["total"], row["kind"]) == (first.id, "3", 2, "image")
    assert (row["count_person"], row["count_car"], row["width"], row["latency_ms"]) == (2, 0, 640, 31.5)
    assert pd.isna(packed.iloc[1]["count_car"])  # that model did not count cars
    assert packed["camera_id"].tolist() == ["gate-7", ""]
    assert str(packed["time"].dtype).endswith("UTC]")


def test_other_readers_of_parquet_find_the_columns(tmp_path: Path) -> None:
    log = PredictionLog(str(tmp_path))
    log.append([Prediction.now(time=NOON, camera_id="north/gate 7", counts={"person": 1})])
    log.flush()
    table = pd.read_parquet(tmp_path)
    assert table["camera_id"].tolist() == ["north/gate 7"]
    assert [str(day) for day in table["date"]] == ["2026-03-01"]


def test_reads_by_time_and_camera(tmp_path: Path) -> None:
    log = PredictionLog(str(tmp_path))
    log.append(
        [Prediction.now(time=NOON + timedelta(hours=6 * i), camera_id="ab"[i % 2], total=i) for i in range(8)]
    )
    log.flush()
    log.append([Prediction.now(time=NOON + timedelta(hours=48), camera_id="a", total=8)])

    def totals(**wanted: object) -> list[int]:
        return read_predictions(str(tmp_path), **wanted)["total"].tolist()

    assert totals() == list(range(9))
    assert totals(since=NOON + timedelta(hours=12)) == [2, 3, 4, 5, 6, 7, 8]
    assert totals(until=NOON + timedelta(hours=12)) == [0, 1]
    assert totals(since=date(2026, 3, 2), until=date(2026, 3, 3)) == [2, 3, 4, 5]
    assert totals(cameras=["a"]) == [0, 2, 4, 6, 8]
    assert totals(cameras=[]) == []


def test_a_log_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    table = read_predictions(str(tmp_path / "none"))
    assert len(table) == 0
    assert {"id", "time", "camera_id", "counts", "total", "latency_ms"} <= set(table.columns)
    assert not (tmp_path / "none").exists()


def test_columns_of_other_versions_are_kept(tmp_path: Path) -> None:
    log = PredictionLog(str(tmp_path))
    log.append([Prediction.now(time=NOON, camera_id="a", total=1)])
    log.flush()
    folder = tmp_path / "date=2026-03-01" / "camera_id=a"
    later = pa.table({"id": ["x"], "time": pa.array([NOON], pa.timestamp("us", "UTC")), "rain": [0.5]})
    pq.write_table(later, folder / "part-later.parquet")
    (folder / ".part-half.tmp").write_bytes(b"half")
    (folder / "notes.txt").write_text("not a part")
    table = read_predictions(str(tmp_path))
    assert len(table) == 2
    assert sorted(table["rain"].dropna()) == [0.5]
    assert table["total"].dropna().tolist() == [1]


def test_packing_twice_and_being_killed_between_counts_nothing_twice(tmp_path: Path) -> None:
    log = PredictionLog(str(tmp_path))
    log.append([Prediction.now(time=NOON, camera_id="a", total=i) for i in range(5)])
    (spooled,) = (tmp_path / "_spool").glob("*.jsonl")
    content = spooled.read_bytes()
    log.flush()
    # as if the process had been killed after it wrote Parquet and before it removed the spool file
    spooled.write_bytes(content)
    assert len(read_predictions(str(tmp_path))) == 5
    PredictionLog(str(tmp_path)).flush()
    assert len(read_predictions(str(tmp_path))) == 5
    assert len(parts(tmp_path)) == 1
    assert list((tmp_path / "_spool").glob("*.jsonl")) == []


def test_a_line_that_was_cut_off_costs_only_itself(tmp_path: Path) -> None:
    log = PredictionLog(str(tmp_path))
    log.append([Prediction.now(time=NOON, total=i) for i in range(3)])
    (spooled,) = (tmp_path / "_spool").glob("*.jsonl")
    with spooled.open("ab") as handle:
        handle.write(b'{"id": "half')
    assert len(read_predictions(str(tmp_path))) == 3
    log.flush()
    assert len(read_predictions(str(tmp_path))) == 3


GOOD = {"id": "good", "time": "2026-03-01T12:00:00+00:00", "total": 1}
NO_ROWS = [
    {"id": "a", "time": 5},
    {"id": "b"},
    {"id": ["c"], "time": GOOD["time"]},
    {**GOOD, "id": None},
    {**GOOD, "id": "d", "counts": [1]},
    {**GOOD, "id": "e", "total": 2**40},
    {**GOOD, "id": "f", "camera_id": 7},
    {**GOOD, "id": "g", "camera_id": "\ud800"},
    [1],
]


def spool_with(root: Path, rows: list[object], name: str = "0-damaged.jsonl") -> Path:
    path = root / "_spool" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "no JSON\n")
    return path


def test_a_damaged_spool_file_stops_nobody_and_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = spool_with(tmp_path, [*NO_ROWS, GOOD])
    content = path.read_bytes()
    (tmp_path / "_spool" / "1-no-file.jsonl").mkdir()  # as unreadable as the file of another user
    log = PredictionLog(str(tmp_path), seconds=600)
    log.append([Prediction.now(time=NOON, total=2)])
    assert sorted(read_predictions(str(tmp_path))["total"]) == [1, 2]
    caplog.clear()
    log.flush()
    log.flush()
    assert sorted(read_predictions(str(tmp_path))["total"]) == [1, 2]
    assert not path.exists()
    assert path.with_name("0-damaged.jsonl.bad").read_bytes() == content
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 2
    assert f"holds {len(NO_ROWS) + 1} line(s) that are no rows" in told[0]
    assert "1-no-file.jsonl cannot be packed" in told[1]


def test_a_damaged_spool_file_does_not_end_the_packing_thread(tmp_path: Path) -> None:
    spool_with(tmp_path, NO_ROWS)
    log = PredictionLog(str(tmp_path), seconds=0.1)
    deadline = time.monotonic() + 20
    while not list((tmp_path / "_spool").glob("*.bad")) and time.monotonic() < deadline:
        time.sleep(0.02)
    log.append([Prediction.now(total=1)])
    while not parts(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(parts(tmp_path)) == 1
    assert log.lost == 0


def test_a_spool_file_that_another_process_packs_meanwhile_costs_no_row(tmp_path: Path) -> None:
    spool = tmp_path / "_spool"
    spool.mkdir()
    (spool / "0-gone.jsonl").symlink_to(spool / "packed")  # listed, and not there when it is looked at
    log = PredictionLog(str(tmp_path))
    log.append([Prediction.now(total=1)])
    log.flush()
    assert log.lost == 0
    assert read_predictions(str(tmp_path))["total"].tolist() == [1]


def test_a_row_that_cannot_be_written_is_lost_and_told_but_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = PredictionLog(str(tmp_path))
    log.append([Prediction.now(total=1, brightness=float("nan"))])
    assert log.lost == 1
    assert "CANNOT BE WRITTEN" in caplog.text
    log.append([Prediction.now(total=2, camera_id="half \ud800")])
    log.flush()
    assert read_predictions(str(tmp_path))[["camera_id", "total"]].values.tolist() == [["half ?", 2]]


def test_a_log_that_was_closed_is_opened_again_by_the_next_row(tmp_path: Path) -> None:
    log = PredictionLog(str(tmp_path), rows=2, seconds=600)
    log.append([Prediction.now(total=1)])
    log.close()
    assert len(parts(tmp_path)) == 1
    log.append([Prediction.now(total=2), Prediction.now(total=3)])  # as many as are packed at once
    deadline = time.monotonic() + 20
    while len(parts(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(parts(tmp_path)) == 2


WRITER = """
    import os, sys, time
    from camera_counting.prediction_log import Prediction, PredictionLog
    log = PredictionLog(sys.argv[1], rows=int(sys.argv[3]), seconds=0.2)
    for number in range(10**9):
        log.append([Prediction.now(camera_id=sys.argv[2], counts={"person": number})])
        os.write(1, b"%d\\n" % number)  # answered: from here on it must not be lost
"""


@pytest.mark.slow
def test_kill_9_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path / "log"), name, "50"],
            stdout=(tmp_path / name).open("wb"),
        )
        for name in ("a", "b", "c")
    ]
    deadline = time.monotonic() + 60
    while any((tmp_path / name).stat().st_size < 1500 for name in "abc"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for process in processes:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    answered = {name: int((tmp_path / name).read_text().splitlines()[-1]) + 1 for name in "abc"}
    uri = str(tmp_path / "log")
    for _ in range(2):
        table = read_predictions(uri)
        assert table["id"].is_unique
        for name, number in answered.items():
            counted = sorted(table[table["camera_id"] == name]["count_person"])
            # the last row may have been written and not yet answered
            assert counted[:number] == list(range(number))
            assert len(counted) - number in {0, 1}
        PredictionLog(uri).flush()  # what the dead left is packed by the next process
    assert list(Path(uri, "_spool").glob("*.jsonl")) == []


def test_a_living_process_keeps_its_spool(tmp_path: Path) -> None:
    program = textwrap.dedent(WRITER).replace("seconds=0.2", "seconds=600").replace("range(10**9)", "range(3)")
    program += "\nsys.stdin.read()"
    uri = str(tmp_path / "log")
    process = subprocess.Popen(
        [sys.executable, "-c", program, uri, "a", "5000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
    PredictionLog(uri).flush()
    assert len(list(Path(uri, "_spool").glob("*.jsonl"))) == 1  # it may still be written to
    assert len(read_predictions(uri)) == 3
    process.stdin.close()  # it ends in peace, and packs at its exit
    assert process.wait(30) == 0
    process.stdout.close()
    assert list(Path(uri, "_spool").glob("*.jsonl")) == []
    assert len(read_predictions(uri)) == 3


@pytest.mark.parametrize(("rows", "seconds"), [(10, 600.0), (10_000, 0.1)])
def test_it_packs_by_itself(tmp_path: Path, rows: int, seconds: float) -> None:
    log = PredictionLog(str(tmp_path), rows=rows, seconds=seconds)
    log.append([Prediction.now(total=i) for i in range(12)])
    deadline = time.monotonic() + 20
    while not parts(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(parts(tmp_path)) == 1
    assert len(read_predictions(str(tmp_path))) == 12
    assert log.lost == 0


def test_many_threads_write_whole_rows(tmp_path: Path) -> None:
    log = PredictionLog(str(tmp_path), rows=40, seconds=0.05)

    def work(number: int) -> None:
        for i in range(50):
            log.append([Prediction.now(camera_id=str(number), total=i)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.flush()
    table = read_predictions(str(tmp_path))
    assert len(table) == 300
    assert (table.groupby("camera_id")["total"].sum() == sum(range(50))).all()


def test_a_log_that_cannot_be_written_is_told_once_and_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    caplog.set_level(logging.WARNING, "camera_counting")
    log = PredictionLog(str(tmp_path / "file"))
    for i in range(5):
        log.append([Prediction.now(total=i), Prediction.now(total=i)])
    assert log.lost == 10
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1
    assert "CANNOT BE WRITTEN" in told[0]
    assert "CAMERA_COUNTING_PREDICTION_LOG" in told[0]
    # once it can be written again, it is, and says so
    (tmp_path / "file").unlink()
    log.append([Prediction.now(total=7)])
    assert read_predictions(str(tmp_path / "file"))["total"].tolist() == [7]
    assert "10 rows were lost" in caplog.records[-1].getMessage()


def test_a_full_disk_leaves_no_half_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from camera_counting.prediction_log import spool

    log = PredictionLog(str(tmp_path))
    log.append([Prediction.now(total=1)])
    monkeypatch.setattr(spool, "_MAX_BYTES", 10)
    log.append([Prediction.now(total=2)])
    assert log.lost == 1
    monkeypatch.undo()
    log.append([Prediction.now(total=3)])
    assert sorted(read_predictions(str(tmp_path))["total"]) == [1, 3]


def test_a_log_in_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from camera_counting.errors import PredictionLogError

    monkeypatch.setenv("CAMERA_COUNTING_SPOOL", str(tmp_path / "spool"))
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    with small_s3() as store:
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", store.endpoint)
        uri = "s3://bucket/predictions/north"
        assert len(read_predictions(uri)) == 0
        log = PredictionLog(uri, seconds=600)
        log.append([Prediction.now(time=NOON, camera_id="gate 7/a", counts={"person": i}) for i in range(3)])
        store.failing = True
        with pytest.raises(PredictionLogError, match="cannot write"):
            log.flush()
        store.failing = False
        log.append([Prediction.now(time=NOON, camera_id="b", counts={"person": 3})])
        assert len(read_predictions(uri)) == 4  # all still wait here
        log.flush()
        names = {name.rsplit("/", 1)[0] for name in store.objects}
        # the camera is quoted in the name of the object, and read back from it
        assert names == {
            "bucket/predictions/north/date=2026-03-01/camera_id=gate%207%2Fa",
            "bucket/predictions/north/date=2026-03-01/camera_id=b",
        }
        assert list((tmp_path / "spool").rglob("*.jsonl")) == []
        table = read_predictions(uri)
        assert sorted(table["count_person"]) == [0, 1, 2, 3]
        assert read_predictions(uri, cameras=["gate 7/a"])["camera_id"].tolist() == ["gate 7/a"] * 3
        assert len(read_predictions(uri, since=NOON + timedelta(seconds=1))) == 0
        # a row that is none must not leave half an object behind
        (spool,) = (tmp_path / "spool").iterdir()
        before = dict(store.objects)
        (spool / "0-damaged.jsonl").write_text(json.dumps({**GOOD, "total": 2**40}) + "\n")
        log.flush()
        assert store.objects == before
        log.close()


@given(st.text(max_size=200))
def test_any_camera_id_is_one_safe_folder(camera: str) -> None:
    row = json.loads(Prediction.now(camera_id=camera.encode("utf-8", "replace").decode()).to_json())
    name = camera_folder(row["camera_id"])
    assert name.startswith("camera_id=")
    assert "/" not in name
    assert "\0" not in name
    assert len(name.encode()) <= 255
    assert name.isascii()


CAMERAS = ["../../etc", "a/b", ".", "..", "x" * 300, "Straße 7", "a=b", "a%2Fb", "\n", "門" * 70]


@pytest.mark.parametrize("camera", [*CAMERAS, "__HIVE_DEFAULT_PARTITION__", ""])
def test_strange_camera_ids_come_back(tmp_path: Path, camera: str) -> None:
    log = PredictionLog(str(tmp_path / "log"))
    log.append([Prediction.now(camera_id=camera, total=1), Prediction.now(camera_id="another", total=2)])
    for _ in range(2):
        found = read_predictions(str(tmp_path / "log"), cameras=[camera])
        assert found[["camera_id", "total"]].values.tolist() == [[camera, 1]]
        log.flush()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log"]


@pytest.mark.parametrize("camera", ["gate 7", "門" * 70, ""])
def test_logs_whose_rows_do_not_hold_the_camera_are_still_read(tmp_path: Path, camera: str) -> None:
    folder = tmp_path / "date=2026-03-01" / camera_folder(camera)
    folder.mkdir(parents=True)
    older = pa.table({"id": ["x"], "time": pa.array([NOON], pa.timestamp("us", "UTC")), "total": [3]})
    pq.write_table(older, folder / "part-older.parquet")
    assert read_predictions(str(tmp_path), cameras=[camera])["total"].tolist() == [3]
    (told,) = read_predictions(str(tmp_path))["camera_id"]
    assert told == camera or (len(camera) == 70 and told.startswith("門" * 12 + "~"))


def test_times_far_back_stand_in_a_folder_of_their_day(tmp_path: Path) -> None:
    log = PredictionLog(str(tmp_path))
    log.append([Prediction.now(time=datetime(1, 1, 1, tzinfo=UTC), camera_id="a")])
    log.flush()
    assert [path.name for path in tmp_path.glob("date=*")] == ["date=0001-01-01"]


def test_the_environment_names_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAMERA_COUNTING_PREDICTION_LOG", raising=False)
    assert active_log() is None
    monkeypatch.setenv("CAMERA_COUNTING_PREDICTION_LOG", str(tmp_path))
    log = active_log()
    assert log is not None
    assert log is active_log()
    log.close()


def test_a_forked_process_has_a_spool_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = """
        import os
        from camera_counting.prediction_log import Prediction, active_log
        active_log().append([Prediction.now(total=1)])
        if os.fork() == 0:
            active_log().append([Prediction.now(total=2)])
            os._exit(0)
        os.wait()
        active_log().append([Prediction.now(total=3)])
    """
    environment = {**os.environ, "CAMERA_COUNTING_PREDICTION_LOG": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)], env=environment, check=True, timeout=60
    )
    assert sorted(read_predictions(str(tmp_path))["total"]) == [1, 2, 3]

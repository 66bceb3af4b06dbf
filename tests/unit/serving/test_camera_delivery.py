"""Sinks get every record, in order, however often they or the worker fall over, and hold up nobody."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from camera_counting.prediction_log import EVENT_KINDS, read_predictions
from serving.camera.records import CountRecord
from serving.camera.sinks import Delivery, JsonLinesSink, Sink
from serving.camera.sinks.prediction_log import PredictionLogSink
from serving.camera.state import StateStore
from serving.errors import SinkError
from tests.camera_records import NOON, checkpoint, record


class Memory(Sink):
    """Keeps what it takes, unless it is told to fail."""

    def __init__(self, name: str = "memory") -> None:
        super().__init__(name)
        self.taken: list[int] = []
        self.batches: list[str] = []
        self.tries: list[float] = []
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False

    def deliver(self, records: Sequence[CountRecord], batch: str) -> None:
        self.tries.append(time.monotonic())
        self.gate.wait(30)
        if self.error is not None:
            raise self.error
        self.taken += [r.track for r in records]
        self.batches.append(batch)

    def close(self) -> None:
        self.closed = True


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    store = StateStore(tmp_path / "state", sinks=["memory", "other", "file"])
    yield store
    store.close()


def commit(store: StateStore, first: int, last: int) -> None:
    store.commit("gate", checkpoint(last), [record(n) for n in range(first, last + 1)])


def test_records_arrive_in_order_and_are_acknowledged(store: StateStore) -> None:
    sink = Memory()
    delivery = Delivery(store, sink)
    for n in range(5):
        commit(store, 10 * n, 10 * n + 9)
    until(lambda: store.backlog("memory") == 0)
    assert sink.taken == list(range(50))
    status = delivery.status()
    assert (status.name, status.up, status.error) == ("memory", True, "")
    assert (status.waiting, status.delivered, status.lost) == (0, 50, 0)
    assert delivery.close()
    assert sink.closed


def test_a_sink_that_is_down_gets_everything_afterwards(
    store: StateStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A minute, in a clock that runs 200 times faster: waits of 5 to 300 ms stand for 1 to 60 s."""
    sink = Memory()
    sink.error = SinkError("nobody answers")
    delivery = Delivery(store, sink, backoff=(0.005, 0.3))
    begun = time.monotonic()
    number = 0
    while time.monotonic() < begun + 1.0:
        commit(store, number, number + 2)
        number += 3
        time.sleep(0.02)
    status = delivery.status()
    assert (status.up, status.error, status.waiting) == (False, "nobody answers", number)
    assert sink.taken == []
    assert len(sink.tries) <= 25  # it is left alone longer and longer
    sink.error = None
    until(lambda: store.backlog("memory") == 0)
    assert sink.taken == list(range(number))
    assert len(set(sink.batches)) == len(sink.batches)
    assert delivery.status().up
    told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len([text for text in told if "nobody answers" in text]) == 1  # not once a try
    assert any("the sink memory takes records again" in text for text in told)
    delivery.close()


@pytest.mark.slow
def test_a_sink_that_is_down_for_seconds(store: StateStore, tmp_path: Path) -> None:
    """In real time, with a folder that is away for a while."""
    folder = tmp_path / "mounted"
    folder.write_text("nothing is mounted here")
    delivery = Delivery(store, JsonLinesSink("file", folder / "events.jsonl"), backoff=(0.5, 2.0))
    for n in range(8):
        commit(store, n, n)
        time.sleep(0.5)
    assert not delivery.status().up
    assert "cannot append to" in delivery.status().error
    folder.unlink()
    until(lambda: store.backlog("file") == 0)
    lines = (folder / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["track"] for line in lines] == list(range(8))
    delivery.close()


def test_a_sink_that_hangs_holds_up_neither_cameras_nor_other_sinks(store: StateStore) -> None:
    hanging, other = Memory(), Memory("other")
    hanging.gate.clear()
    deliveries = [Delivery(store, sink, patience=0.3) for sink in (hanging, other)]
    for n in range(20):
        commit(store, n, n)
    until(lambda: other.taken == list(range(20)))
    assert store.backlog("memory") == 20
    until(lambda: not deliveries[0].status().up)
    assert "has not answered for" in deliveries[0].status().error
    assert deliveries[1].status().up
    begun = time.monotonic()
    assert deliveries[1].close(5)
    assert not deliveries[0].close(0.2)  # left behind
    assert time.monotonic() - begun < 5
    hanging.gate.set()
    until(lambda: hanging.closed)


def test_what_waits_is_brought_at_the_end(store: StateStore) -> None:
    sink = Memory()
    sink.linger = 60.0
    delivery = Delivery(store, sink)
    commit(store, 0, 4)
    time.sleep(0.3)
    assert sink.taken == []  # more may come
    assert delivery.close(20)
    assert sink.taken == [0, 1, 2, 3, 4]
    assert store.backlog("memory") == 0


def test_closing_does_not_wait_for_a_sink_that_is_down(store: StateStore) -> None:
    sink = Memory()
    sink.error = SinkError("gone")
    delivery = Delivery(store, sink, backoff=(30.0, 60.0))
    commit(store, 0, 0)
    until(lambda: len(sink.tries) == 1)
    begun = time.monotonic()
    assert delivery.close(20)
    assert time.monotonic() - begun < 10
    assert store.backlog("memory") == 1


def test_a_sink_is_left_alone_for_as_long_as_it_asked(store: StateStore) -> None:
    sink = Memory()
    sink.error = SinkError("too many", retry_after=0.7)
    delivery = Delivery(store, sink, backoff=(0.01, 0.02))
    commit(store, 0, 0)
    until(lambda: len(sink.tries) == 2)
    assert sink.tries[1] - sink.tries[0] >= 0.7
    delivery.close()


def test_a_fault_of_the_sink_itself_ends_nothing(store: StateStore, caplog: pytest.LogCaptureFixture) -> None:
    sink = Memory()
    sink.error = KeyError("oops")
    delivery = Delivery(store, sink, backoff=(0.01, 0.02))
    commit(store, 0, 3)
    until(lambda: not delivery.status().up)
    assert delivery.status().error == "KeyError, see the log"
    sink.error = None
    until(lambda: store.backlog("memory") == 0)
    assert sink.taken == [0, 1, 2, 3]
    assert "failed in a way that it should not" in caplog.text
    delivery.close()


def lines_of(path: Path) -> list[int]:
    return [json.loads(line)["track"] for line in path.read_text().splitlines()]


def test_a_line_holds_the_record(tmp_path: Path) -> None:
    sink = JsonLinesSink("file", tmp_path / "logs" / "events.jsonl")
    sink.deliver([record(1, name="Süd-Tür")], "b")
    (line,) = (tmp_path / "logs" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == record(1, name="Süd-Tür").to_dict()
    assert json.loads(line)["time"] == "2026-03-01T12:00:01+00:00"
    assert "Süd-Tür" in line


@pytest.mark.parametrize("cut", [1, 7, 150, 340])
def test_a_line_that_was_cut_off_is_written_again(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "events.jsonl"
    sink = JsonLinesSink("file", path)
    sink.deliver([record(n) for n in range(3)], "first")
    batch = [record(n) for n in range(3, 8)]
    sink.deliver(batch, "second")
    path.write_bytes(path.read_bytes()[:-cut])  # as a process that was killed leaves it
    sink.deliver(batch, "second")
    assert lines_of(path) == list(range(8))
    sink.deliver(batch, "second")
    assert lines_of(path) == list(range(8))
    assert path.read_bytes().endswith(b"}\n")


def test_what_came_some_batches_before_is_known(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sink = JsonLinesSink("file", path)
    sink.deliver([record(n) for n in range(700)], "a")
    sink.deliver([record(n) for n in range(700, 900)], "b")
    sink.deliver([record(n) for n in range(3)], "a")
    assert lines_of(path) == list(range(900))


def test_what_others_wrote_into_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    theirs = b'"theirs"\n\xff\xfe\n[1]\n' + b"x" * 200_000
    path.write_bytes(theirs)
    sink = JsonLinesSink("file", path)
    sink.deliver([record(1)], "b")
    sink.deliver([record(1)], "b")
    content = path.read_bytes()
    assert content.startswith(theirs + b"\n")
    assert json.loads(content[len(theirs) :])["track"] == 1


def test_a_file_may_be_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sink = JsonLinesSink("file", path)
    sink.deliver([record(1)], "a")
    path.rename(tmp_path / "events.1.jsonl")
    sink.deliver([record(2)], "b")
    assert (lines_of(tmp_path / "events.1.jsonl"), lines_of(path)) == ([1], [2])


def test_a_full_disk_leaves_no_half_of_a_batch(tmp_path: Path) -> None:
    """A limit on the size of files makes writes fail in the middle, as a full disk does."""
    script = """
        import resource, sys
        from pathlib import Path
        from serving.camera.sinks import JsonLinesSink
        from serving.errors import SinkError
        from tests.camera_records import record

        path = Path(sys.argv[1])
        sink = JsonLinesSink("file", path)
        sink.deliver([record(n) for n in range(10)], "a")
        before = path.read_bytes()
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
        for _ in range(2):
            try:
                sink.deliver([record(n) for n in range(10, 500)], "b")
                raise SystemExit("delivered although it does not fit")
            except SinkError as error:
                assert "check its rights and the disk's room" in str(error), error
            assert path.read_bytes() == before
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        sink.deliver([record(n) for n in range(10, 500)], "b")
    """
    path = tmp_path / "events.jsonl"
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert lines_of(path) == list(range(500))


def test_a_file_a_day(tmp_path: Path) -> None:
    sink = JsonLinesSink("file", tmp_path / "events.jsonl", daily=True)
    late = [record(n, time=NOON.replace(hour=23, minute=59)) for n in range(2)]
    early = [record(n, time=NOON.replace(day=2, hour=0)) for n in range(2, 4)]
    for _ in range(2):
        sink.deliver(late + early, "a")
    assert lines_of(tmp_path / "events-2026-03-01.jsonl") == [0, 1]
    assert lines_of(tmp_path / "events-2026-03-02.jsonl") == [2, 3]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").mkdir()
    with pytest.raises(SinkError, match=r"cannot append to .*events.jsonl: Is a directory; check its rights and"):
        JsonLinesSink("file", tmp_path / "events.jsonl").deliver([record(1)], "a")


def test_files_and_the_prediction_log_tell_how_long_and_how_many(tmp_path: Path) -> None:
    left, crowded = record(1, kind="left", lasted=12.25), record(2, kind="crowded", number=7)
    told = [record(0), left, crowded]
    JsonLinesSink("file", tmp_path / "events.jsonl").deliver(told, "b")
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    # what the kind does not have is left out
    assert [(line.get("lasted"), line.get("number")) for line in lines] == [(None, None), (12.25, None), (None, 7)]
    assert "lasted" not in lines[0]
    PredictionLogSink("log", str(tmp_path / "log")).deliver(told, "b")
    rows = read_predictions(str(tmp_path / "log"), kinds=EVENT_KINDS).set_index("id")
    assert rows.loc[left.id, "lasted"] == 12.25
    assert rows.loc[crowded.id, "number"] == 7
    assert rows.loc[told[0].id, ["lasted", "number"]].isna().all()

"""One camera's count over restarts, clocks that jump, scenes that change and a disk that is full."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from camera_counting.detections import Detections
from camera_counting.video import Frame
from serving.camera.config import CameraSettings
from serving.camera.lasting_count import LastingCount
from serving.camera.records import CountRecord
from serving.camera.state import StateStore
from serving.errors import StateError

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
NAMES = ("person", "car")
SCENE = {"lines": [{"name": "gate", "from": [0, 0.5], "to": [1, 0.5]}]}
IMAGE = np.zeros((200, 200, 3), np.uint8)
# what `LastingCount` needs of a model; it detects nothing here
MODEL: Any = SimpleNamespace(names=NAMES, confidence=0.3, check_classes=lambda classes: classes)
LOADED: Any = SimpleNamespace(model=MODEL, version="7", number=0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    store = StateStore(tmp_path / "state")
    yield store
    store.close()


def camera(**said: Any) -> CameraSettings:
    return CameraSettings.model_validate({"name": "gate", "source": "rtsp://h/1", "scene": SCENE, **said})


class Walk:
    """Somebody walks down the picture, 4 pixels a frame, ten frames a second, over the line at 100."""

    def __init__(self, count: LastingCount, *, seconds: float = 0.0, now: datetime = NOON) -> None:
        self.count, self.seconds, self.now, self.index = count, seconds, now, 0

    def go(self, start: int, end: int) -> list[CountRecord]:
        told = []
        for y in range(start, end, 4):
            seen = Detections.of([[80, y - 40, 100, y]], [0.9], [0], NAMES)
            told += self.count.step(seen, Frame(self.index, self.seconds, IMAGE), self.now, LOADED)[1]
            self.index += 1
            self.seconds += 0.1
            self.now += timedelta(seconds=0.1)
        return told


def test_a_live_camera_keeps_its_tracks_over_a_quick_restart(store: StateStore) -> None:
    before = LastingCount(camera(), store)
    walk = Walk(before, seconds=100.0)
    assert walk.go(60, 96) == []
    before.commit()
    # the new process has a clock and frames of its own; half a second is lost, in which the line was crossed
    after = LastingCount(camera(), store)
    (crossed,) = [
        record
        for record in Walk(after, seconds=0.0, now=walk.now + timedelta(seconds=0.4)).go(112, 160)
        if record.kind == "crossing"
    ]
    assert (crossed.direction, crossed.model_version) == ("in", "7")
    # between the last frame before the restart, in which it was at 92, and the first one after it, at 112
    assert walk.now - timedelta(seconds=0.1) < crossed.time < walk.now + timedelta(seconds=0.4)
    assert after.frame == 9 + 12 - 1


def test_ids_go_on_where_they_were_and_are_never_used_twice(store: StateStore) -> None:
    first = LastingCount(camera(), store)
    told = Walk(first).go(60, 160)
    first.commit()
    again = LastingCount(camera(), store)
    told += Walk(again, now=NOON + timedelta(minutes=5)).go(60, 160)
    again.commit()
    crossings = [record for record in told if record.kind == "crossing"]
    assert len(crossings) == 2
    assert len({record.id for record in told}) == len(told)
    assert store.today("gate", "UTC", NOON)["lines"] == {"gate": {"in": 2, "out": 0}}


@pytest.mark.parametrize("jump", [timedelta(hours=-3), timedelta(hours=3), timedelta(days=-400)])
def test_a_clock_that_jumps_changes_no_count(store: StateStore, jump: timedelta) -> None:
    count = LastingCount(camera(), store)
    walk = Walk(count)
    told = walk.go(60, 80)
    walk.now += jump
    told += walk.go(80, 160)
    walk.now -= jump
    told += walk.go(160, 190)
    count.commit()
    assert [(record.kind, record.direction) for record in told] == [("crossing", "in")]
    # put back while nothing ran
    restarted = LastingCount(camera(), store)
    told = Walk(restarted, now=NOON + jump).go(60, 160)
    assert [(record.kind, record.direction) for record in told] == [("crossing", "in")]


def test_another_scene_begins_with_no_track_and_keeps_the_counts(store: StateStore) -> None:
    count = LastingCount(camera(), store)
    Walk(count).go(60, 160)
    count.commit()
    moved = {"lines": [{"name": "gate", "from": [0, 0.9], "to": [1, 0.9]}]}
    other = LastingCount(camera(scene=moved), store)
    (told,) = Walk(other, now=NOON + timedelta(seconds=12)).go(140, 200)
    assert told.direction == "in"
    assert other.today(NOON)["lines"] == {"gate": {"in": 2, "out": 0}}


def test_what_could_not_be_written_is_in_the_day_and_is_written_once(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = LastingCount(camera(), store)

    def full(*_: object) -> None:
        raise StateError("the disk is full")

    Walk(count).go(60, 160)
    with monkeypatch.context() as patch:
        patch.setattr(store, "commit", full)
        assert count.commit() is None
        assert count.commit() is None
    assert count.error == "the disk is full"
    assert store.today("gate", "UTC", NOON)["lines"] == {}
    assert count.today(NOON)["lines"] == {"gate": {"in": 1, "out": 0}}
    written = count.commit()
    assert written is not None
    assert [record.kind for record in written] == ["crossing"]
    assert count.commit() == []
    assert count.error == ""
    assert store.today("gate", "UTC", NOON) == count.today(NOON)


def test_a_record_tells_how_long_a_stay_was_and_how_many_crowd(store: StateStore) -> None:
    """Somebody walks 4 pixels each tenth of a second through 40 pixels of a zone: a second."""
    half = [[0, 0.5], [1, 0.5], [1, 0.7], [0, 0.7]]
    zones = [{"name": "hall", "polygon": half, "crowding": {"more_than": 0, "for_seconds": 0}}]
    told = Walk(LastingCount(camera(scene={"zones": zones}), store)).go(60, 200)
    by_kind = {record.kind: record for record in told}
    assert by_kind["left"].lasted == pytest.approx(1.0, abs=0.05)
    assert by_kind["entered"].lasted is None
    assert by_kind["crowded"].number == 1
    assert by_kind["cleared"].number == 1
    assert by_kind["cleared"].lasted == pytest.approx(1.0, abs=0.4)


def test_one_that_was_left_behind_writes_nothing(store: StateStore) -> None:
    hanging = LastingCount(camera(), store)
    hanging.commit()
    hanging.abandon()
    Walk(hanging).go(60, 160)
    hanging.commit()
    held = store.load("gate")
    assert held is not None
    assert (held.sequence, held.frame) == (0, -1)


def hanging(tmp_path: Path) -> sqlite3.Connection:
    """Holds the state's file, so that whoever writes waits for it, as for a disk that hangs."""
    other = sqlite3.connect(tmp_path / "state" / "state.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_a_commit_that_hangs_does_not_land_on_its_successor(store: StateStore, tmp_path: Path) -> None:
    before = LastingCount(camera(), store)
    before.commit()
    Walk(before).go(60, 160)
    other = hanging(tmp_path)
    late = threading.Thread(target=before.commit)
    late.start()
    time.sleep(0.2)
    before.abandon()
    successors: list[LastingCount] = []
    begun = threading.Thread(target=lambda: successors.append(LastingCount(camera(), store)))
    begun.start()
    time.sleep(0.2)
    other.execute("ROLLBACK")
    other.close()
    late.join(10)
    begun.join(10)
    held = store.load("gate")
    assert held is not None
    # what the successor goes on from is what stands in the state
    assert successors[0].told == held.sequence == 0


def test_a_commit_that_was_queued_behind_one_that_hangs_is_not_written_either(
    store: StateStore, tmp_path: Path
) -> None:
    before = LastingCount(camera(), store)
    before.commit()
    Walk(before).go(60, 160)
    other = hanging(tmp_path)
    first = threading.Thread(target=LastingCount(camera(name="yard"), store).commit)
    first.start()
    time.sleep(0.2)
    late = threading.Thread(target=before.commit)  # waits for the one of the other camera
    late.start()
    time.sleep(0.2)
    before.abandon()
    other.execute("ROLLBACK")
    other.close()
    for thread in (first, late):
        thread.join(10)
    held, yard = store.load("gate"), store.load("yard")
    assert held is not None
    assert held.sequence == 0
    assert yard is not None


def test_midnight_is_the_site_s(store: StateStore) -> None:
    count = LastingCount(camera(time_zone="Asia/Tokyo"), store)
    Walk(count, now=datetime(2026, 5, 1, 14, 59, 50, tzinfo=UTC)).go(60, 160)
    count.commit()
    before = datetime(2026, 5, 1, 14, 59, 59, tzinfo=UTC)
    assert count.today(before)["lines"] == {"gate": {"in": 1, "out": 0}}
    assert count.today(before + timedelta(seconds=2))["lines"] == {}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("rtsp://h/1", "rtsp://h/1"),
        ("a.mp4 as a camera", "a.mp4 as a camera"),
        ("a.mp4", "b.mp4"),
        ("rtsp://h/1", "a.mp4"),
    ],
)
def test_no_frame_after_a_restart_is_taken_for_one_before_it(
    store: StateStore, tmp_path: Path, first: str, then: str
) -> None:
    """What is kept of single frames is known by their place."""
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(name.encode() * len(name))

    def settings(text: str) -> CameraSettings:
        source, _, as_camera = text.partition(" as ")
        if "://" in source:
            return camera(source=source)
        clip = {"pace": "real-time" if as_camera else "fast", "repeat": True}
        return camera(source=str(tmp_path / source), clip=clip)

    places: list[str] = []
    for text in (first, then, then if "://" in then or " as " in then else first):
        count = LastingCount(settings(text), store)
        for _ in range(2):
            walk = Walk(count)
            for y in range(60, 80, 4):
                walk.go(y, y + 4)
                places.append(count.place)
            if "://" in text:
                break
            count.commit()
            count.finish(repeat=True)
        count.commit()
        # seen after the last commit, and lost with the process
        (walk if "://" in text else Walk(count)).go(80, 84)
        places.append(count.place)
    assert len(places) == len(set(places)), places


def test_frames_of_a_clip_that_are_counted_again_are_the_same_ones(store: StateStore, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"clip")
    clip = camera(source=str(tmp_path / "a.mp4"))
    count = LastingCount(clip, store)
    walk = Walk(count)
    walk.go(60, 80)
    count.commit()
    walk.go(80, 84)
    lost = count.place
    again = LastingCount(clip, store)
    going_on = Walk(again, seconds=walk.seconds - 0.1)
    going_on.index = walk.index - 1
    going_on.go(80, 84)
    assert again.place == lost

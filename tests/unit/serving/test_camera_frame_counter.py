"""From a camera's newest frames to its count."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from camera_counting.video import Frame
from serving.camera.config import read_camera
from serving.camera.feed import Feed, FeedStats, Taken
from serving.camera.figures import Figures
from serving.camera.following import ModelInUse
from serving.camera.frame_counter import FrameCounter
from serving.camera.lasting_count import LastingCount
from serving.camera.state import StateStore
from serving.camera.turns import Turns
from serving.errors import StateError
from tests.street import SCENE, SIZE, save_toy
from tests.toy_detector import picture


class HandFed(Feed):
    """Gives the newest of the pictures that were put into it."""

    error, state, over = "", "live", False

    def __init__(self) -> None:
        self._put: deque[Taken] = deque(maxlen=1)
        self._index = 0

    def put(self, image: np.ndarray, seconds: float) -> None:
        frame = Frame(self._index, seconds, image)
        self._put.append(Taken(frame, datetime.now(UTC), time.monotonic()))
        self._index += 1

    def next(self, timeout: float) -> Taken | None:
        until = time.monotonic() + timeout
        while not self._put and time.monotonic() < until:
            time.sleep(0.002)
        return self._put.popleft() if self._put else None

    def stats(self) -> FeedStats:
        return FeedStats(self._index)

    def close(self) -> None:
        self.over = True


@pytest.fixture
def street(tmp_path: Path) -> Iterator[tuple[FrameCounter, HandFed, Turns, Figures]]:
    model = ModelInUse(str(save_toy(tmp_path / "model")), tmp_path / "models")
    model.start()
    store, feed = StateStore(tmp_path / "state"), HandFed()
    turns, figures, stop = Turns(1), Figures(), threading.Event()
    camera = read_camera({"name": "street", "source": "rtsp://127.0.0.1:9/", "scene": SCENE}, tmp_path)
    count = LastingCount(camera, store)
    counter = FrameCounter(count, model, turns, figures, stop, staleness=1.0, interval=60.0)
    thread = threading.Thread(target=counter.count_newest, args=(feed,))
    thread.start()
    yield counter, feed, turns, figures
    stop.set()
    thread.join(5)
    store.close()


def wait_until(done) -> None:
    deadline = time.monotonic() + 5
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def street_with(x: int) -> np.ndarray:
    return picture(SIZE, SIZE, [("car", x, 60, x + 60, 100)])


def test_a_frame_in_which_nothing_moved_waits_for_no_turn_at_the_detector(street) -> None:
    _, feed, turns, figures = street
    feed.put(street_with(20), 0.0)
    wait_until(lambda: figures.detected == 1)
    with turns.turn("a clip that takes long"):
        for index in range(1, 4):
            feed.put(street_with(20), 0.2 * index)
            wait_until(lambda n=index: figures.rested == n)
    assert figures.detected == 1


def wait_for_a_turn(street, seconds: float) -> None:
    """A first frame is detected; a second one waits for its turn, and a third one comes before that is there."""
    _, feed, turns, figures = street
    feed.put(street_with(20), 0.0)
    wait_until(lambda: figures.detected == 1)
    with turns.turn("another camera"):
        feed.put(street_with(60), 0.2)
        wait_until(lambda: sum(map(len, turns._waiting.values())) == 1)
        feed.put(street_with(120), 0.4)
        time.sleep(seconds)


def test_what_waits_for_a_turn_for_a_moment_only_is_not_left_out(street) -> None:
    figures = street[-1]
    wait_for_a_turn(street, 0.03)
    wait_until(lambda: figures.detected == 3)
    assert figures.passed == 0


def test_when_the_turn_is_long_in_coming_the_newest_frame_is_detected_and_compared_with(street) -> None:
    counter, feed, _, figures = street
    wait_for_a_turn(street, 0.25)
    wait_until(lambda: figures.detected == 2)
    assert figures.passed == 1
    wait_until(lambda: counter.seen.seconds == pytest.approx(0.4, abs=0.01))
    (box,) = counter.seen.detections.at_least(0.3).boxes
    assert box == pytest.approx([120, 60, 180, 100], abs=8)
    # the next one is held against the frame that was detected, not against the one that waited for it
    feed.put(street_with(120), 0.6)
    wait_until(lambda: figures.rested == 1)


def test_a_frame_that_got_too_old_in_the_queue_is_left_out_and_the_next_one_detected(street) -> None:
    _, feed, turns, figures = street
    feed.put(street_with(20), 0.0)
    wait_until(lambda: figures.detected == 1)
    with turns.turn("a clip that takes long"):
        feed.put(street_with(60), 0.2)
        wait_until(lambda: sum(map(len, turns._waiting.values())) == 1)
        time.sleep(1.1)
    wait_until(lambda: figures.stale == 1)
    feed.put(street_with(60), 1.4)
    wait_until(lambda: figures.detected == 2)


def test_while_nothing_can_be_written_it_is_tried_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ModelInUse(str(tmp_path / "model"), tmp_path / "models")
    store = StateStore(tmp_path / "state")
    camera = read_camera({"name": "street", "source": "rtsp://127.0.0.1:9/", "scene": SCENE}, tmp_path)
    count = LastingCount(camera, store)
    counter = FrameCounter(count, model, Turns(1), Figures(), threading.Event(), staleness=1.0, interval=1.0)
    tried: list[float] = []
    now = 0.0

    def full(*_: object) -> None:
        tried.append(now)
        raise StateError("the disk is full")

    monkeypatch.setattr("serving.camera.frame_counter.time", SimpleNamespace(monotonic=lambda: now))
    with monkeypatch.context() as patch:
        patch.setattr(store, "commit", full)
        for tenth in range(1800):  # three minutes of a camera with ten frames a second
            now = tenth / 10
            counter.commit()
    # after 2, 4, 8 and 16 seconds, and then every 30
    assert tried == pytest.approx([0, 2, 6, 14, 30, 60, 90, 120, 150], abs=0.11)
    now = 180.1
    counter.commit()
    assert count.error == ""
    assert store.load("street") is not None
    store.close()


class Played(Feed):
    """Pictures ten times a second by a clock of its own, None for a moment without one."""

    error, state, over = "", "live", False

    def __init__(self, pictures: list[np.ndarray | None]) -> None:
        self._pictures, self.index = pictures, 0

    @property
    def now(self) -> float:
        return self.index / 10

    def next(self, timeout: float) -> Taken | None:
        if timeout == 0:
            return None  # no newer one
        self.index += 1
        self.over = self.index == len(self._pictures)
        image = self._pictures[self.index - 1]
        moment = datetime(2026, 5, 1, tzinfo=UTC) + timedelta(seconds=self.now)
        return None if image is None else Taken(Frame(self.index, self.now, image), moment, self.now)

    def stats(self) -> FeedStats:
        return FeedStats(self.index)

    def close(self) -> None:
        return


def test_the_state_is_written_while_somebody_is_in_sight_and_hardly_while_nobody_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ModelInUse(str(save_toy(tmp_path / "model")), tmp_path / "models")
    model.start()
    store = StateStore(tmp_path / "state")
    camera = read_camera({"name": "street", "source": "rtsp://127.0.0.1:9/", "scene": SCENE}, tmp_path)
    count = LastingCount(camera, store)
    empty = picture(SIZE, SIZE, [])
    parked = street_with(20)
    # ten seconds with a car, a minute without, ten seconds with one again, and a minute in which no frame comes
    feed = Played([parked] * 100 + [empty] * 600 + [parked] * 100 + [None] * 600 + [None])
    written: list[float] = []
    commit = store.commit

    def noted(*told: object) -> None:
        written.append(feed.now)
        commit(*told)

    monkeypatch.setattr(store, "commit", noted)
    monkeypatch.setattr("serving.camera.frame_counter.time", SimpleNamespace(monotonic=lambda: feed.now))
    counter = FrameCounter(count, model, Turns(1), Figures(), threading.Event(), staleness=1.0, interval=1.0)
    counter.count_newest(feed)

    def between(first: float, last: float) -> int:
        return sum(first < moment <= last for moment in written)

    assert between(0, 10) >= 9
    # somebody who is hidden may come back for some seconds
    assert between(10, 25) >= 11
    assert between(25, 70) <= 2
    assert between(70.0, 70.3) == 1, "at once when somebody comes"
    assert between(70, 80) >= 9
    assert between(81.5, 139.9) <= 2
    # the last one is when it ends
    assert written[-1] == pytest.approx(140, abs=0.2)
    store.close()

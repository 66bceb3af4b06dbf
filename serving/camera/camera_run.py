"""One camera of the worker: its thread, and every trouble of it kept to itself."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from camera_counting.errors import CountingError
from serving.camera.config import CameraSettings
from serving.camera.feed import Feed, FeedStats, open_feed
from serving.camera.figures import Figures
from serving.camera.following import Frames, ModelInUse
from serving.camera.frame_counter import FrameCounter
from serving.camera.lasting_count import LastingCount
from serving.camera.metrics import CameraMetrics
from serving.camera.state import StateStore
from serving.camera.status import CameraState, CameraStatus
from serving.camera.turns import Turns
from serving.camera.view import FrameKeeper, View, of_today
from serving.errors import ServingError, StateError

__all__ = ["CameraRun", "Surroundings"]

_log = logging.getLogger("serving.camera")

_BACKOFF = (1.0, 60.0)
_LOOK = 0.25  # seconds between two looks at whether it is to stop
_IN_WORDS: dict[CameraState, str] = {
    "connecting": "being connected",
    "live": "frames come",
    "frozen": "its picture is frozen",
    "black": "its picture is black",
    "waiting": "waits for the next try to connect",
    "ended": "counted to its end",
    "failed": "failed",
    "stopped": "stopped",
}


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What all cameras of a worker share, and how they count."""

    model: ModelInUse
    turns: Turns
    store: StateStore
    staleness: float = 1.0
    snapshot_interval: float = 1.0
    keepers: tuple[FrameKeeper, ...] = ()
    faint: float | None = None
    metrics: CameraMetrics | None = None


class CameraRun:
    """Counts one camera in a thread of its own until it is stopped.

    Whatever fails is told in its status and tried again after a pause that grows; no other camera notices.
    """

    def __init__(self, settings: CameraSettings, around: Surroundings) -> None:
        self.settings = settings
        self.name = settings.name
        self.figures = Figures()
        self._around = around
        self._stop = threading.Event()
        self._trouble = ""
        self._ended = False
        self._told: tuple[CameraState, datetime] = ("connecting", datetime.now(UTC))
        self._watching = threading.Lock()
        self._feed: Feed | None = None
        self._before = FeedStats()  # of feeds that are over
        self._count: LastingCount | None = None
        self._counter: FrameCounter | None = None
        self._today: tuple[Any, dict[str, Any]] = (None, {})
        self._thread = threading.Thread(target=self._run, name=f"camera-{settings.name}", daemon=True)

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Let it end with the frame that it is at."""
        self._stop.set()

    def wait(self, timeout: float) -> bool:
        """Whether its thread has ended after so many seconds; one that hangs is left behind."""
        if self._thread.is_alive():
            self._thread.join(timeout)
        if self._thread.is_alive():
            _log.warning("%s: does not end, perhaps its source hangs; it is left behind", self.name)
            if self._count is not None:
                self._count.abandon()
            return False
        return True

    @property
    def frames(self) -> Frames | None:
        """Size of its frames and the part of them that matters, once there was one."""
        return None if self._counter is None else self._counter.frames

    @property
    def state_error(self) -> str:
        """Why its state cannot be written; empty where it can."""
        return "" if self._count is None else self._count.error

    def status(self) -> CameraStatus:
        """What it does now."""
        stats, figures = self._stats(), self.figures
        state, error = self.watch()
        return CameraStatus(
            camera=self.name,
            state=state,
            error=error,
            since=self._told[1],
            last_frame=stats.last_frame,
            fps=figures.fps(stats.received),
            frames=stats.received,
            dropped=stats.dropped + figures.passed,
            corrupt=stats.corrupt,
            stale=figures.stale,
            reconnects=stats.reconnects,
            detected=figures.detected,
            rested=figures.rested,
            decode_ms=stats.decode_ms,
            inference_ms=round(figures.inference_ms, 3),
            delay_ms=round(figures.delay_ms, 3),
            version=self._around.model.version,
            today=self._counts_of_today(),
        )

    def watch(self) -> tuple[CameraState, str]:
        """Its state, and what is wrong; a change of state is noted with its time, and told in the log."""
        self.figures.note(self._stats().received)
        state, error = self._now()
        with self._watching:
            before, _ = self._told
            if state != before:
                self._told = (state, datetime.now(UTC))
        if state != before and state != "failed":  # why it failed was told when it did
            _log.info("%s: %s%s", self.name, _IN_WORDS[state], f" ({error})" if error else "")
        return state, error

    def view(self) -> View | None:
        """Its last frame with what is known of it; None before the first."""
        count, counter = self._count, self._counter
        if count is None or counter is None or counter.seen is None:
            return None
        with counter.lock:
            seen, counts, scene, size = counter.seen, count.result(), count.scene, count.size
        if counts is None or size is None:
            return None
        return View.of(seen, size, of_today(counts, self._counts_of_today()), scene)

    def _now(self) -> tuple[CameraState, str]:
        feed, counter = self._feed, self._counter
        if not self._thread.is_alive() and self._stop.is_set():
            return "stopped", ""
        if self._trouble:
            return "failed", self._trouble
        if self._ended:
            return "ended", ""
        if feed is None:
            return "connecting", "" if self._around.model.current else "there is no model to count with yet"
        if feed.state == "live" and counter is not None and counter.health in {"frozen", "black"}:
            return "frozen" if counter.health == "frozen" else "black", feed.error
        return feed.state, feed.error

    def _run(self) -> None:
        pause = _BACKOFF[0]
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._count_until_over()
            except (CountingError, ServingError, OSError) as error:
                self._fail(str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, the other cameras go on
                _log.exception("%s: counting failed in a way that it should not", self.name)
                self._fail(f"{type(error).__name__}: {error}; the log tells more")
            else:
                self._stop.wait()  # the clip is over
                return
            if time.monotonic() - began > _BACKOFF[1]:
                pause = _BACKOFF[0]
            self._stop.wait(pause)
            pause = min(2 * pause, _BACKOFF[1])

    def _fail(self, trouble: str) -> None:
        if trouble != self._trouble:
            _log.error("%s: %s", self.name, trouble)
        self._trouble = trouble

    def _count_until_over(self) -> None:
        """From opening the source until it is over, or this is to stop."""
        while self._around.model.wait(_LOOK) is None:
            if self._stop.is_set():
                return
        around = self._around
        count = self._count
        if count is None or not count.error:  # else it holds what could not be written yet
            count = LastingCount(self.settings, around.store)
        counter = FrameCounter(
            count,
            around.model,
            around.turns,
            self.figures,
            self._stop,
            staleness=around.staleness,
            interval=around.snapshot_interval,
            keepers=around.keepers,
            faint=around.faint,
            metrics=around.metrics,
        )
        self._count, self._counter = count, counter
        if count.ended:
            _log.info("%s: the clip was counted to its end before; under another name it counts anew", self.name)
        else:
            count.commit()  # when it began is part of what its events are
        while not (count.ended or self._stop.is_set()):
            self._play(count, counter)
        self._ended = count.ended

    def _play(self, count: LastingCount, counter: FrameCounter) -> None:
        """Count the source once; a camera's never ends."""
        with self._opened(count.frame) as feed:
            if count.is_lossless:
                over = counter.count_every(feed)
            else:
                counter.count_newest(feed)
                over = feed.over
            if not over:
                return
            if feed.error:
                _log.warning("%s", feed.error)
        with counter.lock:
            count.finish(repeat=self.settings.clip.repeat)
        counter.commit(patiently=True)
        if count.ended:
            counter.settle()

    @contextmanager
    def _opened(self, after: int) -> Iterator[Feed]:
        feed = open_feed(self.settings, after=after)
        self._feed, self._trouble = feed, ""
        try:
            yield feed
        finally:
            self._feed = None
            self._before = self._before + feed.stats()
            feed.close()

    def _stats(self) -> FeedStats:
        feed = self._feed
        return self._before if feed is None else self._before + feed.stats()

    def _counts_of_today(self) -> dict[str, Any]:
        """Of the site's day, with what is in the zones now; read again when something changed."""
        count, counter = self._count, self._counter
        if count is None or counter is None:
            return {}
        # a clip has the day on which it was recorded
        now = count.moment if count.is_lossless else datetime.now(UTC)
        key = (count, count.told, count.writes, now.astimezone(self.settings.zone).date())
        if self._today[0] != key:
            try:
                self._today = (key, count.today(now))
            except StateError as error:  # what was known before is still told
                _log.debug("%s: %s", self.name, error)
        with counter.lock:
            result = count.result()
        told = {"lines": {}, "zones": {}, **deepcopy(self._today[1])}
        for name in result.lines if result is not None else ():
            told["lines"].setdefault(name, {"in": 0, "out": 0})
        for name, zone in result.zones.items() if result is not None else ():
            told["zones"].setdefault(name, {"entered": 0, "left": 0})["occupancy"] = zone.occupancy
        return told

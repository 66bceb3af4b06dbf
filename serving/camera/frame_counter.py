"""From frames to committed records: the newest frames of a camera, or every frame of a clip."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from camera_counting.counting.camera import FAINT
from camera_counting.counting.economy import Economy, FrameChoice
from camera_counting.detections import Detections
from camera_counting.video import PictureHealth
from serving.camera.feed import Feed, Taken
from serving.camera.figures import Figures
from serving.camera.following import Frames, Loaded, ModelInUse
from serving.camera.lasting_count import LastingCount
from serving.camera.metrics import CameraMetrics
from serving.camera.turns import Turns
from serving.camera.view import FrameKeeper, Seen
from serving.errors import ServingError

__all__ = ["FrameCounter"]

_log = logging.getLogger("serving.camera")

_AHEAD = 3  # frames of a clip that are detected ahead
_STRETCH = 64  # frames of a clip after which the state is written
_LOOK = 0.25  # seconds between two looks at whether it is to stop
# Seconds for which a frame may wait for its turn before a newer one is taken instead: what comes all at once, from
# cameras in step, is counted as long as it is done before long.
_PATIENCE = 0.2
_IDLE = 30.0  # seconds after which the state is written while there is nobody to be seen
_TRY_AGAIN = 2.0, 30.0  # shortest and longest wait until a state that could not be written is tried again


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    detections: Detections
    loaded: Loaded
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class _Ahead:
    """A frame of a clip that is being detected; `found` is None where nothing is to be looked for in it."""

    taken: Taken
    detected: bool
    found: Future[_Found] | None


class FrameCounter:
    """Counts the frames of one camera's feed.

    Parameters
    ----------
    count : LastingCount
    model, turns
        Shared by all cameras.
    figures : Figures
    stop : Event
        Ends it with the frame that it is at.
    staleness : float
        Seconds after which a live frame is too old to be counted.
    interval : float
        Seconds after which the state is written even where nothing happened, but somebody is in sight.
    keepers : sequence of FrameKeeper
    faint : float, optional
        Keepers and page see detections down to this confidence, where it is lower than what counts.

    Attributes
    ----------
    seen : Seen or None
        The last frame that was counted.
    health : "ok", "frozen" or "black"
        What the last frames show.
    frames : Frames or None
        Size of the frames and the part of them that matters; None before the first.
    lock : Lock
        Held while the count changes.
    """

    def __init__(
        self,
        count: LastingCount,
        model: ModelInUse,
        turns: Turns,
        figures: Figures,
        stop: threading.Event,
        *,
        staleness: float,
        interval: float,
        keepers: Sequence[FrameKeeper] = (),
        faint: float | None = None,
        metrics: CameraMetrics | None = None,
    ) -> None:
        self.seen: Seen | None = None
        self.frames: Frames | None = None
        self.health = "ok"
        self.lock = threading.Lock()
        self.settings = count.settings
        self._count, self._model, self._turns, self._figures, self._stop = count, model, turns, figures, stop
        self._staleness, self._interval, self._keepers, self._faint = staleness, interval, keepers, faint
        self._economy: Economy = getattr(Economy, self.settings.economy)()
        self._metrics = metrics
        self._choice: FrameChoice | None = None
        self._health = PictureHealth()
        self._committed = time.monotonic()
        self._pause = 0.0

    def count_newest(self, feed: Feed) -> None:
        """Count a camera: always its newest frame, until the feed is over or this is to stop."""
        last: _Found | None = None
        while not (self._stop.is_set() or feed.over):
            taken = feed.next(_LOOK)
            if taken is not None:
                taken, verdict, last = self._looked_at(feed, taken, last)
                if verdict == "stale":
                    self._figures.stale += 1
                    happened = False
                else:
                    happened = self._take_in(taken, None if verdict == "skip" else last, verdict == "detect")
                self._commit_if_due(happened)
            else:
                self._commit_if_due(False)
        self._committed = -math.inf  # the last try, whatever came of the ones before
        self.commit()

    def count_every(self, feed: Feed) -> bool:
        """Count every frame of a clip; whether it came to the end.

        Some frames are detected ahead. What is left out depends on the frames alone, not on how long anything
        took: after each event, and after a stretch of frames, all that is under way is counted, the state is
        written, and the choice of frames begins anew. Whoever goes on from there after a `kill -9` sees and
        counts the same.
        """
        with ThreadPoolExecutor(_AHEAD, thread_name_prefix=f"ahead-{self.settings.name}") as pool:
            ahead: deque[_Ahead] = deque()
            last: Future[_Found] | None = None
            self._choice, stretch = None, 0
            try:
                while not self._stop.is_set():
                    taken = feed.next(_LOOK)
                    if taken is None:
                        self._drain(ahead, pool)
                        return True
                    if self._is_of_another_size(taken):
                        self._drain(ahead, pool)
                        last = None
                    self._prepare(taken)
                    verdict = self._verdict(taken)
                    if verdict == "detect" or last is None:
                        last = pool.submit(self._detect_in_turn, taken.frame.image, self.frames)
                    ahead.append(_Ahead(taken, verdict == "detect", None if verdict == "skip" else last))
                    stretch += 1
                    happened = len(ahead) > _AHEAD and self._end(ahead.popleft())
                    if happened or stretch >= _STRETCH:
                        self._drain(ahead, pool)
                        self.commit(patiently=True)
                        self._choice, last, stretch = None, None, 0
                return False
            finally:
                for item in ahead:
                    if item.found is not None:
                        item.found.cancel()

    def _looked_at(self, feed: Feed, taken: Taken, last: _Found | None) -> tuple[Taken, str, _Found | None]:
        """Choose what a frame needs, and detect in it, or in the newest one where its turn was long in coming.

        The turn is held for the detection alone: what a frame costs besides must not keep other cameras waiting.
        """
        self._prepare(taken)
        self.health = self._health.update(taken.frame.image, taken.frame.seconds)
        if self._age(taken) > self._staleness:
            return taken, "stale", last
        verdict = self._verdict(taken)
        if verdict != "detect" and last is not None:
            return taken, verdict, last
        with self._turns.turn(self.settings.name):
            if self._age(taken) > _PATIENCE and (newer := feed.next(0.0)) is not None:
                self._figures.passed += 1
                taken = newer
                self._prepare(taken)
                self._choice_now.detected_instead(taken.frame.image, taken.frame.seconds)
            if self._age(taken) > self._staleness:
                self._choice_now.missed()
                return taken, "stale", last
            return taken, "detect", self._detect(taken.frame.image, self.frames)

    def commit(self, *, patiently: bool = False) -> None:
        """Write the state; where it cannot be written, only now and then.

        `patiently`, where too much waits for that already, it goes on only when it can be written again.
        """
        while True:
            if not self._count.error or time.monotonic() - self._committed >= self._pause:
                written = self._count.commit()
                self._committed = time.monotonic()
                # all that waits is tried each time, and it grows meanwhile
                self._pause = min(2 * self._pause or _TRY_AGAIN[0], _TRY_AGAIN[1]) if self._count.error else 0.0
                if written and self._metrics is not None:
                    self._metrics.counted(written)
            if not (self._count.error and patiently and self._count.is_full) or self._stop.wait(1.0):
                return

    def settle(self) -> None:
        """Try until everything is written, or this is to stop."""
        while self._count.error and not self._stop.wait(_LOOK):
            self.commit()

    def _commit_if_due(self, happened: bool) -> None:
        interval = max(self._interval, _IDLE) if self._count.is_idle else self._interval
        if happened or time.monotonic() - self._committed >= interval:
            self.commit()

    def _drain(self, ahead: deque[_Ahead], pool: ThreadPoolExecutor) -> None:
        """Count all that is under way; the last frame of it is detected in any case."""
        if ahead and ahead[-1].found is None:
            taken = ahead.pop().taken
            found = pool.submit(self._detect_in_turn, taken.frame.image, self.frames)
            ahead.append(_Ahead(taken, True, found))
        while ahead:
            self._end(ahead.popleft())

    def _end(self, item: _Ahead) -> bool:
        found = None if item.found is None else item.found.result()
        return self._take_in(item.taken, found, item.detected)

    def _take_in(self, taken: Taken, found: _Found | None, detected: bool) -> bool:
        """Count one frame; whether something happened. None found: it was left out."""
        frame = taken.frame
        if found is None:
            with self.lock:
                self._count.pass_over(frame, taken.time)
            self._tell(taken, False, None)
            return False
        with self.lock:
            certain = found.detections.at_least(FAINT * self._confidence(found.loaded))
            tracks, records = self._count.step(certain, frame, taken.time, found.loaded)
        if self._choice is not None:
            self._choice.seen(tracks, frame.seconds)
        self._tell(taken, detected, found.seconds)
        self.seen = Seen(
            camera=self.settings.name,
            image=frame.image,
            detections=found.detections,
            confidence=self._confidence(found.loaded),
            tracks=tracks,
            time=self._count.moment,
            seconds=self._count.seconds,
            before=self._count.before,
            place=self._count.place,
            loaded=found.loaded,
            classes=self.settings.classes,
            inference_ms=1000 * found.seconds,
        )
        for keeper in self._keepers:
            try:
                keeper.see(self.seen)
            except Exception:  # noqa: BLE001 - what is kept besides must not end the count
                _log.exception("%s: a frame could not be kept by %s", self.settings.name, type(keeper).__name__)
        return bool(records)

    def _tell(self, taken: Taken, detected: bool, inference: float | None) -> None:
        delay = time.monotonic() - taken.received
        self._figures.saw(detected, delay)
        if self._metrics is not None:
            self._metrics.frame(self.settings.name, inference=inference if detected else None, delay=delay)

    def _age(self, taken: Taken) -> float:
        return time.monotonic() - taken.received

    def _is_of_another_size(self, taken: Taken) -> bool:
        return self.frames is not None and taken.frame.image.shape[1::-1] != self.frames[:2]

    def _prepare(self, taken: Taken) -> None:
        """Get ready for frames of this size, before a turn is taken for it."""
        if self._choice is None or self._is_of_another_size(taken):
            height, width = taken.frame.image.shape[:2]
            self._choice = FrameChoice(self._economy, self.settings.scene, (width, height))
            self.frames = (width, height, self._choice.part)
        if self._model.current is not None and self.frames is not None:
            self._model.current.detector_for(self.frames)

    @property
    def _choice_now(self) -> FrameChoice:
        if self._choice is None:
            raise ServingError("a frame was chosen before its size was known")
        return self._choice

    def _verdict(self, taken: Taken) -> str:
        return self._choice_now.choose(taken.frame.image, taken.frame.seconds)

    def _detect_in_turn(self, image: npt.NDArray[np.uint8], frames: Frames | None) -> _Found:
        with self._turns.turn(self.settings.name):
            return self._detect(image, frames)

    def _detect(self, image: npt.NDArray[np.uint8], frames: Frames | None) -> _Found:
        loaded = self._model.current
        if loaded is None or frames is None:
            raise ServingError("there is no model any more")
        began = time.monotonic()
        least = FAINT * self._confidence(loaded)
        if self._faint is not None:
            least = min(least, self._faint)
        found = loaded.detector_for(frames).detect([image], least)[0]
        seconds = time.monotonic() - began
        self._figures.inferred(seconds)
        return _Found(found, loaded, seconds)

    def _confidence(self, loaded: Loaded) -> float:
        own = self.settings.confidence
        return loaded.model.confidence if own is None else own

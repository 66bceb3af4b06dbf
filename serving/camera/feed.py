"""Where a camera's frames come from, as its run takes them: live, played from a file, or every frame of a file."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from camera_counting.video import Frame, VideoSource, open_source
from serving.camera.config import CameraSettings, is_live

__all__ = ["ClipFeed", "Feed", "FeedStats", "LiveFeed", "PacedFeed", "Taken", "open_feed"]

FeedState = Literal["connecting", "live", "waiting", "failed"]


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A frame with when it was received.

    Parameters
    ----------
    frame : Frame
    time : datetime
        UTC.
    received : float
        The same by `time.monotonic`, which no clock that is put right can change.
    """

    frame: Frame
    time: datetime
    received: float


@dataclass(frozen=True, slots=True)
class FeedStats:
    """What came so far: see `CameraStatus`."""

    received: int = 0
    dropped: int = 0
    corrupt: int = 0
    reconnects: int = 0
    decode_ms: float = 0.0
    last_frame: datetime | None = None

    def __add__(self, later: FeedStats) -> FeedStats:
        """Of two feeds of one camera, the one after the other."""
        return FeedStats(
            self.received + later.received,
            self.dropped + later.dropped,
            self.corrupt + later.corrupt,
            self.reconnects + later.reconnects,
            later.decode_ms or self.decode_ms,
            later.last_frame or self.last_frame,
        )


_AHEAD = 3  # frames of a clip that are decoded before their time


class Feed(ABC):
    """Frames of one camera. Its methods are called from one thread, but `close`, which any may call."""

    @abstractmethod
    def next(self, timeout: float) -> Taken | None:
        """The next frame; None where none came within `timeout` seconds, or where it is `over`.

        Raises
        ------
        SourceError
            Where a file cannot be read.
        """

    @property
    @abstractmethod
    def over(self) -> bool:
        """Whether no frame will come any more."""

    @property
    @abstractmethod
    def state(self) -> FeedState: ...

    @property
    @abstractmethod
    def error(self) -> str:
        """The last trouble in a sentence; empty where there is none."""

    @abstractmethod
    def stats(self) -> FeedStats: ...

    @abstractmethod
    def close(self) -> None: ...


def open_feed(settings: CameraSettings, *, after: int = -1) -> Feed:
    """Open a camera's source; a clip is played once.

    Parameters
    ----------
    after : int
        Of a clip that is counted frame by frame: the last frame that is counted already.

    Raises
    ------
    SourceError
        Where a file cannot be opened; a live source is connected in a thread of its own.
    """
    if is_live(settings.source):
        return LiveFeed(settings)
    if settings.clip.pace == "real-time":
        return PacedFeed(settings)
    return ClipFeed(settings, after=after)


class LiveFeed(Feed):
    """A live source; the newest frame is given, older ones are dropped."""

    over = False

    def __init__(self, settings: CameraSettings) -> None:
        from camera_counting.video import LiveSource

        self._source = LiveSource(settings.source, transport=settings.transport, timeout=settings.timeout)
        self._asked = time.monotonic()

    def next(self, timeout: float) -> Taken | None:
        frame = self._source.latest(timeout)
        now, moment = time.monotonic(), datetime.now(UTC)
        since, self._asked = now - self._asked, now
        if frame is None:
            return None
        received = frame.time or moment
        # its age by the wall clock, which may have been put right meanwhile; it came after the last look
        age = min(max((moment - received).total_seconds(), 0.0), since)
        return Taken(frame, received, now - age)

    @property
    def state(self) -> FeedState:
        state = self._source.state
        return "waiting" if state == "closed" else state

    @property
    def error(self) -> str:
        trouble = self._source.error
        return "" if trouble is None or self._source.state == "live" else str(trouble)

    def stats(self) -> FeedStats:
        told = self._source.stats
        return FeedStats(
            told.received, told.dropped, told.corrupt, told.reconnects, told.decode_ms, told.last_frame
        )

    def close(self) -> None:
        self._source.close()


class PacedFeed(Feed):
    """A clip played at its own pace, as a camera would show it: the newest frame is given, older ones dropped."""

    def __init__(self, settings: CameraSettings) -> None:
        # more would be decoded in one go whenever clips begin, while other cameras' frames wait
        self._source = open_source(settings.source, ahead=_AHEAD)
        self._stop = threading.Event()
        self._fresh = threading.Condition()
        self._newest: deque[Taken] = deque(maxlen=1)
        self._done = False
        self._error: BaseException | None = None
        self._received = self._dropped = 0
        self._corrupt = 0
        self._last: datetime | None = None
        self._thread = threading.Thread(target=self._play, name=f"clip-{settings.name}", daemon=True)
        self._thread.start()

    def next(self, timeout: float) -> Taken | None:
        with self._fresh:
            if not self._newest and not self._done and timeout > 0:
                self._fresh.wait(timeout)
            if self._newest:
                return self._newest.popleft()
            if self._error is not None:
                raise self._error
            return None

    @property
    def over(self) -> bool:
        with self._fresh:
            return self._done and not self._newest and self._error is None

    @property
    def state(self) -> FeedState:
        return "live" if self._received else "connecting"

    @property
    def error(self) -> str:
        return ""

    def stats(self) -> FeedStats:
        return FeedStats(self._received, self._dropped, self._corrupt, last_frame=self._last)

    def close(self) -> None:
        self._stop.set()
        # its thread closes the source when it ends; two that close a file at once bring the process down
        self._thread.join(5.0)

    def _play(self) -> None:
        try:
            began, source = time.monotonic(), self._source
            with source:
                for frame in source:
                    if self._stop.wait(max(began + frame.seconds - time.monotonic(), 0.0)):
                        return
                    self._show(Taken(frame, datetime.now(UTC), time.monotonic()))
            self._corrupt = len(source.problems)
            # the last frame is seen for as long as the ones before it
            self._stop.wait(1 / (source.fps or 10.0))
        except BaseException as error:  # noqa: BLE001 - handed to the reader's thread, which raises it
            self._error = error
        finally:
            with self._fresh:
                self._done = True
                self._fresh.notify_all()

    def _show(self, taken: Taken) -> None:
        with self._fresh:
            self._received += 1
            self._dropped += len(self._newest)
            self._newest.append(taken)
            self._last = taken.time
            self._fresh.notify_all()


class ClipFeed(Feed):
    """Every frame of a clip, as fast as it is asked for; those that are counted already are passed over."""

    def __init__(self, settings: CameraSettings, *, after: int) -> None:
        self._after = after
        self._source: VideoSource = open_source(settings.source)
        self._frames: Iterator[Frame] = iter(self._source)
        self._over = False
        self._received = 0
        self._last: datetime | None = None

    def next(self, timeout: float) -> Taken | None:
        for frame in self._frames:
            if frame.index > self._after:
                self._received += 1
                self._last = datetime.now(UTC)
                return Taken(frame, self._last, time.monotonic())
        self._over = True
        return None

    @property
    def over(self) -> bool:
        return self._over

    @property
    def state(self) -> FeedState:
        return "live" if self._received else "connecting"

    @property
    def error(self) -> str:
        return "; ".join(self._source.problems)

    def stats(self) -> FeedStats:
        return FeedStats(self._received, corrupt=len(self._source.problems), last_frame=self._last)

    def close(self) -> None:
        self._source.close()

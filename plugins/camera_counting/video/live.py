"""Live cameras: the newest frame, whatever the network does."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import av

from camera_counting.errors import (
    SourceAuthenticationError,
    SourceError,
    SourceUnreachableError,
)
from camera_counting.video.address import CameraAddress
from camera_counting.video.base import Frame, VideoSource
from camera_counting.video.feed import Damaged, Feed, Shot, rgb
from camera_counting.video.http_stream import HttpFeed
from camera_counting.video.live_clock import LiveClock
from camera_counting.video.rtsp import RtspFeed, Transport
from camera_counting.video.webcam import WebcamFeed

__all__ = ["LiveSource", "LiveState", "LiveStats"]

LiveState = Literal["connecting", "live", "waiting", "failed", "closed"]

_GOOD_BYE = 0.2  # seconds for a session to be ended in good order, after which it is cut
_STOP = 1.5  # seconds that `close` then waits for its thread
_SMOOTH = 0.05  # weight of the newest frame in a recent mean


@dataclass(frozen=True, slots=True)
class LiveStats:
    """What came from a camera until now.

    Parameters
    ----------
    received : int
        Frames that were decoded.
    dropped : int
        Of them, those that made room for newer ones before anybody asked for them.
    corrupt : int
        Packets and frames that could not be decoded; they are not among those received.
    reconnects : int
        Tries to connect after the first one.
    decode_ms : float
        Of a frame, mean of the last twenty or so.
    last_frame : datetime or None
        UTC, when the last frame was received.
    """

    received: int = 0
    dropped: int = 0
    corrupt: int = 0
    reconnects: int = 0
    decode_ms: float = 0.0
    last_frame: datetime | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Taken:
    index: int
    seconds: float
    time: datetime
    shot: Shot


class LiveSource(VideoSource):
    """A camera: rtsp, rtsps, http and https (MJPEG, or single pictures asked for again and again), or /dev/videoN.

    It decodes in a thread of its own, from its construction on, and keeps the newest frames only: whoever is slow
    gets new frames, not old ones. It never raises for trouble of the network: it waits and connects again, for
    ever; `state` and `error` tell. Waits grow from `backoff[0]` to `backoff[1]` seconds, with chance in them, so
    that many cameras do not come back in step; a camera that refuses the password is asked at the longest wait
    only, because many lock the account after a few tries.

    Parameters
    ----------
    url : str
        The camera's address. The password in it is shown nowhere.
    transport : "auto", "tcp" or "udp"
        Of an RTSP camera's frames; auto is tcp where the camera offers it.
    timeout : float
        Seconds without an answer, or without a frame, after which it connects anew.
    backoff : (float, float)
        Shortest and longest wait, in seconds.
    buffer : int
        Frames that are kept for whoever asks.

    Attributes
    ----------
    width, height : int
        Of the last frame; 0 before the first.

    Raises
    ------
    SourceError
        Where `url` is no address of a camera.

    Examples
    --------
    >>> camera = LiveSource("rtsp://user:password@127.0.0.1:9/street", timeout=1.0)
    >>> camera.name, camera.latest(timeout=0.05)
    ('rtsp://***@127.0.0.1:9/street', None)
    >>> camera.close()
    >>> camera.state
    'closed'
    """

    def __init__(
        self,
        url: str,
        *,
        transport: Transport = "auto",
        timeout: float = 10.0,
        backoff: tuple[float, float] = (1.0, 60.0),
        buffer: int = 2,
    ) -> None:
        super().__init__()
        if transport not in {"auto", "tcp", "udp"}:
            raise SourceError(f"transport: expected auto, tcp or udp, got {transport!r}")
        if not timeout > 0 or not 0 < backoff[0] <= backoff[1] or buffer < 1:
            raise SourceError(
                "expected timeout > 0, 0 < backoff[0] <= backoff[1] and buffer >= 1, got "
                f"timeout={timeout}, backoff={backoff}, buffer={buffer}"
            )
        self._camera = CameraAddress.parse(url)
        self.name = str(self._camera)
        self.width = self.height = 0
        self.fps = self.frame_count = None
        self._transport, self._timeout, self._backoff = transport, timeout, backoff
        self._changed = threading.Condition()
        self._frames: deque[_Taken] = deque()
        self._room = buffer
        self._index = 0
        self._state: LiveState = "connecting"
        self._error: SourceError | None = None
        self._stats = LiveStats()
        self._clock = LiveClock()
        self._lived = 0.0  # seconds from the first frame of this connection to its last
        self._closing = threading.Event()
        self._concluded = False
        self._feed: Feed | None = None
        self._thread = threading.Thread(target=self._run, name="camera-counting-live", daemon=True)
        self._thread.start()

    @property
    def state(self) -> LiveState:
        """connecting, live (frames come), waiting (for the next try), failed (a defect here) or closed."""
        return self._state

    @property
    def error(self) -> SourceError | None:
        """The last trouble, None while all is well."""
        return self._error

    @property
    def stats(self) -> LiveStats:
        """What came until now."""
        return self._stats

    def latest(self, timeout: float | None = 0.0) -> Frame | None:
        """The newest frame that was not given yet; older ones are dropped.

        Parameters
        ----------
        timeout : float or None
            Seconds to wait for one; None waits until it is closed.

        Returns
        -------
        Frame or None
            None where none came in time, and once it is closed.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            taken = self._take(None if end is None else max(end - time.monotonic(), 0), newest=True)
            if taken is None or (frame := self._frame(taken)) is not None:
                return None if taken is None else frame

    def __iter__(self) -> Iterator[Frame]:
        """The frames as they come, until it is closed; those that nobody took in time are left out."""
        while (taken := self._take(None, newest=False)) is not None:
            if (frame := self._frame(taken)) is not None:
                yield frame

    def close(self) -> None:
        """Hang up; whoever waits for a frame is told at once. Takes two seconds at most."""
        self._closing.set()
        with self._changed:
            self._state = "closed"
            self._frames.clear()
            self._changed.notify_all()
            feed = self._feed
        if self._thread is not threading.current_thread():
            self._thread.join(_GOOD_BYE)
        if feed is not None:
            feed.cutoff.cut()
        if self._thread is not threading.current_thread():
            self._thread.join(_STOP)
        self._conclude()

    def _conclude(self) -> None:
        """Say in `problems` what was missed, once."""
        with self._changed:
            if self._concluded:
                return
            self._concluded, stats = True, self._stats
            told = [
                (
                    stats.dropped,
                    f"of {stats.received} frames were left out, because newer ones came first",
                ),
                (stats.corrupt, "damaged packet(s) or frame(s) were left out"),
                (stats.reconnects, "time(s) the connection was lost or could not be made, and was tried again"),
            ]
            self.problems += [f"{self.name}: {number} {what}" for number, what in told if number]

    def _take(self, timeout: float | None, *, newest: bool) -> _Taken | None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._frames) or self._closing.is_set(), timeout)
            if self._closing.is_set() or not self._frames:
                return None
            if not newest:
                return self._frames.popleft()
            taken = self._frames.pop()
            self._stats = replace(self._stats, dropped=self._stats.dropped + len(self._frames))
            self._frames.clear()
            return taken

    def _frame(self, taken: _Taken) -> Frame | None:
        """Converted in the thread of whoever asks, because most frames of a fast camera are never asked for."""
        try:
            image = rgb(taken.shot.picture)
        except (av.error.FFmpegError, OSError, ValueError):
            # damage may change what a picture says of its colours
            with self._changed:
                self._stats = replace(self._stats, corrupt=self._stats.corrupt + 1)
            return None
        return Frame(taken.index, taken.seconds, image, time=taken.time)

    def _run(self) -> None:
        pause = self._backoff[0]
        while not self._closing.is_set():
            self._lived = 0.0
            state: LiveState = "waiting"
            try:
                self._watch()
                trouble: SourceError = SourceUnreachableError(f"{self.name}: the camera ended the stream")
            except SourceError as error:
                trouble = error
            except Exception as error:  # noqa: BLE001 - one camera's defect must not end its thread unseen
                state = "failed"
                trouble = SourceError(f"{self.name}: unexpected {type(error).__name__}, please report it")
            if self._lived >= self._timeout:
                pause = self._backoff[0]
            self._tell(state, trouble)
            hopeless = state == "failed" or isinstance(trouble, SourceAuthenticationError)
            wait = self._backoff[1] if hopeless else pause
            # anything between half of it and all of it; no secret hangs on this chance
            if self._closing.wait(wait * random.uniform(0.5, 1.0)):  # noqa: S311
                return
            pause = min(2 * pause, self._backoff[1])
            with self._changed:
                self._stats = replace(self._stats, reconnects=self._stats.reconnects + 1)
            self._tell("connecting", trouble)

    def _watch(self) -> None:
        """Connect once, and take what comes until it breaks."""
        feed = self._new_feed()
        with self._changed:
            self._feed = feed
        if self._closing.is_set():
            return
        try:
            feed.open()
            self.fps = feed.fps
            self._clock.reconnected()
            begun = time.monotonic()
            for shot in feed.shots():
                if isinstance(shot, Damaged):
                    with self._changed:
                        self._stats = replace(self._stats, corrupt=self._stats.corrupt + 1)
                else:
                    self._put(shot)
                    self._lived = time.monotonic() - begun
                if self._closing.is_set():
                    return
        finally:
            feed.close()

    def _new_feed(self) -> Feed:
        if self._camera.is_device:
            return WebcamFeed(self._camera, self._timeout)
        if self._camera.scheme in {"http", "https"}:
            return HttpFeed(self._camera, self._timeout)
        return RtspFeed(self._camera, self._transport, self._timeout)

    def _put(self, shot: Shot) -> None:
        now = datetime.now(UTC)
        taken = _Taken(self._index, self._clock.seconds(shot.stamp, time.monotonic()), now, shot)
        self._index += 1
        with self._changed:
            if self._closing.is_set():
                return
            self._state, self._error = "live", None
            self.height, self.width = shot.size
            before = self._stats
            mean = before.decode_ms + _SMOOTH * (shot.decode_ms - before.decode_ms)
            dropped = 0
            while len(self._frames) >= self._room:
                self._frames.popleft()
                dropped += 1
            self._frames.append(taken)
            self._stats = replace(
                before,
                received=before.received + 1,
                dropped=before.dropped + dropped,
                decode_ms=mean if before.received else shot.decode_ms,
                last_frame=now,
            )
            self._changed.notify_all()

    def _tell(self, state: LiveState, trouble: SourceError) -> None:
        with self._changed:
            if not self._closing.is_set():
                self._state, self._error = state, trouble

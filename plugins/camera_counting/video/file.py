"""Clips, read by PyAV (FFmpeg) in a thread of their own, so that decoding runs beside inference."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from camera_counting.errors import SourceError
from camera_counting.video.base import Frame, VideoSource

__all__ = ["VideoFile"]

_AHEAD_BYTES = 64 << 20  # of frames that are decoded ahead
_LARGE = 1 << 21  # pixels from which one decoder thread is not enough
_DONE = object()


class VideoFile(VideoSource):
    """A video file.

    Nothing is dropped: where the reader is slow, decoding waits. What is broken is left out, and `problems` says
    so.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    SourceError
        Where the file is missing, empty, no video, or without a video stream.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        path = Path(path)
        self.name = str(path)
        if not path.is_file():
            raise SourceError(f"{path}: expected a video file, found none; check the path")
        if path.stat().st_size == 0:
            raise SourceError(f"{path}: expected a video file, but it is empty (0 bytes)")
        try:
            self._container = av.open(str(path), metadata_errors="replace")
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(f"{path}: no video that can be read: {_reason(error)}. {_hint(path)}") from error
        if not self._container.streams.video:
            self._container.close()
            raise SourceError(f"{path}: expected a video stream, found only other ones (sound, perhaps)")
        stream = self._stream = self._container.streams.video[0]
        context = stream.codec_context
        if context is None or not context.width or not context.height:
            self._container.close()
            raise SourceError(
                f"{path}: expected a video stream with a size, but its headers tell none; {_hint(path)}"
            )
        # frame threading costs more than it brings on small pictures, where inference needs the cores
        stream.thread_type = "AUTO" if context.width * context.height >= _LARGE else "NONE"
        self.width, self.height = context.width, context.height
        self.fps = float(stream.average_rate) if stream.average_rate else None
        self.frame_count = stream.frames or None
        self._length = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
        first = self._peek()
        self.height, self.width = first.shape[:2]
        ahead = max(2, min(32, _AHEAD_BYTES // max(first.nbytes, 1)))
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=int(ahead))
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __iter__(self) -> Iterator[Frame]:
        if self._thread is not None:
            raise SourceError(f"{self.name}: a clip is read once; open it again to read it from the start")
        self._thread = threading.Thread(target=self._decode, name="camera-counting-decode", daemon=True)
        self._thread.start()
        while not self._stop.is_set():
            item = self._queue.get()
            if item is _DONE:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        """Stop decoding and close the file."""
        self._stop.set()
        if self._thread is not None:
            while self._thread.is_alive():
                self._drain()
                self._thread.join(0.05)
            # whoever waits for a frame must not wait for ever
            self._drain()
            self._queue.put(_DONE)
        self._container.close()

    def _drain(self) -> None:
        try:
            while True:
                self._queue.get_nowait()
        except queue.Empty:
            return

    def _peek(self) -> npt.NDArray[np.uint8]:
        """The first picture: its upright size is what scenes are drawn on. The container is rewound."""
        try:
            for packet in self._container.demux(self._stream):
                try:
                    for picture in packet.decode():
                        image = _upright(picture)
                        self._container.close()
                        self._reopen()
                        return image
                except av.error.FFmpegError:
                    continue  # a later packet may be sound; if none is, it is told below
        except av.error.FFmpegError as error:
            raise SourceError(
                f"{self.name}: no frame can be read: {_reason(error)}. {_hint(Path(self.name))}"
            ) from error
        raise SourceError(
            f"{self.name}: no frame can be read: the file breaks off before the first one. Record it again"
        )

    def _reopen(self) -> None:
        threads = self._stream.thread_type
        self._container = av.open(self.name, metadata_errors="replace")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = threads

    def _decode(self) -> None:
        broken = 0
        try:
            try:
                frames = 0
                for item in self._pictures():
                    if isinstance(item, Frame):
                        frames = item.index + 1
                        self._put(item)
                    else:
                        broken += 1
                    if self._stop.is_set():
                        return
            except av.error.FFmpegError as error:
                self.problems.append(f"{self.name}: reading broke off after {frames} frames: {_reason(error)}")
            if broken:
                self.problems.append(
                    f"{self.name}: {broken} damaged packet(s) could not be decoded and are not counted"
                )
            if not self.problems and self.frame_count is not None and frames < self.frame_count:
                self.problems.append(
                    f"{self.name}: truncated: {self.frame_count} frames were announced, {frames} could be read"
                )
            self._put(_DONE)
        except Exception as error:  # noqa: BLE001 - handed to the reader's thread, which raises it
            self._put(error)

    def _pictures(self) -> Iterator[Frame | None]:
        """Frames, and None for a packet that cannot be decoded."""
        origin: float | None = None
        last = -1.0
        index = 0
        step = 1 / self.fps if self.fps else 1 / 25
        for packet in self._container.demux(self._stream):
            try:
                pictures = packet.decode()
            except av.error.FFmpegError:
                yield None
                continue
            for picture in pictures:
                if picture.is_corrupt:
                    yield None
                    continue
                time = picture.time
                if time is not None and origin is None:
                    origin = time
                seconds = last + step if time is None or origin is None else time - origin
                if index == 0:
                    seconds = 0.0
                elif seconds <= last:
                    # timestamps that stand still or jump back: the usual step is the best guess
                    seconds = last + step
                    if time is not None:
                        origin = time - seconds
                yield Frame(index, seconds, _upright(picture))
                last = seconds
                index += 1

    def _put(self, item: object) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return
            except queue.Full:
                continue


def _upright(picture: Any) -> npt.NDArray[np.uint8]:
    image = picture.to_ndarray(format="rgb24")
    turns = round(picture.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return str(text).rstrip(".")


def _hint(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(64)
    if head and all(32 <= byte < 127 or byte in (9, 10, 13) for byte in head):
        return "It looks like a text file: check that this is the clip"
    return "A recording that was cut off before it was closed must be repaired or recorded again"

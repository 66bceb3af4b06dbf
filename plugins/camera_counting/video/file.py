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
from camera_counting.pictures import FORMATS, max_pixels, picture_format
from camera_counting.video.base import ONE_FRAME, Frame, VideoSource

__all__ = ["VideoFile", "first_bytes"]

# What FFmpeg may take a file for. Playlists are not among them, because they name other files, nor are still
# pictures; and nothing but the file itself is opened.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,vvc,obu,ivf,flv,ogg,asf,mxf,nut,dv,"
    "dhav,mjpeg,mpjpeg,yuv4mpegpipe,gif"
)
_CUT_OFF = "A recording that was cut off before it was closed must be repaired or recorded again"
_PLAYLISTS = (b"ffconcat", b"#EXTM3U", b"[playlist]", b"<?xml", b"<MPD")

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
    ahead : int, optional
        Frames that are decoded ahead at most; by default as many as quick decoding needs.

    Raises
    ------
    SourceError
        Where the file is missing, empty, no video (a still picture, say), without a video stream, or where its
        frames have more pixels than `camera_counting.pictures.max_pixels` allows.
    """

    def __init__(self, path: str | Path, *, ahead: int | None = None) -> None:
        super().__init__()
        self._packets, self._end = 0, 0.0
        self._announced_end: float | None = None
        path = Path(path)
        self.name = str(path)
        self._head = head = first_bytes(path)
        if not head:
            raise SourceError(f"{path}: expected a video file, but it is empty (0 bytes)")
        kind = picture_format(head)
        # recorders write JPEG after JPEG into one file, and nothing but its name tells it from a picture
        self._format = "mjpeg" if kind == "JPEG" and path.suffix.lower() in {".mjpg", ".mjpeg"} else None
        if kind is not None and self._format is None:
            first = "" if kind in FORMATS else "convert it to JPEG, PNG or WebP and "
            raise SourceError(f"{path}: expected a clip, this is a picture ({kind}); {first}count it as a picture")
        self._container = self._open()
        try:
            first_frame = self._examine()
        except BaseException:
            self._container.close()
            raise
        self.height, self.width = first_frame.shape[:2]
        if ahead is None:
            ahead = max(2, min(32, _AHEAD_BYTES // max(first_frame.nbytes, 1)))
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=max(1, ahead))
        self._stop = threading.Event()
        self._closing = threading.Lock()
        self._thread: threading.Thread | None = None

    def _open(self) -> Any:
        try:
            # "file:", because FFmpeg takes what stands before a colon in a name for a protocol
            return av.open(
                f"file:{self.name}",
                format=self._format,
                metadata_errors="replace",
                options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"},
            )
        except (av.error.FFmpegError, OSError) as error:
            # that is how FFmpeg tells a format that it knows and that is not on the list
            other = isinstance(error, av.error.ArgumentError)
            reason = "it is no mp4, mkv, avi or another format of clips" if other else _reason(error)
            hint = _hint(self._head, "Check that this is the clip" if other else _CUT_OFF)
            raise SourceError(f"{self.name}: no video that can be read: {reason}. {hint}") from error

    def _examine(self) -> npt.NDArray[np.uint8]:
        """What the headers tell, and the first frame."""
        path = self.name
        if not self._container.streams.video:
            raise SourceError(f"{path}: expected a video stream, found only other ones (sound, perhaps)")
        stream = self._stream = self._container.streams.video[0]
        context = stream.codec_context
        if context is None or not context.width or not context.height:
            raise SourceError(
                f"{path}: expected a video stream with a size, but its headers tell none; {_hint(self._head)}"
            )
        self._check_size(context.width, context.height)
        # frame threading costs more than it brings on small pictures, where inference needs the cores
        stream.thread_type = "AUTO" if context.width * context.height >= _LARGE else "NONE"
        self.fps = float(stream.average_rate) if stream.average_rate else None
        self.frame_count = stream.frames or None
        if stream.duration and stream.time_base:
            self._announced_end = float(((stream.start_time or 0) + stream.duration) * stream.time_base)
        return self._peek()

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
        # two threads that close one container at once bring the whole process down
        with self._closing:
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
                        image = self._upright(picture)
                        self._container.close()
                        self._reopen()
                        return image
                except av.error.FFmpegError:
                    continue  # a later packet may be sound; if none is, it is told below
        except av.error.FFmpegError as error:
            raise SourceError(
                f"{self.name}: no frame can be read: {_reason(error)}. {_hint(self._head)}"
            ) from error
        raise SourceError(
            f"{self.name}: no frame can be read: the file breaks off before the first one. Record it again"
        )

    def _reopen(self) -> None:
        threads = self._stream.thread_type
        self._container = self._open()
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
            if not self.problems and self.frame_count is not None and self._breaks_off():
                self.problems.append(
                    f"{self.name}: truncated: {self.frame_count} frames were announced, {frames} could be read"
                )
            if not self.problems and frames == 1:
                self.problems.append(f"{self.name}: {ONE_FRAME}")
            self._put(_DONE)
        except Exception as error:  # noqa: BLE001 - handed to the reader's thread, which raises it
            self._put(error)

    def _breaks_off(self) -> bool:
        """Whether the file ends before what it announces.

        Frames that were announced and did not come are not enough: where a clip was trimmed without encoding it
        anew, the frames before its start are in the file and are not shown.
        """
        if self.frame_count is None or self._packets >= self.frame_count:
            return False
        step = 1 / self.fps if self.fps else 1 / 25
        return self._announced_end is None or self._end + 1.5 * step < self._announced_end

    def _pictures(self) -> Iterator[Frame | None]:
        """Frames, and None for a packet that cannot be decoded."""
        origin: float | None = None
        last = -1.0
        index = 0
        step = 1 / self.fps if self.fps else 1 / 25
        for packet in self._container.demux(self._stream):
            if packet.size:
                self._packets += 1
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
                self._end = max(self._end, time or 0.0)
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
                yield Frame(index, seconds, self._upright(picture))
                last = seconds
                index += 1

    def _put(self, item: object) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def _upright(self, picture: Any) -> npt.NDArray[np.uint8]:
        self._check_size(picture.width, picture.height)
        # threads that convert one small picture cost more than they bring, and inference needs the cores
        image = picture.to_ndarray(format="rgb24", threads=1)
        turns = round(picture.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image

    def _check_size(self, width: int, height: int) -> None:
        if width * height > max_pixels():
            raise SourceError(
                f"{self.name}: its frames are {width} x {height}, more than the {max_pixels()} pixels that are "
                "allowed; scale it down, or raise CAMERA_COUNTING_MAX_PIXELS"
            )


def first_bytes(path: Path) -> bytes:
    """The first 64 bytes of a file, fewer where it has fewer.

    Raises
    ------
    SourceError
        Where there is no file, or it cannot be read.
    """
    try:
        if not path.is_file():
            raise SourceError(f"{path}: expected a video file, found none; check the path")
        with path.open("rb") as file:
            return file.read(64)
    except SourceError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no usable path"
        raise SourceError(f"{str(path)[:200]}: the file cannot be read: {reason}") from error


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return str(text).rstrip(".")


def _hint(head: bytes, other: str = _CUT_OFF) -> str:
    if head.startswith(_PLAYLISTS):
        return "It looks like a playlist: count the clips that it names one by one"
    if all(32 <= byte < 127 or byte in (9, 10, 13) for byte in head):
        return "It looks like a text file: check that this is the clip"
    return other

"""One connection to a camera, from its opening until it breaks."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from camera_counting.errors import PictureError, SourceCodecError, SourceError, SourceTimeoutError
from camera_counting.pictures import max_pixels
from camera_counting.video.dialling import Cutoff

__all__ = ["DAMAGED", "Damaged", "Feed", "Shot", "announced_rate", "decoded", "rgb", "silence", "video_stream"]

_FASTEST = 240.0  # frames per second
_DAMAGED = 3  # packets from which it is damage that keeps frames away, not silence; silence cuts one off, too


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A decoded picture, not yet converted: a live source gives most of them away unseen.

    Parameters
    ----------
    picture : av.VideoFrame, or uint8 array of shape (H, W, 3)
    stamp : float or None
        Seconds, on the camera's own clock.
    decode_ms : float
        What decoding it took.
    """

    picture: Any
    stamp: float | None
    decode_ms: float

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the upright picture."""
        picture = self.picture
        if isinstance(picture, np.ndarray):
            return picture.shape[0], picture.shape[1]
        turned = round(picture.rotation / 90) % 2
        return (picture.width, picture.height) if turned else (picture.height, picture.width)


class Damaged:
    """Stands for something that came and could not be decoded."""


DAMAGED = Damaged()


class Feed(ABC):
    """A connection to a camera: opened once, read until it breaks, closed.

    Attributes
    ----------
    cutoff : Cutoff
        Cutting it ends what blocks, in whatever thread.
    fps : float or None
        As announced.
    """

    def __init__(self) -> None:
        self.cutoff = Cutoff()
        self.fps: float | None = None

    @abstractmethod
    def open(self) -> None:
        """Connect.

        Raises
        ------
        SourceError
            Of the kind that fits.
        """

    @abstractmethod
    def shots(self) -> Iterator[Shot | Damaged]:
        """The pictures as they come, until it breaks.

        Raises
        ------
        SourceError
            Why it broke; it ends without where the camera ended the stream.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of sockets, threads and decoders; harmless when done twice."""


def video_stream(container: Any, name: str) -> Any:
    """The stream to decode, ready for it.

    Raises
    ------
    SourceCodecError
        Where there is none, or no decoder.
    """
    if not container.streams.video:
        raise SourceCodecError(f"{name}: expected a video stream, found only other ones (sound, perhaps)")
    stream = container.streams.video[0]
    context = stream.codec_context
    if context is None:
        raise SourceCodecError(
            f"{name}: its video is in a format that cannot be decoded here; set the camera to H.264, H.265 or "
            "MJPEG"
        )
    # one thread: several that take a frame each delay every frame, several that take a slice each no longer tell
    # damaged frames, and one decodes 4K in real time
    stream.thread_type = "NONE"
    return stream


def announced_rate(stream: Any) -> float | None:
    """Frames per second; None where a live stream tells none, or one that is its clock's instead."""
    rate = float(stream.average_rate) if stream.average_rate else 0.0
    return rate if 0 < rate <= _FASTEST else None


def decoded(
    container: Any, stream: Any, name: str, timeout: float, check: Callable[[bytes], object] | None = None
) -> Iterator[Shot | Damaged]:
    """What comes out of a container that is open, until it ends.

    Parameters
    ----------
    container, stream
        Of PyAV.
    name : str
        The camera, for messages.
    timeout : float
        Seconds.
    check : callable, optional
        Gets the bytes of each packet, and raises PictureError where they are damaged in a way that the decoder
        does not tell.

    Raises
    ------
    SourceTimeoutError, SourceCodecError
        Where for `timeout` seconds no frame came, or nothing that could be decoded.
    av.error.FFmpegError
        Where reading breaks off.
    """
    last = time.monotonic()
    damaged = 0
    known: tuple[Any, ...] = ()
    for packet in container.demux(stream):
        begun = time.perf_counter()
        try:
            if check is not None and packet.size:
                check(bytes(packet))
            pictures = packet.decode() if packet.size else []
        except (av.error.FFmpegError, PictureError):
            pictures = [None]
        took = (time.perf_counter() - begun) * 1000
        for picture in pictures:
            if picture is None or picture.is_corrupt:
                damaged += 1
                yield DAMAGED
                continue
            shape = (picture.width, picture.height, picture.format.name)
            if shape != known:
                _check(picture, name)
                known = shape
            last, damaged = time.monotonic(), 0
            yield Shot(picture, picture.time, took)
        if time.monotonic() - last < timeout:
            continue
        if damaged >= _DAMAGED:
            raise SourceCodecError(
                f"{name}: what came in the last {timeout:g} s could not be decoded; the connection loses data, or "
                "the camera is set to a format that is not H.264, H.265 or MJPEG"
            )
        raise silence(name, timeout)


def rgb(picture: Any) -> npt.NDArray[np.uint8]:
    """A picture as it is given to others: RGB, upright, of shape (H, W, 3)."""
    if isinstance(picture, np.ndarray):
        return picture
    image = picture.to_ndarray(format="rgb24", threads=1)
    turns = round(picture.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def silence(name: str, timeout: float) -> SourceTimeoutError:
    """The error for a camera that was connected and says no more."""
    return SourceTimeoutError(f"{name}: no frame came for {timeout:g} s, although it is connected")


def _check(picture: Any, name: str) -> None:
    """Refuse sizes and formats that cannot be given to others, before somebody waits for them."""
    if picture.width * picture.height > max_pixels():
        raise SourceError(
            f"{name}: its frames are {picture.width} x {picture.height}, more than the {max_pixels()} pixels that "
            "are allowed; set the camera to a smaller size, or raise CAMERA_COUNTING_MAX_PIXELS"
        )
    try:
        rgb(picture)
    except (av.error.FFmpegError, ValueError) as error:
        raise SourceCodecError(f"{name}: its colours ({picture.format.name}) cannot be read: {error}") from None

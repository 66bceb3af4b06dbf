"""The writer of annotated clips: H.264 that plays in a browser."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import av
import cv2
import numpy as np
import numpy.typing as npt

from camera_counting.errors import SourceError
from camera_counting.whole_file import part_of, put_in_place

__all__ = ["ClipWriter"]

_TICKS = 90_000


class ClipWriter:
    """Writes RGB frames with their own times into an mp4.

    The file appears under its name when it is complete, never half written; a link is followed. H.264 where this
    build of FFmpeg has it, else MPEG-4; yuv420p with even sides and the index in front, so that browsers play it
    while it loads.

    Parameters
    ----------
    path : str or Path
        Where the clip goes.
    fps : float
        Rate, for players and for the rate control.
    quality : int
        Constant rate factor of H.264, lower is better.

    Raises
    ------
    SourceError
        Where the clip cannot be written.
    """

    def __init__(self, path: str | Path, fps: float, *, quality: int = 23) -> None:
        self.path = Path(path)
        self._part: Path | None = None
        self._fps = Fraction(fps).limit_denominator(1001)
        self._quality = quality
        self._container: Any = None
        self._stream: Any = None
        self._last = -1

    def write(self, image: npt.NDArray[np.uint8], seconds: float) -> None:
        """Add a frame (H, W, 3); one of another size than the first is fitted to it."""
        if self._container is None:
            self._open(image.shape[1], image.shape[0])
        width, height = self._stream.width, self._stream.height
        if image.shape[1] // 2 * 2 != width or image.shape[0] // 2 * 2 != height:
            image = cast("npt.NDArray[np.uint8]", cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
        self._last = max(round(seconds * _TICKS), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
        self._mux(frame)

    def close(self) -> None:
        """Finish the clip and put it in its place."""
        if self._container is None:
            return
        self._mux(None)
        try:
            self._container.close()
            self._container = None
            if self._part is not None:
                put_in_place(self._part, self.path)
        except (av.error.FFmpegError, OSError) as error:
            self.discard()
            raise SourceError(f"{self.path}: the clip cannot be written: {error}") from error

    def discard(self) -> None:
        """Throw away what was written so far."""
        if self._container is not None:
            self._container.close()
            self._container = None
        if self._part is not None:
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _open(self, width: int, height: int) -> None:
        if not self.path.parent.is_dir():
            raise SourceError(f"{self.path}: the folder {self.path.parent} does not exist; create it first")
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        self._part = part_of(self.path)
        try:
            # "file:", because FFmpeg takes what stands before a colon in a name for a protocol
            options = {"movflags": "+faststart"}
            self._container = av.open(f"file:{self._part}", "w", format="mp4", options=options)
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(f"{self.path}: the clip cannot be written: {error}") from error
        options = {"crf": str(self._quality), "preset": "veryfast"} if codec == "libx264" else {}
        stream = self._container.add_stream(codec, rate=self._fps, options=options)
        stream.width, stream.height = max(width // 2 * 2, 2), max(height // 2 * 2, 2)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        if codec == "mpeg4":
            # MPEG-4 has no more than 16 bits for its clock
            stream.codec_context.time_base = Fraction(1, 60_000)
            stream.bit_rate = max(width * height * 4, 500_000)
        self._stream = stream

    def _mux(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (av.error.FFmpegError, OSError) as error:
            self.discard()
            raise SourceError(f"{self.path}: the clip cannot be written: {error}") from error

"""Webcams of this machine, by Video4Linux."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from camera_counting.errors import SourceCodecError, SourceNotFoundError, SourceUnreachableError
from camera_counting.video.address import CameraAddress
from camera_counting.video.feed import Damaged, Feed, Shot, announced_rate, decoded, video_stream

__all__ = ["WebcamFeed"]


class WebcamFeed(Feed):
    """A webcam, in the size and at the rate that it gives by itself."""

    def __init__(self, camera: CameraAddress, timeout: float) -> None:
        super().__init__()
        self._name, self._timeout = camera.path, timeout
        self._container: Any = None

    def open(self) -> None:
        """Open the device."""
        name = self._name
        if not Path(name).exists():
            raise SourceNotFoundError(f"{name}: there is no such device; `ls /dev/video*` shows the webcams")
        if not Path(name).is_char_device():
            raise SourceCodecError(f"{name}: expected a webcam's device, this is a file")
        try:
            self._container = av.open(
                name, format="video4linux2", timeout=self._timeout, options={"protocol_whitelist": "file"}
            )
        except PermissionError:
            raise SourceUnreachableError(
                f"{name}: this user may not read it; add the user to the group `video`"
            ) from None
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            busy = "; another program may be using it" if "busy" in str(reason).lower() else ""
            raise SourceUnreachableError(f"{name}: the webcam cannot be opened: {reason}{busy}") from None
        stream = video_stream(self._container, name)
        self.fps = announced_rate(stream)

    def shots(self) -> Iterator[Shot | Damaged]:
        """The pictures, until it is unplugged."""
        stream = self._container.streams.video[0]
        try:
            yield from decoded(self._container, stream, self._name, self._timeout)
        except av.error.FFmpegError as error:
            raise SourceUnreachableError(f"{self._name}: the webcam is gone: {error.strerror}") from None

    def close(self) -> None:
        """Close the device."""
        self.cutoff.cut()
        if self._container is not None:
            self._container.close()
            self._container = None

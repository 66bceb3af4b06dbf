"""Cameras over HTTP: a stream of JPEG pictures, or single pictures that are asked for again and again."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import av

from camera_counting.errors import (
    PictureError,
    SourceCodecError,
    SourceError,
    SourceUnreachableError,
)
from camera_counting.jpeg import check_markers
from camera_counting.pictures import decode_picture
from camera_counting.video.address import CameraAddress
from camera_counting.video.feed import DAMAGED, Damaged, Feed, Shot, announced_rate, decoded, silence, video_stream
from camera_counting.video.http_answer import HttpAnswer, ask

__all__ = ["HttpFeed"]

_STREAMS = "mpegts,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,flv,ogg,asf,mpeg,h264,hevc,m4v,mjpeg"
_STILLS = {"image/jpeg", "image/jpg", "image/pjpeg", "image/png", "image/webp"}
_LARGEST = 64 << 20  # bytes of a single picture
_POLL = 0.2  # seconds from one single picture to the next, at least


class HttpFeed(Feed):
    """A camera's HTTP address; what it sends tells whether it is a stream or a picture."""

    def __init__(self, camera: CameraAddress, timeout: float) -> None:
        super().__init__()
        self._camera, self._timeout = camera, timeout
        self._answer: HttpAnswer | None = None
        self._container: Any = None

    def open(self) -> None:
        """Ask for the stream and see what it is."""
        camera = self._camera
        answer = self._answer = ask(camera, self._timeout, self.cutoff)
        if answer.kind in _STILLS:
            return
        if answer.kind.startswith("text/") or "mpegurl" in answer.kind or "dash" in answer.kind:
            what = "a web page" if answer.kind == "text/html" else answer.kind
            raise SourceCodecError(
                f"{camera}: expected a stream of pictures, got {what}; the camera's manual tells the address of "
                "its MJPEG stream, or use its rtsp:// address"
            )
        parts = answer.kind.startswith("multipart/")
        try:
            # FFmpeg gets the bytes alone, and may open nothing by itself
            self._container = av.open(
                answer,
                format="mpjpeg" if parts else None,
                metadata_errors="replace",
                buffer_size=1 << 16,
                options={
                    "protocol_whitelist": "none",
                    "format_whitelist": "mpjpeg" if parts else _STREAMS,
                    "analyzeduration": "1" if parts else "500000",
                },
            )
            stream = video_stream(self._container, str(camera))
        except (av.error.FFmpegError, OSError, http.client.HTTPException, ValueError) as error:
            raise self._trouble(error, opening=True) from None
        # parts have no timestamps: the rate that FFmpeg tells for them is made up
        self.fps = None if parts else announced_rate(stream)

    def shots(self) -> Iterator[Shot | Damaged]:
        """The pictures, until it breaks."""
        if self._container is None:
            yield from self._stills()
            return
        stream = self._container.streams.video[0]
        parts = self._container.format.name == "mpjpeg"
        # a part is a JPEG file, and FFmpeg fills what is missing of one with grey
        check = check_markers if parts else None
        try:
            for shot in decoded(self._container, stream, str(self._camera), self._timeout, check):
                if self._answer is not None:
                    self._answer.renew()
                yield replace(shot, stamp=None) if parts and isinstance(shot, Shot) else shot
        except (av.error.FFmpegError, OSError, http.client.HTTPException, ValueError) as error:
            raise self._trouble(error, opening=False) from None

    def _stills(self) -> Iterator[Shot | Damaged]:
        last = time.monotonic()
        while not self.cutoff.done:
            begun = time.monotonic()
            answer = self._answer or ask(self._camera, self._timeout, self.cutoff)
            try:
                data = answer.whole(_LARGEST)
            except (OSError, http.client.HTTPException) as error:
                raise self._trouble(error, opening=False) from None
            finally:
                answer.close()
                self._answer = None
            before = time.perf_counter()
            try:
                image = decode_picture(data)
            except PictureError as error:
                yield DAMAGED
                if time.monotonic() - last > self._timeout:
                    raise SourceCodecError(f"{self._camera}: expected a picture: {error}") from None
            else:
                last = time.monotonic()
                yield Shot(image, None, (time.perf_counter() - before) * 1000)
            if self.cutoff.wait(max(_POLL - (time.monotonic() - begun), 0)):
                return

    def close(self) -> None:
        """Hang up."""
        self.cutoff.cut()
        if self._container is not None:
            self._container.close()
            self._container = None
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _trouble(self, error: BaseException, *, opening: bool) -> SourceError:
        if isinstance(error, SourceError):
            return error
        if isinstance(error, TimeoutError):
            return silence(str(self._camera), self._timeout)
        if opening and isinstance(error, av.error.FFmpegError):
            kind = self._answer.kind if self._answer else "unknown"
            return SourceCodecError(
                f"{self._camera}: what it sends ({kind}) is no video that can be decoded here: {error.strerror}"
            )
        return SourceUnreachableError(f"{self._camera}: the connection broke off")

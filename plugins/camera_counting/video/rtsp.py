"""RTSP cameras, over tcp or udp, with or without TLS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Literal

import av

from camera_counting.errors import (
    SourceAuthenticationError,
    SourceCodecError,
    SourceError,
    SourceNotFoundError,
    SourceTimeoutError,
    SourceUnreachableError,
)
from camera_counting.video.address import CameraAddress
from camera_counting.video.dialling import dial
from camera_counting.video.feed import Damaged, Feed, Shot, announced_rate, decoded, silence, video_stream
from camera_counting.video.relay import RtspRelay

__all__ = ["RtspFeed", "Transport"]

Transport = Literal["auto", "tcp", "udp"]

# tcp first: it loses nothing, and it passes where udp is blocked
_TRANSPORTS = {
    "auto": {"rtsp_transport": "udp+tcp", "rtsp_flags": "prefer_tcp"},
    "tcp": {"rtsp_transport": "tcp"},
    "udp": {"rtsp_transport": "udp"},
}


class RtspFeed(Feed):
    """An RTSP session.

    Parameters
    ----------
    camera : CameraAddress
    transport : "auto", "tcp" or "udp"
        How frames come; auto takes udp only where the camera does not offer tcp.
    timeout : float
        Seconds of silence after which it is given up.
    """

    def __init__(self, camera: CameraAddress, transport: Transport, timeout: float) -> None:
        super().__init__()
        self._camera, self._timeout = camera, timeout
        # an encrypted session's frames come through it, never beside it in the clear
        self._transport: Transport = "tcp" if camera.encrypted else transport
        self._relay: RtspRelay | None = None
        self._container: Any = None
        self._since = 0.0  # when it began to wait for what it now waits for

    def open(self) -> None:
        """Connect, log in, and start the stream."""
        self._relay = RtspRelay(dial(self._camera, self._timeout, self.cutoff), self.cutoff)
        path = self._camera.path or "/"
        self._since = time.monotonic()
        try:
            self._container = av.open(
                f"rtsp://{self._camera.userinfo}127.0.0.1:{self._relay.port}{path}",
                format="rtsp",
                timeout=(self._timeout, self._timeout),
                metadata_errors="replace",
                options={
                    **_TRANSPORTS[self._transport],
                    # sound would keep a connection alive whose pictures have stopped
                    "allowed_media_types": "video",
                    "protocol_whitelist": "tcp" if self._transport == "tcp" else "tcp,udp,rtp",
                    "analyzeduration": "500000",  # microseconds; longer only delays the first frame
                },
            )
            stream = video_stream(self._container, str(self._camera))
            self.fps = announced_rate(stream)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if isinstance(error, SourceError):
                raise
            # the chain is cut, because FFmpeg's error holds the address with its password
            raise self._trouble(error, opening=True) from None

    def shots(self) -> Iterator[Shot | Damaged]:
        """The pictures, until the session breaks."""
        stream = self._container.streams.video[0]
        try:
            self._since = time.monotonic()
            for shot in decoded(self._container, stream, str(self._camera), self._timeout):
                yield shot
                self._since = time.monotonic()
        except av.error.FFmpegError as error:
            raise self._trouble(error, opening=False) from None

    def close(self) -> None:
        """End the session."""
        if self._container is not None:
            # says good-bye without waiting for an answer: cameras have room for few sessions
            self._container.close()
            self._container = None
        if self._relay is not None:
            self._relay.close()
        self.cutoff.cut()

    def _trouble(self, error: BaseException, *, opening: bool) -> SourceError:
        camera, relay = self._camera, self._relay
        status = relay.status if relay is not None else 0
        if relay is not None and relay.redirect:
            from camera_counting.video.address import redacted

            return SourceNotFoundError(
                f"{camera}: the camera sends its callers to {redacted(relay.redirect)[:200]}; give that address "
                "if you trust it"
            )
        if opening and status in {401, 403}:
            return _refused(camera)
        if opening and status in {404, 454}:
            return SourceNotFoundError(
                f"{camera}: the camera answers, and has no stream under {camera.shown_path}; its manual tells "
                "the path"
            )
        if opening and status == 461:
            return SourceCodecError(
                f"{camera}: the camera does not send over {self._transport}; choose another transport"
            )
        if opening and status == 453:
            return SourceUnreachableError(f"{camera}: the camera has too little bandwidth for one more viewer")
        if opening and status >= 400:
            return SourceUnreachableError(f"{camera}: the camera refuses with RTSP status {status}")
        # FFmpeg tells an interrupted reading in several ways
        if time.monotonic() - self._since >= 0.95 * self._timeout:
            if status == 0:
                return SourceTimeoutError(
                    f"{camera}: connected, and nothing was said for {self._timeout:g} s; is that RTSP's port?"
                )
            return silence(str(camera), self._timeout)
        if opening and status == 0:
            return SourceUnreachableError(
                f"{camera}: what answers on port {camera.port} hung up or does not speak RTSP; check the port"
            )
        if opening and isinstance(error, av.error.InvalidDataError | av.error.DecoderNotFoundError):
            return SourceCodecError(f"{camera}: the stream is no video that can be decoded here: {error.strerror}")
        return SourceUnreachableError(f"{camera}: the connection broke off")


def _refused(camera: CameraAddress) -> SourceAuthenticationError:
    if camera.user or camera.password:
        return SourceAuthenticationError(
            f"{camera}: the camera does not take this user and password; a % or @ in them is written %25 or %40"
        )
    return SourceAuthenticationError(
        f"{camera}: the camera asks for user and password: {camera.scheme}://USER:PASSWORD@{camera.netloc}..."
    )

"""Connections to cameras that can be given up at any moment, and that say why there is none."""

from __future__ import annotations

import errno
import os
import queue
import select
import socket
import ssl
import threading
import time
from typing import Any

from camera_counting.errors import (
    SourceError,
    SourceTimeoutError,
    SourceUnreachableError,
)
from camera_counting.video.address import CameraAddress
from camera_counting.video.trust import encrypt, pinned, trusting, unchecked

__all__ = ["Cutoff", "dial"]

_SLICE = 0.1  # seconds between two looks at whether it was given up


class Cutoff:
    """Ends whatever waits for the network: sockets that are kept here are shut down by `cut`, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._cut = threading.Event()

    @property
    def done(self) -> bool:
        """Whether it was cut."""
        return self._cut.is_set()

    def keep(self, sock: socket.socket) -> None:
        """Shut this socket down when it is cut; at once where it was."""
        with self._lock:
            self._sockets.add(sock)
            if self._cut.is_set():
                _shut(sock)

    def forget(self, sock: socket.socket) -> None:
        """Close this socket, which is needed no more."""
        with self._lock:
            self._sockets.discard(sock)
        _close(sock)

    def shut(self, sock: socket.socket) -> None:
        """End this connection, and leave its closing to whoever reads from it."""
        with self._lock:
            _shut(sock)

    def cut(self) -> None:
        """Shut all of them down; harmless when done twice."""
        with self._lock:
            self._cut.set()
            for sock in self._sockets:
                _shut(sock)

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until it is cut; whether it was."""
        return self._cut.wait(seconds)


def dial(camera: CameraAddress, timeout: float, cutoff: Cutoff) -> socket.socket:
    """Connect to a camera, with TLS where its scheme says so.

    Parameters
    ----------
    camera : CameraAddress
        Of a host, not of a device.
    timeout : float
        Seconds that all of it may take.
    cutoff : Cutoff
        Keeps the socket.

    Returns
    -------
    socket
        Connected, blocking, with `timeout` for each read and write.

    Raises
    ------
    SourceUnreachableError, SourceTimeoutError, SourceTlsError
        Where nothing answers, too late, or not so that it can be trusted.
    """
    deadline = time.monotonic() + timeout
    if not camera.encrypted:
        return _reach(camera, deadline, timeout, cutoff)
    context, certificates = trusting(), pinned()
    if certificates:
        safe = _encrypted(camera, _reach(camera, deadline, timeout, cutoff), unchecked(), timeout, cutoff)
        if safe.getpeercert(binary_form=True) in certificates:
            return safe
        cutoff.forget(safe)  # nothing was said over it
    return _encrypted(camera, _reach(camera, deadline, timeout, cutoff), context, timeout, cutoff)


def _reach(camera: CameraAddress, deadline: float, timeout: float, cutoff: Cutoff) -> socket.socket:
    """A connection to the first address of the camera's name that answers."""
    places = _look_up(camera, deadline, cutoff)
    trouble: SourceError | None = None
    for i, (family, where) in enumerate(places):
        share = (deadline - time.monotonic()) / (len(places) - i)
        try:
            return _connect(camera, family, where, share, timeout, cutoff)
        except SourceError as error:
            trouble = error
    raise trouble or SourceUnreachableError(f"{camera}: the name {camera.host} has no address")


def _look_up(camera: CameraAddress, deadline: float, cutoff: Cutoff) -> list[tuple[int, Any]]:
    """The addresses of a name. A resolver cannot be interrupted, so it is asked in a thread that may be left."""
    answer: queue.Queue[Any] = queue.Queue()

    def ask() -> None:
        try:
            answer.put(socket.getaddrinfo(camera.host, camera.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answer.put(error)

    threading.Thread(target=ask, name="camera-counting-resolve", daemon=True).start()
    while True:
        try:
            found = answer.get(timeout=_SLICE)
            break
        except queue.Empty:
            if cutoff.done or time.monotonic() > deadline:
                raise SourceTimeoutError(
                    f"{camera}: the name {camera.host} could not be resolved in time; check the name server"
                ) from None
    if isinstance(found, Exception):
        raise SourceUnreachableError(
            f"{camera}: the name {camera.host} is unknown ({getattr(found, 'strerror', None) or found}); check "
            "it, or give the camera's IP address"
        ) from None
    return [(family, where) for family, _, _, _, where in found]


def _connect(
    camera: CameraAddress, family: int, where: Any, share: float, timeout: float, cutoff: Cutoff
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        reason = sock.connect_ex(where)
        waiting = select.poll()  # not select.select, which ends at descriptor 1024
        waiting.register(sock, select.POLLOUT)
        end = time.monotonic() + share
        while reason in {errno.EINPROGRESS, errno.EWOULDBLOCK}:
            if cutoff.done or time.monotonic() > end:
                raise SourceTimeoutError(
                    f"{camera}: {camera.host} did not answer on port {camera.port} within {timeout:g} s; is it "
                    "switched on, and is no firewall between?"
                )
            if waiting.poll(_SLICE * 1000):
                reason = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if reason:
            raise SourceUnreachableError(
                f"{camera}: {camera.host} cannot be reached on port {camera.port}: "
                f"{os.strerror(reason).lower()}; check address and port"
            )
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    cutoff.keep(sock)
    return sock


def _encrypted(
    camera: CameraAddress, sock: socket.socket, context: ssl.SSLContext, timeout: float, cutoff: Cutoff
) -> ssl.SSLSocket:
    try:
        safe = encrypt(camera, sock, context, timeout)
    finally:
        # wrapping moves the descriptor into the new socket; where that failed it is closed here
        cutoff.forget(sock)
    cutoff.keep(safe)
    return safe


def _shut(sock: socket.socket) -> None:
    try:
        # of the plain socket: the TLS one would first say good-bye, and wait for an answer
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return  # not connected, or closed already


def _close(sock: socket.socket) -> None:
    _shut(sock)
    try:
        socket.socket.close(sock)
    except OSError:
        return

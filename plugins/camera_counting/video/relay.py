"""Stands between FFmpeg and an RTSP camera, so that a connection can be trusted, judged and ended.

FFmpeg's RTSP client checks no certificate, follows redirects wherever they lead, and cannot be interrupted while
it connects. So the connection is made here, and FFmpeg talks to a port of this machine: bytes are passed on as
they are; when the connection is cut, FFmpeg sees its end at once.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import threading

from camera_counting.video.dialling import Cutoff

__all__ = ["RtspRelay"]

_CHUNK = 1 << 16
_LAST_WORDS = 0.2  # seconds
_STATUS = re.compile(rb"RTSP/1\.\d (\d{3})")
_LOCATION = re.compile(rb"(?im)^Location:[ \t]*([^\r\n]{1,500})")
_TRANSPORT = re.compile(rb"(?im)^(Transport:[^\r\n]*)")
_SOURCE = re.compile(rb"(?i);source=[^;\r\n]*")


class RtspRelay:
    """Passes on what FFmpeg and a camera say to each other.

    Attributes
    ----------
    port : int
        On 127.0.0.1, where FFmpeg is to connect; taken by the first who does.
    status : int
        Of the camera's last answer; 0 before the first.
    redirect : str
        Where the camera sends its callers to; it is not followed.
    received : int
        Bytes from the camera.
    """

    def __init__(self, camera: socket.socket, cutoff: Cutoff) -> None:
        self.status, self.redirect, self.received = 0, "", 0
        self._camera, self._cutoff = camera, cutoff
        self._peer = str(camera.getpeername()[0])
        self._talking = True
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        cutoff.keep(self._listener)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run, name="camera-counting-relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up on both sides and wait for the thread."""
        self._cutoff.shut(self._listener)
        # FFmpeg has hung up; what it said last is still on its way
        self._thread.join(_LAST_WORDS)
        # the thread closes what it waits for: a descriptor that is closed under it may be another camera's next
        self._cutoff.shut(self._camera)
        self._thread.join(1.0)

    def _run(self) -> None:
        client: socket.socket | None = None
        try:
            client, _ = self._listener.accept()
            self._cutoff.keep(client)
            self._cutoff.forget(self._listener)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pass_on(client)
        except (OSError, ValueError):  # one side hung up: FFmpeg, or whoever waits for it, tells what that means
            return
        finally:
            for sock in (client, self._listener, self._camera):
                if sock is not None:
                    self._cutoff.forget(sock)

    def _pass_on(self, client: socket.socket) -> None:
        camera = self._camera
        # whoever watches over the stream judges silence; here nothing times out
        camera.settimeout(None)
        client.settimeout(None)
        waiting = select.poll()  # not select.select, which ends at descriptor 1024
        waiting.register(client, select.POLLIN)
        waiting.register(camera, select.POLLIN)
        while not self._cutoff.done:
            ready = {descriptor for descriptor, _ in waiting.poll()}
            if client.fileno() in ready:
                asked = client.recv(_CHUNK)
                if not asked:
                    return
                camera.sendall(asked)
            if camera.fileno() in ready:
                while True:
                    told = camera.recv(_CHUNK)
                    if not told:
                        return
                    self.received += len(told)
                    if self._talking:
                        told = self._read(told)
                    client.sendall(told)
                    if not (isinstance(camera, ssl.SSLSocket) and camera.pending()):
                        break

    def _read(self, told: bytes) -> bytes:
        """What the camera answers, before frames come over the same connection."""
        if told.startswith(b"$"):
            self._talking = False
            return told
        status = _STATUS.match(told)
        if status is None:
            return told
        self.status = int(status.group(1))
        if 300 <= self.status < 400:
            where = _LOCATION.search(told)
            self.redirect = where.group(1).decode("latin-1") if where else "?"
            raise ConnectionAbortedError("redirects are not followed")
        # packets over UDP come from, and are answered to, the camera itself, whatever it says
        return _TRANSPORT.sub(self._from_camera, told)

    def _from_camera(self, header: re.Match[bytes]) -> bytes:
        plain = _SOURCE.sub(b"", header.group(1))
        if b"client_port" not in plain.lower():
            return plain
        return plain + b";source=" + self._peer.encode()

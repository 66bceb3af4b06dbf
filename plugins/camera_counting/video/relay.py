"""Stands between FFmpeg and an RTSP camera, so that a connection can be trusted, judged and ended.

FFmpeg's RTSP client checks no certificate, follows redirects wherever they lead, and cannot be interrupted while
it connects. So the connection is made here, and FFmpeg talks to a port of this machine: what is said is passed on
but for where packets come from and where callers are sent to (`rtsp_answers.py`); when the connection is cut,
FFmpeg sees its end at once.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading

from camera_counting.video.dialling import Cutoff
from camera_counting.video.rtsp_answers import RtspAnswers

__all__ = ["RtspRelay"]

_CHUNK = 1 << 16
_LAST_WORDS = 0.2  # seconds


class RtspRelay:
    """Passes on what FFmpeg and a camera say to each other.

    Attributes
    ----------
    port : int
        On 127.0.0.1, where FFmpeg is to connect; taken by the first who does.
    received : int
        Bytes from the camera.
    """

    def __init__(self, camera: socket.socket, cutoff: Cutoff) -> None:
        self.received = 0
        self._camera, self._cutoff = camera, cutoff
        self._answers = RtspAnswers(str(camera.getpeername()[0]))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        cutoff.keep(self._listener)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run, name="camera-counting-relay", daemon=True)
        self._thread.start()

    @property
    def status(self) -> int:
        """Of the camera's last answer; 0 before the first."""
        return self._answers.status

    @property
    def redirect(self) -> str:
        """Where the camera sends its callers to; it is not followed."""
        return self._answers.redirect

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
                    client.sendall(self._answers.passed_on(told))
                    if not (isinstance(camera, ssl.SSLSocket) and camera.pending()):
                        break

"""Hosts that are no camera: nobody there, silent ones, ones that drip or send their callers elsewhere."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from camera_counting.errors import (
    SourceNotFoundError,
    SourceTimeoutError,
    SourceUnreachableError,
)
from tests.watched_camera import trouble_of


def test_nobody_there(watch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = trouble_of(watch(f"rtsp://127.0.0.1:{port}/cam"))
    assert isinstance(error, SourceUnreachableError)
    assert "connection refused" in str(error)
    error = trouble_of(watch("rtsp://no-such-camera.invalid/cam"))
    assert isinstance(error, SourceUnreachableError | SourceTimeoutError)
    assert "no-such-camera.invalid" in str(error)


def full_queue(port: int) -> list[socket.socket]:
    """Connections that fill a server's queue: it swallows further ones, as a firewall does."""
    held = [socket.socket() for _ in range(4)]
    for sock in held:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))
    return held


@pytest.mark.parametrize("moment", ["connecting", "asking", "saying"])
def test_closing_is_quick_whatever_it_waits_for(watch, moment):
    """A host that never answers, one that takes the connection and says nothing, and one that stops midway."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        held: list[socket.socket] = []
        if moment == "connecting":
            held += full_queue(port)
        source = watch(f"rtsp://127.0.0.1:{port}/cam", timeout=30.0)
        if moment == "saying":
            line, _ = server.accept()
            held.append(line)
            line.recv(4096)
            line.sendall(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE, SETUP, PLAY\r\n\r\n")
        time.sleep(0.5)
        assert source.state == "connecting"
        begun = time.monotonic()
        source.close()
        assert time.monotonic() - begun < 1.0
        assert source.latest(5.0) is None
        for sock in held:
            sock.close()


@pytest.mark.parametrize("moment", ["connecting", "asking"])
def test_silence_is_a_timeout(watch, moment):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        held: list[socket.socket] = []
        if moment == "connecting":
            held += full_queue(port)
        error = trouble_of(watch(f"rtsp://127.0.0.1:{port}/cam", timeout=1.0))
        assert isinstance(error, SourceTimeoutError)
        assert "within 1 s" in str(error) if moment == "connecting" else "nothing was said for 1 s" in str(error)
        for sock in held:
            sock.close()


def test_a_camera_that_sends_its_callers_elsewhere_is_not_followed(watch):
    reached = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as elsewhere, socket.create_server(("127.0.0.1", 0)) as server:

        def lure() -> None:
            line, _ = server.accept()
            line.recv(4096)
            where = f"rtsp://u:secret@127.0.0.1:{elsewhere.getsockname()[1]}/x"
            line.sendall(f"RTSP/1.0 302 Moved\r\nCSeq: 1\r\nLocation: {where}\r\n\r\n".encode())
            elsewhere.settimeout(2.0)
            try:
                elsewhere.accept()
                reached.set()
            except TimeoutError:
                pass
            line.close()

        thread = threading.Thread(target=lure)
        thread.start()
        error = trouble_of(watch(f"rtsp://127.0.0.1:{server.getsockname()[1]}/cam", backoff=(30, 30)))
        thread.join()
    assert isinstance(error, SourceNotFoundError)
    assert "sends its callers to rtsp://***@127.0.0.1" in str(error)
    assert not reached.is_set()


def test_a_host_that_drips_is_a_timeout(watch):
    """A byte now and then keeps every single read alive."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def drip() -> None:
            line, _ = server.accept()
            line.recv(4096)
            try:
                line.sendall(
                    b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=f\r\n\r\n--f\r\n"
                )
                while not over.wait(0.2):
                    line.sendall(b"x")
            except OSError:
                pass
            line.close()

        threading.Thread(target=drip, daemon=True).start()
        error = trouble_of(watch(f"http://127.0.0.1:{server.getsockname()[1]}/v", timeout=1.0, backoff=(30, 30)))
        over.set()
    assert isinstance(error, SourceTimeoutError)

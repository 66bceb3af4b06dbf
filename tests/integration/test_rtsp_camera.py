"""What a user sees when a real RTSP camera fails, and that frames go on afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

import camera_counting
from camera_counting.cli import main
from camera_counting.detections import Detections
from camera_counting.detectors import Detector
from camera_counting.errors import (
    SourceAuthenticationError,
    SourceCodecError,
    SourceNotFoundError,
    SourceTimeoutError,
    SourceTlsError,
    SourceUnreachableError,
)
from camera_counting.model import CountingModel
from camera_counting.video import Frame, LiveSource
from camera_counting.video.trust import CA_FILE
from tests.rtsp_camera import RtspCamera

USER, PASSWORD = "ad@min", "p:w/x%"
LOGIN = "ad%40min:p%3Aw%2Fx%25@"
QUICK = {"timeout": 2.0, "backoff": (0.1, 0.4)}
PATIENCE = 20.0


@pytest.fixture(scope="module")
def camera() -> Iterator[RtspCamera]:
    """One that works, for tests that leave it as it is."""
    server = RtspCamera()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def locked() -> Iterator[RtspCamera]:
    """One that wants a user and a password (digest)."""
    server = RtspCamera("--user", USER, "--password", PASSWORD, "--digest")
    yield server
    server.kill()


@pytest.fixture
def own() -> Iterator[Callable[..., RtspCamera]]:
    """Starts cameras of this test alone."""
    servers: list[RtspCamera] = []

    def start(*options: str) -> RtspCamera:
        servers.append(RtspCamera(*options))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def watch() -> Iterator[Callable[..., LiveSource]]:
    """Opens sources, and sees that they leave no thread and no socket."""
    opened: list[LiveSource] = []
    before = {thread.ident for thread in threading.enumerate()}

    def start(url: str, **settings) -> LiveSource:
        opened.append(LiveSource(url, **{**QUICK, **settings}))
        return opened[-1]

    yield start
    for source in opened:
        begun = time.monotonic()
        source.close()
        assert time.monotonic() - begun < 2
        assert source.state == "closed"
    names = [thread.name for thread in threading.enumerate() if thread.ident not in before]
    assert [name for name in names if name.startswith("camera-counting") and "resolve" not in name] == []


def frame_of(source: LiveSource, fits: Callable[[Frame], bool] = lambda _: True) -> Frame:
    """The next frame that fits."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        frame = source.latest(0.5)
        if frame is not None and fits(frame):
            return frame
    raise AssertionError(f"no frame: {source.state}, {source.error}, {source.stats}")


def trouble_of(source: LiveSource):
    """What is told where there is trouble."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        error = source.error
        if error is not None:
            return error
        time.sleep(0.02)
    raise AssertionError(f"no trouble: {source.state}, {source.stats}")


@pytest.mark.parametrize("transport", ["tcp", "udp", "auto"])
def test_frames_come_with_rising_times(camera, watch, transport):
    source = watch(camera.url(), transport=transport)
    frames = [frame_of(source) for _ in range(12)]
    assert source.state == "live"
    assert source.error is None
    assert {frame.image.shape for frame in frames} == {(240, 320, 3)}
    assert (source.width, source.height) == (320, 240)
    steps = [b.seconds - a.seconds for a, b in pairwise(frames)]
    assert min(steps) > 0
    assert frames[-1].seconds < 3
    assert all(frame.time is not None and abs(frame.time.timestamp() - time.time()) < 30 for frame in frames)
    stats = source.stats
    assert stats.received >= 12
    assert stats.corrupt == stats.reconnects == 0
    assert 0 < stats.decode_ms < 1000
    assert stats.last_frame is not None


def test_a_slow_reader_gets_new_frames_and_the_others_are_counted(camera, watch):
    source = watch(camera.url())
    first = frame_of(source)
    time.sleep(1.5)
    second = frame_of(source)
    # 20 frames per second; the newest, not the one after the first
    assert second.index - first.index > 10
    assert second.seconds - first.seconds > 1.0
    given = second.index - first.index - 1
    assert source.stats.dropped >= given


def test_a_camera_that_only_offers_udp_is_found(own, watch):
    server = own("--only-udp")
    frame_of(watch(server.url()))
    error = trouble_of(watch(server.url(), transport="tcp"))
    assert isinstance(error, SourceCodecError)
    assert "does not send over tcp" in str(error)


@pytest.mark.parametrize("codec", ["h265", "mjpeg"])
def test_other_codecs(own, watch, codec):
    server = own("--codec", codec)
    assert frame_of(watch(server.url(), timeout=5.0)).image.shape == (240, 320, 3)


@pytest.mark.parametrize("method", ["--digest", "--basic"])
def test_user_and_password_open_a_camera_and_are_never_shown(own, locked, watch, method, capfd, caplog):
    server = locked if method == "--digest" else own("--user", USER, "--password", PASSWORD)
    source = watch(server.url(user=LOGIN))
    frame_of(source)
    assert source.name == f"rtsp://***@127.0.0.1:{server.port}/cam"
    wrong = watch(server.url(user=LOGIN.replace("p%3A", "q%3A")), backoff=(0.1, 0.1))
    error = trouble_of(wrong)
    assert isinstance(error, SourceAuthenticationError)
    assert "does not take this user and password" in str(error)
    without = trouble_of(watch(server.url()))
    assert isinstance(without, SourceAuthenticationError)
    assert "asks for user and password" in str(without)
    out, err = capfd.readouterr()
    shown = [source.name, repr(source), repr(error), str(error), repr(error.__cause__), out, err, caplog.text]
    for text in shown:
        assert "w%2Fx" not in text
        assert "w/x" not in text
        assert "min:" not in text


def test_a_wrong_password_is_not_tried_quickly(locked, watch):
    """Many cameras lock the account after a few tries."""
    source = watch(locked.url(user="ad%40min:wrong@"), backoff=(0.05, 30.0))
    assert isinstance(trouble_of(source), SourceAuthenticationError)
    time.sleep(1.5)
    assert source.state == "waiting"
    assert source.stats.reconnects == 0


def test_an_unknown_path(camera, watch):
    error = trouble_of(watch(camera.url("/nothing?password=secret")))
    assert isinstance(error, SourceNotFoundError)
    assert "no stream under /nothing?password=***" in str(error)


def test_a_stream_without_a_picture(own, watch):
    error = trouble_of(watch(own("--codec", "l16").url()))
    assert isinstance(error, SourceCodecError | SourceNotFoundError)


def test_a_connection_that_drops_comes_back(own, watch):
    server = own()
    source = watch(server.url())
    before = frame_of(source)
    server.tell("drop")
    error = trouble_of(source)
    assert isinstance(error, SourceUnreachableError)
    assert "the camera ended the stream" in str(error) or "broke off" in str(error)
    after = frame_of(source, lambda _: source.stats.reconnects > 0 and source.state == "live")
    assert source.error is None
    assert after.seconds > before.seconds
    assert after.index > before.index


def test_a_camera_that_restarts_comes_back_and_time_goes_on(own, watch):
    server = own()
    source = watch(server.url())
    before, begun = frame_of(source), time.monotonic()
    server.kill()
    error = trouble_of(source)
    end = time.monotonic() + PATIENCE
    while "connection refused" not in str(error) and time.monotonic() < end:
        time.sleep(0.05)
        error = source.error or error
    assert isinstance(error, SourceUnreachableError)
    assert "cannot be reached" in str(error)
    assert source.state in {"waiting", "connecting"}
    assert source.latest(0) is None or source.state != "live"
    server.start()
    after = frame_of(source)
    # the camera's own clock began anew; the time between is that of the outage
    assert after.seconds - before.seconds == pytest.approx(time.monotonic() - begun, abs=1.5)


def test_the_resolution_may_change(own, watch):
    server = own()
    source = watch(server.url())
    assert frame_of(source).image.shape == (240, 320, 3)
    server.tell("size 640x480")
    frame_of(source, lambda frame: frame.image.shape == (480, 640, 3))
    assert (source.width, source.height) == (640, 480)


def test_garbage_is_counted_and_survived(own, watch):
    server = own()
    source = watch(server.url(), timeout=6.0)
    frame_of(source)
    server.tell("garbage")
    end = time.monotonic() + PATIENCE
    while source.stats.corrupt < 10 and time.monotonic() < end:
        time.sleep(0.05)
    assert source.stats.corrupt >= 10
    server.tell("sound")
    received = source.stats.received
    frame_of(source, lambda _: source.stats.received > received + 10)
    assert source.state == "live"


def test_nothing_but_garbage_is_a_codec_error(own, watch):
    server = own()
    source = watch(server.url())
    frame_of(source)
    server.tell("garbage")
    error = trouble_of(source)
    assert isinstance(error, SourceCodecError)
    assert "could not be decoded" in str(error)
    server.tell("sound")
    frame_of(source)


def test_a_stream_that_stalls_is_a_timeout_and_comes_back(own, watch):
    server = own()
    source = watch(server.url())
    frame_of(source)
    begun = time.monotonic()
    server.tell("freeze")
    error = trouble_of(source)
    assert time.monotonic() - begun < 2 * QUICK["timeout"] + 1.5
    assert isinstance(error, SourceTimeoutError)
    assert "no frame came for 2 s" in str(error)
    server.tell("flow")
    frame_of(source)


def test_tls_is_refused_unless_its_certificate_is_trusted(own, watch, monkeypatch, camera):
    server = own("--tls")
    error = trouble_of(watch(server.url(scheme="rtsps")))
    assert isinstance(error, SourceTlsError)
    assert "certificate is not trusted: self-signed certificate" in str(error)
    assert CA_FILE in str(error)
    monkeypatch.setenv(CA_FILE, server.certificate)
    frame_of(watch(server.url(scheme="rtsps")))
    frame_of(watch(server.url(scheme="rtsps", host="localhost")))
    plain = trouble_of(watch(camera.url(scheme="rtsps"), timeout=1.0))
    assert isinstance(plain, SourceTlsError | SourceTimeoutError)
    monkeypatch.setenv(CA_FILE, "/nowhere.pem")
    assert "expected a file of PEM certificates" in str(trouble_of(watch(server.url(scheme="rtsps"))))


def test_nobody_there(watch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = trouble_of(watch(f"rtsp://127.0.0.1:{port}/cam"))
    assert isinstance(error, SourceUnreachableError)
    assert "connection refused" in str(error)
    error = trouble_of(watch("rtsp://no-such-camera.invalid/cam"))
    assert isinstance(error, SourceUnreachableError | SourceTimeoutError)
    assert "no-such-camera.invalid" in str(error)


@pytest.mark.parametrize("moment", ["connecting", "asking", "saying"])
def test_closing_is_quick_whatever_it_waits_for(watch, moment):
    """A host that never answers, one that takes the connection and says nothing, and one that stops midway."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        held = []
        if moment == "connecting":
            # a full queue swallows further connections, as a firewall does
            for _ in range(4):
                held.append(sock := socket.socket())
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", port))
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
        held = []
        if moment == "connecting":
            for _ in range(4):
                held.append(sock := socket.socket())
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", port))
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


def wait_until(done):
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_memory_and_descriptors_stay_flat_over_many_reconnects(own, watch):
    server = own("--size", "160x120")
    source = watch(server.url(), backoff=(0.02, 0.05))
    process = psutil.Process(os.getpid())

    def lose(times: int) -> tuple[int, int, int]:
        for _ in range(times):
            before = source.stats.reconnects
            # frames of this connection: GStreamer's server hangs where a session is dropped that is being made
            settled = source.stats.received + 3
            wait_until(lambda settled=settled: source.stats.received >= settled)
            server.tell("drop")
            wait_until(lambda before=before: source.stats.reconnects > before)
        frame_of(source)
        return process.memory_info().rss, process.num_fds(), threading.active_count()

    memory, descriptors, threads = lose(4)
    grown, more_descriptors, more_threads = lose(16)
    assert source.stats.reconnects >= 20
    # one leaked decoder holds about 1 MB
    assert grown - memory < 12 << 20
    assert more_descriptors <= descriptors + 1
    assert more_threads <= threads


class Ball(Detector):
    """Detects the white ball of GStreamer's test picture."""

    names = ("person", "car")
    confidence = 0.25

    def detect(self, pictures, confidence=None):
        found = []
        for picture in pictures:
            bright = (picture > 200).all(axis=2)
            bright[:60] = False  # the time that is written there
            rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
            boxes = [[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]] if len(rows) else []
            found.append(Detections.of(boxes, [0.9] * len(boxes), [1] * len(boxes), self.names))
        return found


@pytest.fixture
def count(monkeypatch, tmp_path):
    """`camera-counting count`, in this process."""
    monkeypatch.setattr(camera_counting, "load_model", lambda uri: CountingModel(Ball()))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["count", *arguments, "--model", "m"])


def test_counting_for_some_seconds_from_the_command_line(own, count, tmp_path):
    server = own("--user", USER, "--password", PASSWORD)

    def lose() -> None:
        while not server.tell("clients")["clients"]:
            time.sleep(0.1)
        time.sleep(2.0)
        server.tell("drop")

    threading.Thread(target=lose, daemon=True).start()
    done = count(server.url(user=LOGIN), "--seconds", "7", "--json", "o.json")
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "o.json").read_text())
    assert told["source"] == f"rtsp://***@127.0.0.1:{server.port}/cam"
    assert told["classes"]["car"] >= 1
    assert told["frames"] > 20
    assert "warning: rtsp://***@127.0.0.1" in done.output
    assert "frames come again" in done.output
    assert "w%2Fx" not in done.output + (tmp_path / "o.json").read_text()


def test_ctrl_c_ends_the_counting_and_prints_the_counts(camera, count):
    def interrupt() -> None:
        time.sleep(3.0)
        os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    threading.Thread(target=interrupt, daemon=True).start()
    done = count(camera.url())
    assert done.exit_code == 0, done.output
    assert re.search(r"objects seen: \d+ car", done.output)
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize(
    ("path", "arguments", "reason"),
    [
        ("/nothing", [], "no stream under /nothing"),
        ("/cam", ["--fps", "5"], "--fps is the rate of a folder of pictures; rtsp://***@"),
    ],
)
def test_a_camera_that_cannot_be_opened_ends_the_command_with_a_sentence(camera, count, path, arguments, reason):
    done = count(camera.url(path, user="admin:secret@"), *arguments)
    assert done.exit_code == 2
    assert reason in done.output
    assert "secret" not in done.output
    assert "Traceback" not in done.output


def test_a_session_is_ended_in_good_order(watch, camera):
    """Cameras have room for few viewers: whoever leaves must say so."""
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def between() -> None:
            near, _ = server.accept()
            far = socket.create_connection(("127.0.0.1", int(camera.port)))

            def carry(source: socket.socket, target: socket.socket, note: bool) -> None:
                try:
                    while data := source.recv(65536):
                        if note:
                            heard.extend(data)
                        target.sendall(data)
                except OSError:
                    pass
                for sock in (source, target):
                    sock.close()

            threading.Thread(target=carry, args=(far, near, False), daemon=True).start()
            carry(near, far, True)

        thread = threading.Thread(target=between, daemon=True)
        thread.start()
        source = watch(f"rtsp://127.0.0.1:{server.getsockname()[1]}/cam")
        frame_of(source)
        source.close()
        thread.join(5)
    assert b"TEARDOWN rtsp://" in heard


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

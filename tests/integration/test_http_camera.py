"""Cameras over HTTP: streams of JPEG, single pictures, log-ins, redirects, and what is no camera."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from camera_counting.errors import (
    SourceAuthenticationError,
    SourceCodecError,
    SourceNotFoundError,
    SourceTimeoutError,
    SourceTlsError,
    SourceUnreachableError,
)
from camera_counting.video import LiveSource, open_source
from camera_counting.video.trust import CA_FILE
from tests.http_camera import HttpCamera
from tests.watched_camera import PATIENCE, frame_of, trouble_of

LOGIN = "ad%40min:p%3Aw%2Fx@"


@pytest.fixture
def camera() -> Iterator[HttpCamera]:
    server = HttpCamera()
    yield server
    server.close()


@pytest.mark.parametrize("path", ["/video", "/nolength", "/dashes", "/still.jpg", "/moved", "/video?fps=5"])
def test_pictures_come_right_and_in_time(camera, watch, path):
    source = watch(camera.url(path))
    frames = [frame_of(source) for _ in range(5)]
    assert source.state == "live"
    for frame in frames:
        assert frame.image.shape == (120, 160, 3)
        red = (frame.image[..., 0] > 150) & (frame.image[..., 1] < 100)
        assert 400 < red.sum() < 900  # 80 x 8 pixels
        assert frame.time is not None
    assert all(b.seconds > a.seconds for a, b in itertools.pairwise(frames))
    assert source.stats.corrupt == 0


def test_the_newest_picture_is_given_soon_after_it_was_sent(camera, watch):
    """Parts are not kept back until the next ones have come."""
    source = watch(camera.url("/video"))
    frame_of(source)
    seen = [frame_of(source).seconds for _ in range(10)]
    # 20 pictures per second
    assert seen[-1] - seen[0] < 1.5


def test_single_pictures_are_not_asked_for_without_rest(camera, watch):
    source = watch(camera.url("/still.jpg"))
    frame_of(source)
    before = len(camera.asked)
    time.sleep(1.0)
    assert 1 <= len(camera.asked) - before <= 6


@pytest.mark.parametrize("path", ["/basic", "/digest"])
def test_user_and_password(camera, watch, path):
    frame_of(watch(camera.url(path, user=LOGIN)))
    for user, reason in [("", "asks for user and password"), ("ad%40min:wrong@", "does not take this user")]:
        error = trouble_of(watch(camera.url(path, user=user)))
        assert isinstance(error, SourceAuthenticationError)
        assert reason in str(error)
        assert "wrong" not in str(error)


def test_a_password_is_not_sent_to_a_camera_that_does_not_ask(camera, watch):
    frame_of(watch(camera.url("/video", user=LOGIN)))
    assert camera.logins == [""]


@pytest.mark.parametrize(
    ("path", "kind", "reason"),
    [
        ("/nothing", SourceNotFoundError, "nothing under /nothing"),
        ("/nothing?pwd=secret", SourceNotFoundError, r"nothing under /nothing\?pwd=\*\*\*"),
        ("/page", SourceCodecError, "got a web page"),
        ("/playlist", SourceCodecError, "got application/vnd.apple.mpegurl"),
        ("/disguised", SourceCodecError, "no video that can be decoded here"),
        ("/circle", SourceNotFoundError, "redirects in a circle"),
        ("/away", SourceNotFoundError, r"sends its callers to http://\*\*\*@169.254.169.254/latest"),
        ("/file", SourceNotFoundError, "sends its callers to file:///etc/passwd, which is not followed"),
        ("/busy", SourceUnreachableError, "HTTP status 503"),
        ("/endless", SourceCodecError, "more than 64 MB"),
    ],
)
def test_what_is_no_camera_is_told_by_kind(camera, watch, path, kind, reason):
    error = trouble_of(watch(camera.url(path), backoff=(30, 30)))
    assert type(error) is kind
    assert error.args[0].startswith(f"http://127.0.0.1:{camera.server_port}") or path == "/endless"
    with pytest.raises(kind, match=reason):
        raise error


def test_silence_is_a_timeout_and_it_comes_back(camera, watch):
    source = watch(camera.url("/video"))
    frame_of(source)
    camera.silent = True
    error = trouble_of(source)
    assert isinstance(error, SourceTimeoutError)
    assert "no frame came for 2 s" in str(error)
    camera.silent = False
    frame_of(source, lambda _: source.state == "live")


@pytest.mark.parametrize("path", ["/video", "/still.jpg"])
def test_broken_pictures_are_counted_not_given(camera, watch, path):
    source = watch(camera.url(path), timeout=8.0)
    frame_of(source)
    camera.broken = True
    end = time.monotonic() + PATIENCE
    while source.stats.corrupt < 3 and time.monotonic() < end:
        time.sleep(0.02)
    assert source.stats.corrupt >= 3
    camera.broken = False
    received = source.stats.received
    frame_of(source, lambda _: source.stats.received > received + 2)


def test_an_end_of_the_stream_is_no_end_of_the_source(watch):
    server = HttpCamera()
    source = watch(server.url("/video"))
    frame_of(source)
    server.close()
    assert isinstance(trouble_of(source), SourceUnreachableError)
    assert source.state in {"waiting", "connecting"}


def signed(folder, name, *more):
    """A key and a certificate by openssl."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-keyout", key, "-out", certificate, *more],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


@pytest.fixture
def secure() -> Iterator[Callable[..., HttpCamera]]:
    servers: list[HttpCamera] = []

    def start(certificate) -> HttpCamera:
        servers.append(HttpCamera(certificate))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_a_camera_that_signs_its_own_certificate_is_trusted_by_that_certificate(
    watch, secure, monkeypatch, tmp_path
):
    """Under whatever name: such certificates seldom hold the one that the camera is called by."""
    own = signed(tmp_path, "camera")
    server = secure(own)
    error = trouble_of(watch(server.url("/video")))
    assert isinstance(error, SourceTlsError)
    assert "not trusted" in str(error)
    monkeypatch.setenv(CA_FILE, str(own[0]))
    frame_of(watch(server.url("/video")))
    # somebody in between has the name, but not the key
    (tmp_path / "between").mkdir()
    impostor = secure(signed(tmp_path / "between", "camera"))
    assert isinstance(trouble_of(watch(impostor.url("/video", user=LOGIN))), SourceTlsError)
    assert impostor.asked == []


def test_a_certificate_of_a_trusted_signer_must_hold_the_name(watch, secure, monkeypatch, tmp_path):
    authority, key = signed(tmp_path, "authority")
    server = secure(
        signed(tmp_path, "camera", "-CA", authority, "-CAkey", key, "-addext", "subjectAltName=IP:127.0.0.1")
    )
    monkeypatch.setenv(CA_FILE, str(authority))
    frame_of(watch(server.url("/video")))
    error = trouble_of(watch(server.url("/video").replace("127.0.0.1", "localhost")))
    assert isinstance(error, SourceTlsError)
    assert "Hostname mismatch" in str(error)


def test_iterating_gives_frames_until_it_is_closed(camera):
    with open_source(camera.url("/video")) as source:
        assert isinstance(source, LiveSource)
        threading.Timer(1.0, source.close).start()
        frames = list(source)
    assert len(frames) >= 3
    assert [b.index > a.index and b.seconds > a.seconds for a, b in itertools.pairwise(frames)].count(False) == 0
    assert list(source) == []


def test_a_webcam_that_is_not_there(watch):
    error = trouble_of(watch("/dev/video4711"))
    assert isinstance(error, SourceNotFoundError)
    assert str(error) == "/dev/video4711: there is no such device; `ls /dev/video*` shows the webcams"


def test_a_wall_clock_that_jumps_breaks_nothing(camera, watch, monkeypatch):
    """Seconds go by a steady clock; only `time` follows the wall."""
    from datetime import UTC, datetime, timedelta

    import camera_counting.video.live as live

    shift = timedelta()

    class Jumping(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + shift

    monkeypatch.setattr(live, "datetime", Jumping)
    source = watch(camera.url("/video"))
    frames = []
    for shift in [timedelta(), timedelta(days=-400), timedelta(days=400), timedelta(hours=-1)]:  # noqa: B007
        frames += [frame_of(source) for _ in range(3)]
    assert source.state == "live"
    steps = [b.seconds - a.seconds for a, b in itertools.pairwise(frames)]
    assert 0 < min(steps) <= max(steps) < 2
    assert frames[5].time < datetime.now(UTC) - timedelta(days=399)

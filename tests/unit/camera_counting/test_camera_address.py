"""Where a camera is, and that its password is shown nowhere."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_counting.errors import SourceError
from camera_counting.video.address import CameraAddress, is_camera, redacted


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "path", "user", "password"),
    [
        ("rtsp://10.0.0.7", "rtsp", "10.0.0.7", 554, "", "", ""),
        ("RTSP://Cam.Local/Live", "rtsp", "cam.local", 554, "/Live", "", ""),
        ("rtsps://cam/1", "rtsps", "cam", 322, "/1", "", ""),
        ("https://cam:8443/video?fps=5", "https", "cam", 8443, "/video?fps=5", "", ""),
        ("rtsp://[fe80::1]:8554/a", "rtsp", "fe80::1", 8554, "/a", "", ""),
        ("rtsp://u:p@cam/a", "rtsp", "cam", 554, "/a", "u", "p"),
        ("rtsp://u:p%40ss@cam/a", "rtsp", "cam", 554, "/a", "u", "p@ss"),
        ("rtsp://u:p@ss@cam/a", "rtsp", "cam", 554, "/a", "u", "p@ss"),
        ("rtsp://u:p/s:s@cam/a", "rtsp", "cam", 554, "/a", "u", "p/s:s"),
        ("rtsp://u:p#1@cam/a", "rtsp", "cam", 554, "/a", "u", "p#1"),
        ("rtsp://u:@cam/a", "rtsp", "cam", 554, "/a", "u", ""),
        ("rtsp://u@cam/a", "rtsp", "cam", 554, "/a", "u", ""),
        ("http://cam/a@b", "http", "cam", 80, "/a@b", "", ""),
        ("http://cam/a?to=me@home", "http", "cam", 80, "/a?to=me@home", "", ""),
        ("http://u:p@cam/a?to=me@home", "http", "cam", 80, "/a?to=me@home", "u", "p"),
        (" /dev/video0 ", "", "", 0, "/dev/video0", "", ""),
    ],
)
def test_addresses_are_taken_apart(text, scheme, host, port, path, user, password):
    found = CameraAddress.parse(text)
    assert (found.scheme, found.host, found.port, found.path) == (scheme, host, port, path)
    assert (found.user, found.password) == (user, password)


@pytest.mark.parametrize(
    "text",
    [
        "file:///etc/passwd", "ftp://u:secret@cam/1", "concat:a|b", "tcp://cam:1", "udp://239.0.0.1:1", "data:,x",
        "", "rtsp://", "rtsp://u:secret@", "rtsp://u:secret@cam:99999/", "rtsp://u:secret@cam:port/",
        "rtsp://u:secret@[::/a",
        "rtsp://u:secret@cam/a b", "rtsp://u:sec ret@cam/a", "rtsp://u:'secret@cam/a b",
        "rtsp://cam/a b?loginpas=secret",
        "rtsp://u:secret@cam/\r\nX-Header: 1", "/dev/sda", "/dev/video0/../sda",
        "clip.mp4",
    ],
)  # fmt: skip
def test_nothing_else_is_opened(text):
    with pytest.raises(SourceError, match=r"expected|holds no spaces") as error:
        CameraAddress.parse(text)
    assert "secret" not in str(error.value)
    assert "ret@" not in str(error.value)


def test_what_is_a_camera():
    assert is_camera("rtsp://cam")
    assert is_camera("/dev/video12")
    assert not is_camera("clip.mp4")
    assert not is_camera("/dev/videos/clip.mp4")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://u:p@cam/a", "rtsp://***@cam/a"),
        (
            "rtsp://cam/user=admin&password=tlJ_wp&channel=1.sdp",
            "rtsp://cam/user=admin&password=***&channel=1.sdp",
        ),
        ("http://cam/v?PWD=x&token=y&fps=5&apikey=z", "http://cam/v?PWD=***&token=***&fps=5&apikey=***"),
        ("rtsp://cam:8554", "rtsp://cam:8554"),
        ("rtsp://[::1]/a", "rtsp://[::1]/a"),
    ],
)
def test_an_address_is_shown_without_its_secrets(text, shown):
    assert str(CameraAddress.parse(text)) == shown
    assert redacted(f"cannot open {text} now") == f"cannot open {shown} now"


SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=8, max_size=20)


@given(user=SECRETS, password=SECRETS)
def test_user_and_password_survive_the_way_through_an_address(user, password):
    text = f"rtsp://{quote(user, safe='')}:{quote(password, safe='')}@cam.local:8554/live?a=1"
    found = CameraAddress.parse(text)
    assert (found.user, found.password, found.host, found.port, found.path) == (
        user, password, "cam.local", 8554, "/live?a=1",
    )  # fmt: skip
    assert CameraAddress.parse(f"rtsp://{found.userinfo}cam").password == password
    for shown in (str(found), repr(found), redacted(text)):
        assert password not in shown.replace("rtsp://***@cam.local:8554/live?a=1", "")
        assert quote(password, safe="") not in shown


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading(text):
    try:
        found = CameraAddress.parse(f"rtsp://{text}")
    except SourceError:
        return
    assert found.host
    assert 0 <= found.port <= 65535
    redacted(text)

"""What a camera says over RTSP reaches FFmpeg the same, in whatever pieces it comes over the network."""

from __future__ import annotations

import socket
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_counting.video.dialling import Cutoff
from camera_counting.video.relay import RtspRelay
from camera_counting.video.rtsp_answers import RtspAnswers

PEER = "127.0.0.1"


def frame(content: bytes, channel: int = 0) -> bytes:
    """Of RTP, interleaved with answers (RFC 2326, 10.12)."""
    return b"$" + bytes([channel]) + len(content).to_bytes(2, "big") + content


# What cameras say, and what is to be heard of it: the same, but for who sends packets. What stands in bodies and
# frames is nobody's answer, whatever it looks like.
SDP = b"v=0\r\n$looks like a frame\r\nTransport: RTP/AVP;source=10.6.6.6\r\nRTSP/1.0 302 Moved\r\n\r\na=x\r\n"
FAKE = b"\r\nRTSP/1.0 302 Moved\r\nLocation: rtsp://10.6.6.6/\r\n\r\nTransport: RTP/AVP;source=10.6.6.6\r\n"
OPTIONS = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE, SETUP, PLAY\r\n\r\n"
DESCRIBE = (
    b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\ncontent-length: %d\r\n\r\n" % len(SDP) + SDP
)
SETUP = b"RTSP/1.0 200 OK\r\nCSeq: 3\r\n%s\r\nSession: 12345678;timeout=60\r\n\r\n"
UDP = b"Transport: RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001"
TCP = b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
PLAY = b"RTSP/1.0 200 OK\r\nCSeq: 5\r\nSession: 12345678\r\n\r\n"
CONVERSATION = [
    (OPTIONS, OPTIONS),
    (DESCRIBE, DESCRIBE),
    (SETUP % b"Transport: RTP/AVP;unicast;client_port=5000-5001;source=10.6.6.6;server_port=6000-6001",
     SETUP % (UDP + b";source=127.0.0.1")),
    (SETUP % b"transport: RTP/AVP/TCP;unicast; source=10.6.6.6;interleaved=0-1",
     SETUP % TCP.replace(b"Transport", b"transport")),
    (SETUP % UDP, SETUP % (UDP + b";source=127.0.0.1")),
    (PLAY, PLAY),
    (frame(FAKE) + frame(b"", 1) + frame(b"$$\n\n$", 1), None),
    # a session that is set up anew in the middle of the stream
    (SETUP % (UDP + b";/source=10.6.6.6"), SETUP % (UDP + b";source=127.0.0.1")),
    (frame(bytes(range(256)) * 20), None),
]  # fmt: skip
SAID = b"".join(said for said, _ in CONVERSATION)
HEARD = b"".join(said if heard is None else heard for said, heard in CONVERSATION)


def pieces(said: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({cut % len(said) for cut in cuts} | {0, len(said)})
    return [said[a:b] for a, b in pairwise(ends)]


@given(st.lists(st.integers(0, len(SAID) - 1), max_size=60))
def test_any_pieces_are_heard_the_same(cuts: list[int]) -> None:
    answers = RtspAnswers(PEER)
    assert b"".join(answers.passed_on(piece) for piece in pieces(SAID, cuts)) == HEARD
    assert (answers.status, answers.redirect) == (200, "")


def test_byte_by_byte_is_heard_the_same() -> None:
    answers = RtspAnswers(PEER)
    assert b"".join(answers.passed_on(SAID[i : i + 1]) for i in range(len(SAID))) == HEARD


def test_frames_are_passed_on_before_they_are_whole() -> None:
    answers = RtspAnswers(PEER)
    assert answers.passed_on(frame(b"x" * 50_000)[:40_000]) == frame(b"x" * 50_000)[:40_000]


@given(st.lists(st.integers(0, 300), max_size=30))
def test_a_redirect_is_not_followed_in_whatever_pieces_it_comes(cuts: list[int]) -> None:
    moved = b"RTSP/1.0 302 Found\r\nCSeq: 2\r\nLocation: rtsp://10.6.6.6/inside\r\n\r\n"
    answers, heard = RtspAnswers(PEER), b""

    def hear_all() -> None:
        nonlocal heard
        for piece in pieces(OPTIONS + moved, cuts):
            heard += answers.passed_on(piece)

    with pytest.raises(ConnectionAbortedError, match="redirects are not followed"):
        hear_all()
    assert (answers.status, answers.redirect) == (302, "rtsp://10.6.6.6/inside")
    assert b"Location" not in heard
    assert not heard.removeprefix(OPTIONS).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"Trans\rport: RTP/AVP;client_port=1-2;so\rurce=10.6.6.6\r\n",
        b"Transport: RTP/AVP;client_port=1-2; source=10.6.6.6\n",
        b"TRANSPORT:RTP/AVP;SOURCE=10.6.6.6;client_port=1-2;\t/source=10.6.6.6\r\n",
        b"Transport: RTP/AVP;client_port=1-2\0;x\r\n",
    ],
)
def test_no_spelling_lets_packets_come_from_elsewhere(line: bytes) -> None:
    heard = RtspAnswers(PEER).passed_on(line)
    assert b"10.6.6.6" not in heard
    assert heard.endswith(b";source=127.0.0.1\r\n")


def test_a_line_without_end_is_given_up() -> None:
    answers = RtspAnswers(PEER)
    for _ in range(60):
        assert answers.passed_on(b"x" * 1000) == b""
    with pytest.raises(ConnectionAbortedError, match="no RTSP"):
        answers.passed_on(b"x" * 10_000)


def test_an_answer_in_two_segments_reaches_ffmpeg_rewritten() -> None:
    """Over real sockets, as two packets with a pause between them."""
    with socket.create_server((PEER, 0)) as camera:
        ours = socket.create_connection(camera.getsockname())
        theirs, _ = camera.accept()
        theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        cutoff = Cutoff()
        relay = RtspRelay(ours, cutoff)
        with theirs, socket.create_connection((PEER, relay.port)) as ffmpeg:
            ffmpeg.settimeout(5.0)
            ffmpeg.sendall(b"OPTIONS * RTSP/1.0\r\n\r\n")
            assert theirs.recv(100) == b"OPTIONS * RTSP/1.0\r\n\r\n"
            answer = OPTIONS + CONVERSATION[2][0]
            middle = answer.index(b"10.6.6.6") + 3
            for part in (answer[:middle], answer[middle:]):
                theirs.sendall(part)
                time.sleep(0.1)
            heard = b""
            while len(heard) < len(OPTIONS + CONVERSATION[2][1]):
                heard += ffmpeg.recv(4096)
            assert heard == OPTIONS + CONVERSATION[2][1]
            assert relay.received == len(answer)
        relay.close()
        cutoff.cut()

"""What a camera says over RTSP, read as it comes: answers, and between them the frames of the same connection."""

from __future__ import annotations

import re

__all__ = ["RtspAnswers"]

# of one line; FFmpeg reads 4 KB of it
_LONGEST = 1 << 16
_STATUS = re.compile(rb"\s*RTSP/\S*\s+(\d{3})")
_LOCATION = re.compile(rb"(?i)Location:[ \t]*(.{1,500})")
_LENGTH = re.compile(rb"(?i)Content-Length:\s*(\d{1,18})")
_TRANSPORT = re.compile(rb"(?i)Transport:")
_SOURCE = re.compile(rb"(?i)[;,\s/]+source\s*=[^;,]*")


class RtspAnswers:
    """Passes on what a camera says, except for where it lets packets come from and where it sends its callers.

    It may come in pieces of any size: lines are waited for until they are whole, and bodies and interleaved
    frames, whatever stands in them, are passed on as they come. Lines are told from frames just as FFmpeg does, so
    that nothing that it would read as an answer is taken for something else here.

    Source: RFC 2326, 10.12 and 12.39; `ff_rtsp_read_reply` of FFmpeg's libavformat/rtsp.c.

    Parameters
    ----------
    peer : str
        Address of the camera itself.

    Attributes
    ----------
    status : int
        Of its last answer; 0 before the first.
    redirect : str
        Where it sends its callers to; empty where it does not.

    Examples
    --------
    >>> answers = RtspAnswers("10.0.0.7")
    >>> answers.passed_on(b"RTSP/1.0 200 OK\\r\\nTransport: RTP/AVP;client_port=5000-5001;sou")
    b'RTSP/1.0 200 OK\\r\\n'
    >>> answers.passed_on(b"rce=10.9.9.9\\r\\n\\r\\n$")
    b'Transport: RTP/AVP;client_port=5000-5001;source=10.0.0.7\\r\\n\\r\\n$'
    """

    def __init__(self, peer: str) -> None:
        self.status, self.redirect = 0, ""
        self._peer = peer.encode()
        self._line = b""  # the beginning of a line
        self._rest = 0  # bytes to come of a body or a frame
        self._length = 0  # of the body of the answer that is being read
        self._frame = b""  # the beginning of a frame's four bytes that tell its length; passed on already

    def passed_on(self, told: bytes) -> bytes:
        """What FFmpeg is to hear of the next piece.

        Raises
        ------
        ConnectionAbortedError
            Where the camera sends its callers elsewhere, see `redirect`, or what it says is no RTSP.
        """
        out: list[bytes] = []
        at = 0
        while at < len(told):
            end = at
            if self._rest:
                end = min(len(told), at + self._rest)
                self._rest -= end - at
            elif self._frame or (not self._line and told[at : at + 1] == b"$"):
                end = min(len(told), at + 4 - len(self._frame))
                self._frame += told[at:end]
                if len(self._frame) == 4:
                    self._rest, self._frame = int.from_bytes(self._frame[2:]), b""
            elif not self._line and told[at : at + 1] == b"\r":
                end = at + 1  # FFmpeg drops it: what follows still begins the line
            else:
                end = told.find(b"\n", at) + 1 or len(told)
                self._line += told[at:end]
                if self._line.endswith(b"\n"):
                    out.append(self._read(self._line))
                    self._line = b""
                elif len(self._line) > _LONGEST:
                    raise ConnectionAbortedError("what comes is no RTSP")
                at = end
                continue
            out.append(told[at:end])
            at = end
        return b"".join(out)

    def _read(self, line: bytes) -> bytes:
        # what FFmpeg's C strings see of it
        text = line.rstrip(b"\n").replace(b"\r", b"").partition(b"\0")[0]
        moved = 300 <= self.status < 400
        if not text:
            if moved:
                self._refuse("?")
            self._rest, self._length = self._length, 0
        elif status := _STATUS.match(text):
            self.status = int(status.group(1))
        elif moved and (where := _LOCATION.match(text)):
            self._refuse(where.group(1).decode("latin-1"))
        elif length := _LENGTH.match(text):
            self._length = int(length.group(1))
        elif _TRANSPORT.match(text):
            return self._from_camera(text) + b"\r\n"
        return line

    def _from_camera(self, header: bytes) -> bytes:
        """Packets over UDP come from, and are answered to, the camera itself, whatever it says."""
        plain = _SOURCE.sub(b"", header)
        if b"client_port" not in plain.lower():
            return plain
        return plain + b";source=" + self._peer

    def _refuse(self, where: str) -> None:
        self.redirect = where
        raise ConnectionAbortedError("redirects are not followed")

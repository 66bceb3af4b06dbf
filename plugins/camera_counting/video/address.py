"""Where a camera is: read from what a user writes, and shown without its password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from camera_counting.errors import SourceError

__all__ = ["SCHEMES", "CameraAddress", "is_camera", "redacted"]

# Nothing else is opened: other schemes of FFmpeg read files, other hosts or the output of commands.
SCHEMES = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_DEVICE = re.compile(r"/dev/video\d{1,4}")
# Makers put passwords into paths and queries, too: /user=admin&password=secret&channel=1.sdp, ?pwd=secret
_SECRET = re.compile(r"(?i)((?:\w*pass?\w*|pwd|psw|token|secret|\w*key|auth|sig\w*|credentials?)=)[^&;/?#\s]*")
# Greedy: a password may hold an @ that nobody encoded, so the last one before a space ends it.
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]+://)[^\s'\"<>]*@")


@dataclass(frozen=True, slots=True, repr=False)
class CameraAddress:
    """A camera's address, taken apart.

    Parameters
    ----------
    scheme : str
        rtsp, rtsps, http or https; empty for a webcam.
    host : str
        Name or IP address.
    port : int
    path : str
        From the first slash on, with the query; the file of a webcam.
    user, password : str
        As they are, not percent-encoded.

    Examples
    --------
    >>> camera = CameraAddress.parse("rtsp://admin:s@crt/1@10.0.0.7/live?channel=1")
    >>> camera.host, camera.port, camera.path, camera.user, camera.password
    ('10.0.0.7', 554, '/live?channel=1', 'admin', 's@crt/1')
    >>> print(camera)
    rtsp://***@10.0.0.7/live?channel=1
    """

    scheme: str
    host: str
    port: int
    path: str
    user: str = ""
    password: str = ""

    @classmethod
    def parse(cls, text: str) -> CameraAddress:
        """Read an address; user and password may be percent-encoded or hold what should have been.

        Raises
        ------
        SourceError
            Where it is no address of a camera.
        """
        text = text.strip()
        if _DEVICE.fullmatch(text):
            return cls("", "", 0, text)
        # all of it is one address: whatever stands before the last @ may be the password
        shown = redacted(re.sub(r"(?s)://.*@", "://***@", text))[:200]
        found = _SCHEME.match(text)
        scheme = found.group(1).lower() if found else ""
        if found is None or scheme not in SCHEMES:
            known = ", ".join(f"{name}://" for name in SCHEMES)
            raise SourceError(f"{shown}: expected a camera's address ({known}) or /dev/videoN")
        if re.search(r"[\x00-\x20\x7f]", text):
            raise SourceError(f"{shown}: a camera's address holds no spaces; write %20 for one")
        user, password, rest = _take_apart(text[found.end() :])
        try:
            parts = urlsplit(f"{scheme}://{rest}")
            host, port = parts.hostname or "", parts.port or SCHEMES[scheme]
            host.encode("idna")
        except (ValueError, UnicodeError):
            raise SourceError(
                f"{shown}: expected host[:port] after {scheme}://, with a port from 1 to 65535"
            ) from None
        if not host:
            raise SourceError(f"{shown}: expected the camera's name or IP after {scheme}://")
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        return cls(scheme, host, port, path, user, password)

    @property
    def is_device(self) -> bool:
        """Whether it is a webcam of this machine."""
        return not self.scheme

    @property
    def encrypted(self) -> bool:
        """Whether the connection is TLS from its first byte."""
        return self.scheme in {"rtsps", "https"}

    @property
    def netloc(self) -> str:
        """Host, and the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == SCHEMES.get(self.scheme) else f"{host}:{self.port}"

    @property
    def userinfo(self) -> str:
        """`user:password@`, percent-encoded; empty where there is none."""
        if not self.user and not self.password:
            return ""
        return f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@"

    @property
    def shown_path(self) -> str:
        """The path without the passwords that some makers put into it."""
        return _SECRET.sub(r"\1***", self.path) or "/"

    def __repr__(self) -> str:
        return f"CameraAddress({self})"

    def __str__(self) -> str:
        """The address as it may be shown: without user and password."""
        if self.is_device:
            return self.path
        shown = self.shown_path if self.path else ""
        hidden = "***@" if self.user or self.password else ""
        return f"{self.scheme}://{hidden}{self.netloc}{shown}"


def is_camera(text: str) -> bool:
    """Whether this text names a camera rather than a file: any address with a scheme, or a webcam's device."""
    return bool(_SCHEME.match(text.strip()) or _DEVICE.fullmatch(text.strip()))


def redacted(text: str) -> str:
    """This text with user and password of every address in it left out."""
    return _SECRET.sub(r"\1***", _USERINFO.sub(r"\1***@", text))


def _take_apart(rest: str) -> tuple[str, str, str]:
    """User, password and what follows them; the last @ before the path's end divides, as in FFmpeg."""
    # a slash or an @ in a password should be encoded and often is not: what stands before the last @ that is
    # followed by something like host[:port] belongs to the password
    authority, at, host = rest.rpartition("@")
    if at and "?" in authority:  # an @ in the query is part of it
        head = authority.partition("?")[0]
        authority, at, host = head.rpartition("@")[0], "@" if "@" in head else "", rest[head.rfind("@") + 1 :]
    if not at:
        return "", "", rest
    slash = authority.find("/")
    if slash >= 0 and ":" not in authority[:slash]:
        # no user:password before this slash, so it begins the path, and the @ is a part of that
        return "", "", rest
    user, _, password = authority.partition(":")
    return unquote(user), unquote(password), host

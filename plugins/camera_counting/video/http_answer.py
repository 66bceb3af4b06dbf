"""One answer of a camera over HTTP: redirects kept at home, logged in where it asks for it."""

from __future__ import annotations

import base64
import http.client
import socket
import time
import urllib.request
from urllib.parse import urljoin

from camera_counting.errors import (
    SourceAuthenticationError,
    SourceCodecError,
    SourceError,
    SourceNotFoundError,
    SourceTimeoutError,
    SourceUnreachableError,
)
from camera_counting.video.address import CameraAddress, redacted
from camera_counting.video.dialling import Cutoff, dial

__all__ = ["HttpAnswer", "ask"]

_REDIRECTS = 3


class HttpAnswer:
    """A camera's answer, whose body is read as it comes.

    Attributes
    ----------
    kind : str
        The media type, in small letters: image/jpeg.
    """

    def __init__(self, response: http.client.HTTPResponse, sock: socket.socket, cutoff: Cutoff) -> None:
        self._response, self._sock, self._cutoff = response, sock, cutoff
        self._timeout = float(sock.gettimeout() or 0)
        self.renew()
        self.kind = (response.headers.get_content_type() or "").lower()

    def renew(self) -> None:
        """Something whole has come: from now on it may take its time again."""
        self._end = time.monotonic() + self._timeout

    def read(self, size: int = -1) -> bytes:
        """What has come, `size` bytes at most; waits where nothing has, and is empty at the end.

        Raises
        ------
        TimeoutError
            Where nothing came, or nothing whole since `renew`: a camera may send a byte now and then for ever.
        """
        if time.monotonic() > self._end:
            raise TimeoutError
        return self._response.read1(size)

    def whole(self, most: int) -> bytes:
        """All of it.

        Raises
        ------
        SourceCodecError
            Where it is longer than `most` bytes.
        """
        parts, length = [], 0
        while part := self.read(1 << 16):
            parts.append(part)
            length += len(part)
            if length > most:
                raise SourceCodecError(f"expected a picture, got more than {most >> 20} MB")
        return b"".join(parts)

    def close(self) -> None:
        """Hang up."""
        self._response.close()
        self._cutoff.forget(self._sock)


def ask(camera: CameraAddress, timeout: float, cutoff: Cutoff) -> HttpAnswer:
    """GET a camera's address.

    Basic and digest log-ins are understood. At most three redirects are followed, to the same host only and never
    from https to http: a camera must not make this machine open other addresses.

    Raises
    ------
    SourceError
        Of the kind that fits.
    """
    target, login, tried = camera, "", False
    for _ in range(_REDIRECTS + 2):
        answer, response = _get(target, login, timeout, cutoff)
        status = response.status
        if status in {301, 302, 303, 307, 308}:
            where = response.headers.get("Location", "")
            answer.close()
            target = _followed(camera, target, where)
            continue
        if status == 200:
            return answer
        challenge = response.headers.get_all("WWW-Authenticate") or []
        answer.close()
        if status == 401 and not tried and (camera.user or camera.password):
            login, tried = _login(target, challenge), True
            if login:
                continue
        raise _refusal(target, status)
    raise SourceNotFoundError(f"{camera}: the camera redirects in a circle; give the address of the stream itself")


def _get(
    camera: CameraAddress, login: str, timeout: float, cutoff: Cutoff
) -> tuple[HttpAnswer, http.client.HTTPResponse]:
    sock = dial(camera, timeout, cutoff)
    connection = http.client.HTTPConnection(camera.netloc)
    connection.sock = sock
    headers = {"Accept": "multipart/x-mixed-replace, image/*, video/*, */*", "User-Agent": "camera-counting"}
    if login:
        headers["Authorization"] = login
    try:
        connection.request("GET", camera.path or "/", headers=headers)
        response = connection.getresponse()
    except TimeoutError:
        cutoff.forget(sock)
        raise SourceTimeoutError(
            f"{camera}: connected, and no answer came within {timeout:g} s; is that the port for HTTP?"
        ) from None
    except (http.client.HTTPException, ValueError):
        cutoff.forget(sock)
        raise SourceUnreachableError(
            f"{camera}: what answers on port {camera.port} does not speak HTTP; check the port"
        ) from None
    except OSError:
        cutoff.forget(sock)
        raise SourceUnreachableError(f"{camera}: it hung up before it answered") from None
    return HttpAnswer(response, sock, cutoff), response


def _followed(camera: CameraAddress, target: CameraAddress, where: str) -> CameraAddress:
    try:
        found = CameraAddress.parse(urljoin(f"{target.scheme}://{target.netloc}{target.path}", where))
    except SourceError:
        found = None
    same = found is not None and found.host == camera.host and found.scheme in {"http", "https"}
    if found is None or not same or (target.encrypted and not found.encrypted):
        raise SourceNotFoundError(
            f"{camera}: the camera sends its callers to {redacted(where)[:200]}, which is not followed; give that "
            "address if you trust it"
        )
    return CameraAddress(found.scheme, found.host, found.port, found.path, camera.user, camera.password)


def _login(camera: CameraAddress, challenges: list[str]) -> str:
    """The header that answers a challenge; empty where it is none that is understood."""
    for challenge in challenges:
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "digest":
            passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
            address = f"{camera.scheme}://{camera.netloc}{camera.path or '/'}"
            passwords.add_password(None, address, camera.user, camera.password)
            handler = urllib.request.HTTPDigestAuthHandler(passwords)
            said = urllib.request.parse_keqv_list([part for part in urllib.request.parse_http_list(rest) if part])
            try:
                answer = handler.get_authorization(urllib.request.Request(address), said)  # noqa: S310
            except ValueError:
                continue
            if answer:
                return f"Digest {answer}"
        if kind.lower() == "basic":
            return "Basic " + base64.b64encode(f"{camera.user}:{camera.password}".encode()).decode()
    return ""


def _refusal(camera: CameraAddress, status: int) -> SourceError:
    if status in {401, 403}:
        if camera.user or camera.password:
            return SourceAuthenticationError(f"{camera}: the camera does not take this user and password")
        return SourceAuthenticationError(
            f"{camera}: the camera asks for user and password: {camera.scheme}://USER:PASSWORD@{camera.netloc}..."
        )
    if status in {404, 410}:
        return SourceNotFoundError(
            f"{camera}: the camera answers, and has nothing under {camera.shown_path}; its manual tells the path"
        )
    return SourceUnreachableError(f"{camera}: the camera answers with HTTP status {status}; try again later")

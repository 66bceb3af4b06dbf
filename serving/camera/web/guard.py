"""What stands before every request: host, size, token; and the headers that every answer gets."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.camera.web.access import COOKIE, Access, Throttle
from serving.camera.web.outside import Outside

__all__ = ["CSRF_HEADER", "LARGEST_BODY", "OPEN", "Guard"]

_log = logging.getLogger("serving.camera")

# What is told without a token: whether the process lives, and what the login itself is made of.
OPEN = frozenset({"/healthz", "/login", "/static/page.css"})
# A page of another site cannot send this without being allowed to, which it never is.
CSRF_HEADER = "x-camera-counting"
LARGEST_BODY = 64 << 10
# Seconds in which it must have come.
_PATIENCE = 10.0

_SAFE = frozenset({"GET", "HEAD"})
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # "no-referrer" would make browsers send the login form with the origin "null"
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """An ASGI application around another one.

    Parameters
    ----------
    app : ASGI application
    access : Access
    throttle : Throttle
    outside : Outside
        Knows under which names it may be asked for: another one is somebody's own name that was made to point here
        (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, access: Access, throttle: Throttle, outside: Outside) -> None:
        self._app, self._access, self._throttle, self._outside = app, access, throttle, outside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, with_headers)
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                body = await _whole_body(receive, scope)
        except TimeoutError:
            await _said(408, "the request did not come to its end")(scope, receive, with_headers)
            return
        if body is None:
            await _said(413, f"expected at most {LARGEST_BODY} bytes")(scope, receive, with_headers)
            return
        await self._app(scope, body, with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to what may not come in; None for what may."""
        path, method = scope["path"], scope["method"]
        if path != "/healthz" and _host(headers.get("host", "")) not in self._outside.hosts:
            return _said(
                403, "this name of the host is not allowed; add it to `hosts` in the settings of the page"
            )
        if path in OPEN:
            return None
        if _has_session(headers, self._access):
            if method not in _SAFE and not (headers.get(CSRF_HEADER) and self._outside.is_same_site(headers)):
                return _said(
                    403, f"expected a request of this page itself, with the header {CSRF_HEADER}; or use the token"
                )
            return None
        return self._without_session(scope, headers)

    def _without_session(self, scope: Scope, headers: Headers) -> Response | None:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            if scope["path"] == "/" and scope["method"] in _SAFE:
                return RedirectResponse("/login", 303)
            return _said(401, "expected the token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        if self._access.is_token(given.strip()):
            return None
        client = self._outside.client(scope)
        if wait := self._throttle.wait(client):
            return _said(429, "too many wrong tokens; wait a moment", {"Retry-After": str(math.ceil(wait))})
        self._throttle.failed(client)
        _log.warning("a request from %s had a wrong token", client)
        return _said(401, "this is not the token", {"WWW-Authenticate": "Bearer"})


def _has_session(headers: Headers, access: Access) -> bool:
    # reads past what other programs at this host have set: cookies know no ports
    cookies = cookie_parser(headers.get("cookie", ""))
    return COOKIE in cookies and access.is_session(cookies[COOKIE])


def _host(header: str) -> str:
    """The name without its port."""
    name, colon, port = header.strip().lower().rpartition(":")
    return name if colon and port.isdigit() else header.strip().lower()


async def _whole_body(receive: Receive, scope: Scope) -> Receive | None:
    """A `receive` that gives the body that has come; None where it is too long."""
    length = Headers(scope=scope).get("content-length", "0")
    if not length.isdigit() or int(length) > LARGEST_BODY:
        return None
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > LARGEST_BODY:
            return None
    given = False

    async def again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again


def _said(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    return PlainTextResponse(sentence + "\n", status, dict(headers or {}))

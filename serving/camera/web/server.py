"""The page's server, in a thread of the worker's process."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
import threading
import time

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.errors import ServingError

__all__ = ["Running", "serve"]

_log = logging.getLogger("serving.camera")

# How long a server may take to answer after its socket is bound, and to end.
_PATIENCE = 15.0
# And how long a client may take for the head of a request.
_HEAD = 10.0


class Running:
    """A server that runs.

    Attributes
    ----------
    url : str
        Where it answers.
    """

    def __init__(
        self, server: uvicorn.Server, thread: threading.Thread, listener: socket.socket, url: str
    ) -> None:
        self._server, self._thread, self._listener = server, thread, listener
        self.url = url

    @property
    def up(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End it; harmless when done twice."""
        self._server.should_exit = True
        self._thread.join(_PATIENCE)
        self._listener.close()


class Impatient(H11Protocol):
    """HTTP that hangs up on whoever connects and does not ask: connections are few, and anybody may open them."""

    _last: object = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(_HEAD, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Is a request being answered, or was one since the last look?"""
        if self.cycle is self._last and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()
            return
        self._last = self.cycle
        self._timer = self.loop.call_later(_HEAD, self._look)


def serve(app: FastAPI, host: str = "127.0.0.1", port: int = 5002) -> Running:
    """Answer requests until `stop`.

    Parameters
    ----------
    app : FastAPI
    host : str
        Address to listen at. There is no encryption: other than on this machine, put a proxy with TLS before it.
    port : int
        0 takes a free one, see `Running.url`.

    Raises
    ------
    ServingError
        Where the port is taken, or the address is not one of this machine.
    """
    listener = _listener(host, port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        # whose address counts for the throttle is not for a header to say
        proxy_headers=False,
        ws="none",
        http=Impatient,
        limit_concurrency=200,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="camera-counting-page", daemon=True
    )
    thread.start()
    shown = f"[{host}]" if ":" in host else host
    running = Running(server, thread, listener, f"http://{shown}:{listener.getsockname()[1]}")
    until = time.monotonic() + _PATIENCE
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            running.stop()
            raise ServingError(f"the page at {running.url} did not come up; its log says why")
        time.sleep(0.02)
    if not _is_loopback(host):
        _log.warning("the page at %s is open to the network without encryption: put TLS before it", running.url)
    return running


def _listener(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ServingError(f"the page cannot listen at port {port}: expected 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        raise ServingError(f"the page cannot listen at {host}:{port}: {error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise ServingError(
                f"the page's port {port} at {host} is taken by another process; end it, or choose another port"
            ) from error
        raise ServingError(f"the page cannot listen at {host}:{port}: {error}") from error
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

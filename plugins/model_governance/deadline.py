"""An end to an exchange as a whole: whoever answers byte by byte holds nobody up.

The timeouts of sockets, and so those of `requests` and `smtplib`, hold for one read: each byte begins them anew.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

__all__ = ["Deadline", "bounded_session", "watch"]

_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


class Deadline:
    """Breaks off the watched connections of its block when its time is over; the block sees a broken connection.

    Looking up a name is not a connection: the resolver of the machine bounds that.

    Attributes
    ----------
    seconds : float
    over : bool
        Whether it had to.

    Examples
    --------
    >>> here, there = socket.socketpair()
    >>> with Deadline(0.05) as deadline:
    ...     watch(here)
    ...     here.recv(1)  # `there` says nothing
    b''
    >>> deadline.over
    True
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.over = seconds, False
        self._watched: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._break_off)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._token: Token[Deadline | None] = _current.set(self)
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        _current.reset(self._token)
        with self._lock:
            for each in self._watched:
                each.close()
            self._watched.clear()

    def watch(self, connection: socket.socket) -> None:
        """Break this connection off as well; `TimeoutError` where the time is over already."""
        with self._lock:
            if self.over:
                raise TimeoutError(f"not within {self.seconds:g} s")
            # TLS takes the first handle of a connection away; a second one still ends it
            self._watched.append(connection.dup())

    def _break_off(self) -> None:
        with self._lock:
            self.over = True
            for each in self._watched:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


def watch(connection: socket.socket) -> None:
    """Let the deadline of the block that is open here, if any, hold for a connection."""
    if (deadline := _current.get()) is not None:
        deadline.watch(connection)


def bounded_session() -> requests.Session:
    """A session of `requests` whose connections the deadline of the block holds for, before TLS begins."""
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


class _Plain(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        watch(made)
        return made


class _Encrypted(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        watch(made)
        return made


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _EncryptedPool(HTTPSConnectionPool):
    ConnectionCls = _Encrypted


_POOLS = {"http": _PlainPool, "https": _EncryptedPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

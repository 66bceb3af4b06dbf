"""Who may come in: the token itself, or a session that was begun with it; failures are slowed down."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable

__all__ = ["COOKIE", "Access", "Throttle"]

COOKIE = "camera_counting_session"

# Failures at once, and seconds until one more is forgiven. As many clients are remembered as this.
_FAILURES, _FORGIVEN, _CLIENTS = 10, 6.0, 1000


class Throttle:
    """Counts the failures of each client.

    It is asked after a wrong token alone: whoever shows the right one comes in, for many may share an address, and
    a stranger must not lock them out. It spares the log, and tells honest clients to stop; what keeps guesses out
    is the token's length.

    Examples
    --------
    >>> throttle = Throttle(clock=lambda: 0.0)
    >>> for _ in range(10):
    ...     throttle.failed("10.0.0.7")
    >>> throttle.wait("10.0.0.7"), throttle.wait("10.0.0.8")
    (6.0, 0.0)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._failures: dict[str, tuple[float, float]] = {}

    def failed(self, client: str) -> None:
        """One more."""
        with self._lock:
            now = self._clock()
            number = self._now(client, now)
            self._failures.pop(client, None)
            self._failures[client] = (min(number + 1, _FAILURES), now)
            if len(self._failures) > _CLIENTS:
                del self._failures[next(iter(self._failures))]

    def wait(self, client: str) -> float:
        """Seconds until this client may try again; 0 where it may now."""
        with self._lock:
            over = self._now(client, self._clock()) - (_FAILURES - 1)
            return max(0.0, over * _FORGIVEN)

    def _now(self, client: str, now: float) -> float:
        number, at = self._failures.get(client, (0.0, now))
        return max(0.0, number - (now - at) / _FORGIVEN)


class Access:
    """Checks tokens and sessions, each in constant time.

    Parameters
    ----------
    token : str
    session_seconds : float
        How long a session lasts.

    Examples
    --------
    >>> access = Access("correct-horse-battery", 3600)
    >>> access.is_token("correct-horse-battery"), access.is_token("wrong")
    (True, False)
    >>> session = access.session()
    >>> access.is_session(session), access.is_session("9" + session), "correct" in session
    (True, False, False)
    """

    def __init__(self, token: str, session_seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._token = hashlib.sha256(token.encode()).digest()
        # sessions outlive a restart, and end when the token is changed
        self._key = hmac.digest(token.encode(), b"camera-counting session", "sha256")
        self._seconds, self._clock = session_seconds, clock

    @property
    def session_seconds(self) -> float:
        return self._seconds

    def is_token(self, given: str) -> bool:
        """Whether this is the token."""
        # digests are of one length: not even the token's length shows
        return hmac.compare_digest(hashlib.sha256(given.encode()).digest(), self._token)

    def session(self) -> str:
        """A new session's cookie: when it ends, something random, and a seal over both."""
        body = f"{int(self._clock() + self._seconds)}.{secrets.token_urlsafe(12)}"
        return f"{body}.{self._seal(body)}"

    def is_session(self, cookie: str) -> bool:
        """Whether it was begun here with the token, and lasts."""
        body, _, seal = cookie.rpartition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(body).encode()):
            return False
        ends = body.partition(".")[0]
        return ends.isascii() and ends.isdigit() and self._clock() < int(ends)

    def _seal(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), "sha256").hexdigest()

"""Failed log-ins: whoever guesses waits."""

from __future__ import annotations

import base64
import binascii
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cachetools import TTLCache

__all__ = ["FailedLogins", "login_name"]


def login_name(header: str | None) -> str | None:
    """The name in an ``Authorization: Basic`` header; None where there is no readable one.

    Examples
    --------
    >>> login_name("Basic cml0YTpwYXNz")
    'rita'
    >>> login_name("Bearer abc") is None
    True
    """
    scheme, _, credentials = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


@dataclass(frozen=True, slots=True)
class FailedLogins:
    """Counts failed log-ins of this process, by name and address, and by address alone.

    An account is never closed for other addresses: else anybody could lock anybody out. Each worker counts for
    itself, so `n` workers let `n` times as many guesses through.

    Attributes
    ----------
    per_account, per_address : int
        Failures within the window after which the next attempt waits.
    window : float
        Seconds for which a failure counts, from the last one.

    Examples
    --------
    >>> logins = FailedLogins(per_account=2)
    >>> logins.failed("rita", "10.0.0.7"); logins.failed("rita", "10.0.0.7")
    >>> logins.wait("rita", "10.0.0.7") > 0, logins.wait("rita", "10.0.0.8")
    (True, 0)
    """

    per_account: int = 10
    per_address: int = 50
    window: float = 300.0
    clock: Callable[[], float] = time.monotonic
    _counts: TTLCache[tuple[str, ...], tuple[int, float]] = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        # bounded: a guesser who invents names pushes out names, and is held by the address
        object.__setattr__(self, "_counts", TTLCache(20_000, self.window, timer=self.clock))

    def wait(self, user: str, address: str) -> int:
        """Seconds until this log-in may be tried again from there; 0 where it may now."""
        now = self.clock()
        with self._lock:
            ends = [
                since + self.window
                for key, most in (((user, address), self.per_account), ((address,), self.per_address))
                for count, since in [self._counts.get(key, (0, now))]
                if count >= most
            ]
        return max(0, *(round(end - now + 0.5) for end in ends), 0) if ends else 0

    def failed(self, user: str, address: str) -> None:
        """Count one more."""
        now = self.clock()
        with self._lock:
            for key in ((user, address), (address,)):
                self._counts[key] = (self._counts.get(key, (0, now))[0] + 1, now)

    def succeeded(self, user: str, address: str) -> None:
        """Forget what this person mistyped; what else came from the address still counts."""
        with self._lock:
            self._counts.pop((user, address), None)

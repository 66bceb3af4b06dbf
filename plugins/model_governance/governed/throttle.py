"""Failed log-ins: whoever guesses waits, whichever worker is asked, and whether or not it was started anew.

Each failure is counted in the registry's database, and each worker keeps in memory what the database said of the
failures that it saw itself. So a log-in that succeeds costs a look into a dictionary, and a guesser who goes from
worker to worker, or waits for a restart, gets one more guess at each.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cachetools import LRUCache
from mlflow.exceptions import MlflowException
from sqlalchemy import delete, func, select, text
from sqlalchemy.engine import Engine

from model_governance.governed.tables import FAILED_LOGINS
from model_governance.governed.waiting_line import Brief

__all__ = ["FailedLogins", "login_name"]

_logger = logging.getLogger(__name__)
_PRUNED_EVERY_S = 60.0
_TOKEN = re.compile(r"gov_[0-9a-f]{16}")
_COUNT = text(
    f"INSERT INTO {FAILED_LOGINS.name} AS known (who, count, at) VALUES (:who, 1, :now) "  # noqa: S608
    "ON CONFLICT (who) DO UPDATE SET "
    "count = CASE WHEN known.at < :since THEN 1 ELSE known.count + 1 END, at = :now "
    "RETURNING count"
)
"""One statement, so that no two workers count the same failure; the same words on SQLite and PostgreSQL."""


def login_name(header: str | None) -> str | None:
    """Who an ``Authorization`` header says it is; "" where it says nobody, None where there is no header.

    Nowhere stricter than werkzeug, which reads it at Flask's routes, or MLflow, which does at FastAPI's: whoever
    either of them lets in is known here by their name. A token of ours is known by its id.

    Examples
    --------
    >>> login_name("Basic cml0YTpwYXNz"), login_name("Basic \\t cml0YTpwYXNz")
    ('rita', 'rita')
    >>> login_name("Bearer abc"), login_name("") is None
    ('', True)
    """
    if not header:
        return None
    scheme, credentials = [*header.split(None, 1), "", ""][:2]
    if scheme.lower() == "bearer":
        token = _TOKEN.match(credentials)
        return token[0] if token else ""
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials).decode().partition(":")[0]
    except ValueError:  # no base64, no ASCII, no UTF-8
        return ""


@dataclass(frozen=True, slots=True)
class FailedLogins:
    """Counts failed log-ins: by name and address, by address, and by name.

    Nobody is locked out of their account from elsewhere. Where a name is tried from many addresses, each of them
    has `when_attacked` tries instead of `per_account`: whoever knows the password comes in at the first.
    Addresses of IPv6 count by their /64, which is one customer's.

    Attributes
    ----------
    engine : Engine or None
        Of the registry's database; without one this process counts for itself. Where it cannot be reached, too.
    per_account, per_address, per_name : int
        Failures within the window: under one name from one address, from one address, under one name.
    when_attacked : int
        What is left of `per_account` where a name has more than `per_name` failures.
    window : float
        Seconds for which a failure counts, from the last one.
    most : int
        Rows that the database keeps of failures; the oldest go first.
    clock : callable
        Seconds since the epoch.

    Examples
    --------
    >>> logins = FailedLogins(per_account=2)
    >>> logins.failed("rita", "10.0.0.7"); logins.failed("rita", "10.0.0.7")
    >>> logins.wait("rita", "10.0.0.7") > 0, logins.wait("rita", "10.0.0.8")
    (True, 0)
    """

    engine: Engine | None = None
    per_account: int = 10
    per_address: int = 50
    per_name: int = 100
    when_attacked: int = 2
    window: float = 300.0
    most: int = 50_000
    clock: Callable[[], float] = time.time
    # bounded: a guesser who invents names pushes out names, and is held by the address
    _seen: LRUCache[str, tuple[int, float]] = field(default_factory=lambda: LRUCache(20_000), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _pruned: list[float] = field(default_factory=lambda: [0.0], init=False)
    _brief: Brief = field(default_factory=Brief, init=False)

    def wait(self, user: str, address: str) -> int:
        """Seconds until this log-in may be tried again from there; 0 where it may now."""
        if not self._seen:
            return 0  # nobody failed: the fast way
        account, place, name = _keys(user, address)
        now = self.clock()
        with self._lock:
            attacked = self._count(name, now) >= self.per_name
            most = min(self.per_account, self.when_attacked) if attacked else self.per_account
            ends = [
                self._seen[key][1] + self.window
                for key, allowed in ((account, most), (place, self.per_address))
                if self._count(key, now) >= allowed
            ]
        # whatever a clock that was set back says, nobody waits longer than the window
        return max(1, *(round(min(end - now, self.window) + 0.5) for end in ends)) if ends else 0

    def failed(self, user: str, address: str) -> None:
        """Count one more, in the database and here. Never raises."""
        keys, now = _keys(user, address), self.clock()
        counts = self._shared(keys, now)
        with self._lock:
            for key in keys:
                self._seen[key] = (max(self._count(key, now) + 1, counts.get(key, 0)), now)

    def succeeded(self, user: str, address: str) -> None:
        """Forget what this person mistyped; what else came from the address still counts."""
        if not self._seen:
            return
        account = _keys(user, address)[0]
        with self._lock:
            forgot = self._seen.pop(account, None)
        if forgot is not None and self.engine is not None:
            try:
                with self._brief.writing(self.engine) as connection:
                    connection.execute(delete(FAILED_LOGINS).where(FAILED_LOGINS.c.who == account))
            except MlflowException as error:
                _logger.warning("could not forget failed log-ins: %s", error.message)

    def _count(self, key: str, now: float) -> int:
        count, since = self._seen.get(key, (0, now))
        return count if now - since <= self.window else 0

    def _shared(self, keys: tuple[str, ...], now: float) -> dict[str, int]:
        """What the database counts now, this failure among it; nothing where it is away."""
        if self.engine is None:
            return {}
        at, since = round(now * 1000), round((now - self.window) * 1000)
        try:
            with self._brief.writing(self.engine) as connection:
                # in one order, so that no two workers wait for each other
                found = {
                    key: int(connection.execute(_COUNT, {"who": key, "now": at, "since": since}).scalar_one())
                    for key in sorted(keys)
                }
            self._prune(now, since)
            return found
        except MlflowException as error:
            _logger.warning("failed log-ins are counted by this worker alone: %s", error.message)
            return {}

    def _prune(self, now: float, since: int) -> None:
        """Once a minute remove what counts no more, and the oldest of what is too much."""
        if self.engine is None or 0 <= now - self._pruned[0] <= _PRUNED_EVERY_S:
            return
        self._pruned[0] = now
        with self._brief.writing(self.engine) as connection:
            connection.execute(delete(FAILED_LOGINS).where(FAILED_LOGINS.c.at < since))
            if (connection.scalar(select(func.count()).select_from(FAILED_LOGINS)) or 0) > self.most:
                newest = select(FAILED_LOGINS.c.at).order_by(FAILED_LOGINS.c.at.desc())
                last = newest.offset(self.most).limit(1).scalar_subquery()
                connection.execute(delete(FAILED_LOGINS).where(FAILED_LOGINS.c.at <= last))


def _keys(user: str, address: str) -> tuple[str, str, str]:
    """Of name and address, of the address, of the name; no name that somebody typed stands in the database."""
    place = _network(address)
    parts = (f"account\0{user.casefold()}\0{place}", f"address\0{place}", f"name\0{user.casefold()}")
    account, of_address, name = (hashlib.sha256(each.encode("utf-8", "replace")).hexdigest() for each in parts)
    return account, of_address, name


def _network(address: str) -> str:
    """Whose address it is.

    Examples
    --------
    >>> _network("2001:db8::1") == _network("2001:db8::ffff:2"), _network("::ffff:10.0.0.7"), _network("?")
    (True, '10.0.0.7', '?')
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))

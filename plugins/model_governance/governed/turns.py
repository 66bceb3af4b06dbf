"""Whose turn it is: of several workers one sees to something, and another one where that one is gone."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.engine import Engine

from model_governance.governed.beside import beside
from model_governance.governed.tables import TURNS

__all__ = ["Turn"]

_TAKE = text(
    f"INSERT INTO {TURNS.name} AS known (what, worker, until) VALUES (:what, :worker, :until) "  # noqa: S608
    "ON CONFLICT (what) DO UPDATE SET worker = :worker, until = :until "
    "WHERE known.worker = :worker OR known.until < :now OR known.until > :latest"
)
"""One statement: of two workers that ask at once one gets it. The same words on SQLite and PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that one worker has as long as it takes it again in time.

    Attributes
    ----------
    what : str
        What is seen to.
    worker : str
        Who asks; another text in each worker.
    lease_s : float
        Seconds until another one may have it.
    """

    engine: Engine
    what: str
    worker: str
    lease_s: float

    def take(self, now: float) -> bool:
        """Whether it is this worker's from now on; `now` in seconds since the epoch."""
        at, lease = round(now * 1000), round(self.lease_s * 1000)
        # a lease that ends later than any taken now can is of a clock that was set back
        values = {
            "what": self.what,
            "worker": self.worker,
            "until": at + lease,
            "now": at,
            "latest": at + 2 * lease,
        }
        with beside(self.engine) as connection:
            return bool(connection.execute(_TAKE, values).rowcount)

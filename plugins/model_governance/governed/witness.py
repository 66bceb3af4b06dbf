"""What the app itself writes down: refusals that never reached the store, changes of log-ins, reads of files."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cachetools import TTLCache
from sqlalchemy import insert
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from model_governance.governed.actor import Actor
from model_governance.governed.audit.chain import Entry, append
from model_governance.governed.tables import READS

__all__ = ["Witness"]

_logger = logging.getLogger(__name__)
_STRANGERS_PER_MINUTE = 10  # entries per address, endpoint and reason: strangers must not fill the log


@dataclass(frozen=True, slots=True)
class Witness:
    """Writes into the registry's database, each time in a transaction of its own.

    Attributes
    ----------
    engine : Engine
        Of the registry's database.
    """

    engine: Engine
    _strangers: TTLCache[tuple[str, str, str], int] = field(
        default_factory=lambda: TTLCache(10_000, 60), init=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def refused(
        self,
        actor: Actor,
        action: str,
        reason: str,
        *,
        model: str | None = None,
        version: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write that somebody was refused; of an address without a log-in only some times a minute.

        Never raises: what was refused stays refused where the database is away.
        """
        if not actor.authenticated and self._enough(actor, reason):
            return
        try:
            self._append(
                Entry(actor, action, "refused", model=model, version=version, comment=reason, detail=detail)
            )
        except SQLAlchemyError:
            _logger.exception("could not write a refusal (%s by %s) to the audit log", action, actor.name)

    def done(self, actor: Actor, action: str, detail: Mapping[str, Any] | None = None) -> None:
        """Write that somebody changes a log-in, a permission or a setting.

        Raises
        ------
        SQLAlchemyError
            Where it cannot be written; then let nothing change either.
        """
        self._append(Entry(actor, action, detail=detail))

    def read(self, actor: Actor, what: str) -> None:
        """Write that somebody takes a file of a registered version.

        Raises
        ------
        SQLAlchemyError
            Where it cannot be written; then give no file either.
        """
        row = {
            "at": round(time.time() * 1000),
            "actor": actor.name[:256],
            "address": actor.address[:64],
            "what": what[:512],
        }
        with self.engine.begin() as connection:
            connection.execute(insert(READS).values(**row))

    def _append(self, entry: Entry) -> None:
        with Session(self.engine) as session, session.begin():
            append(session, entry)

    def _enough(self, actor: Actor, reason: str) -> bool:
        key = (actor.address, actor.endpoint, reason)
        with self._lock:
            count = self._strangers.get(key, 0)
            self._strangers[key] = count + 1
        return count >= _STRANGERS_PER_MINUTE

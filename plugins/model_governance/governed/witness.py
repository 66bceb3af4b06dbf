"""What the app itself writes down: refusals that never reached the store, changes of log-ins, reads of files."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cachetools import TTLCache
from mlflow.exceptions import MlflowException
from sqlalchemy import Connection, insert
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from model_governance.governed.actor import Actor
from model_governance.governed.audit.chain import Entry, append
from model_governance.governed.tables import READS
from model_governance.governed.waiting_line import Brief, Line, in_words, waiting

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
    _line: Line = field(default_factory=lambda: Line(at_once=3, in_line=5), init=False)
    _brief: Brief = field(default_factory=Brief)
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

        Never raises: what was refused stays refused where the database is away. A stranger does not wait for
        whoever holds the database; what is not written then is told in the server's own log.
        """
        if not actor.authenticated and self._enough(actor, reason):
            return
        entry = Entry(actor, action, "refused", model=model, version=version, comment=reason, detail=detail)
        try:
            if actor.authenticated:
                self._append(entry)
            else:
                with self._brief.writing(self.engine) as connection:
                    _write(connection, entry)
        except MlflowException as error:
            _logger.warning(
                "not in the audit log: %r by %r from %s was refused: %s %s (%s)",
                action, actor.name, actor.address, reason, dict(detail or {}), error,
            )  # fmt: skip

    def done(
        self, actor: Actor, action: str, detail: Mapping[str, Any] | None = None, *, model: str | None = None
    ) -> None:
        """Write that somebody changes a log-in, a permission or a setting.

        Raises
        ------
        MlflowException
            Where it cannot be written; then let nothing change either.
        """
        self._append(Entry(actor, action, model=model, detail=detail))

    def read(self, actor: Actor, what: str) -> None:
        """Write that somebody takes a file of a registered version.

        Raises
        ------
        MlflowException
            Where it cannot be written; then give no file either.
        """
        row = {
            "at": round(time.time() * 1000),
            "actor": actor.name[:256],
            "address": actor.address[:64],
            "what": what[:512],
        }
        with in_words(), self._line.turn(), waiting(self.engine) as connection:
            connection.execute(insert(READS).values(**row))

    def _append(self, entry: Entry) -> None:
        with in_words(), self._line.turn(), waiting(self.engine) as connection:
            _write(connection, entry)

    def _enough(self, actor: Actor, reason: str) -> bool:
        key = (actor.address, actor.endpoint, reason)
        with self._lock:
            count = self._strangers.get(key, 0)
            self._strangers[key] = count + 1
        return count >= _STRANGERS_PER_MINUTE


def _write(connection: Connection, entry: Entry) -> None:
    with Session(connection) as session:
        append(session, entry)
        session.commit()  # what is in the session; the transaction is the connection's

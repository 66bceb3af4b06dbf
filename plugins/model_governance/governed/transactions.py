"""One transaction around everything that belongs together, whichever methods open sessions in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from mlflow.store.db.utils import _get_managed_session_maker
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, sessionmaker

from model_governance.governed.audit.chain import lock
from model_governance.governed.waiting_line import Line, in_words

__all__ = ["Transactions", "sessions"]

SessionMaker = Callable[..., AbstractContextManager[Session]]

_SETTINGS = ("foreign_keys = ON", "busy_timeout = 20000", "case_sensitive_like = true")
"""What MLflow sets on SQLite at the beginning of each session; it holds as long as a connection lives.

And no write-ahead log, although it would be quicker: MLflow's tracking store shares the file, and whoever copies
that file alone as a backup would miss the changes that still stand beside it.
"""


def sessions(engine: Engine) -> SessionMaker:
    """MLflow's own maker of sessions, with its settings of SQLite made once for a connection.

    MLflow makes them in each session: three statements of the four or five that a short one has.
    """
    if engine.dialect.name == "sqlite" and engine.url.database in (None, "", ":memory:"):
        in_memory: SessionMaker = _get_managed_session_maker(sessionmaker(bind=engine), "sqlite")
        return in_memory
    if engine.dialect.name == "sqlite" and not event.contains(engine, "connect", _set_up):
        event.listen(engine, "connect", _set_up)
        engine.dispose()  # connections that were opened before
    made: SessionMaker = _get_managed_session_maker(sessionmaker(bind=engine), "settings are made")
    return made


def _set_up(connection: Any, _: object) -> None:
    for setting in _SETTINGS:
        connection.execute(f"PRAGMA {setting}")


class Transactions:
    """Stands where MLflow's session maker stood: inside a transaction it gives that one's session.

    Parameters
    ----------
    make : callable
        MLflow's maker of sessions, which commits where its block ends and rolls back where it raises.
    line : Line
        How many write at once, and how many more may wait.
    """

    def __init__(self, make: SessionMaker, line: Line | None = None) -> None:
        self._make = make
        self._line = line or Line()
        self._open = threading.local()  # the store's methods are synchronous: a transaction never changes threads

    @contextmanager
    def __call__(self, read_only: bool = True) -> Iterator[Session]:
        """The session of the transaction that is open in this thread, or one of its own."""
        session: Session | None = getattr(self._open, "session", None)
        if session is None:
            with in_words(), self._make(read_only=read_only) as own:
                yield own
        else:
            yield session
            session.flush()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that waits for whoever writes, before it reads anything.

        Inside another one it is that one.

        Raises
        ------
        MlflowException
            TEMPORARILY_UNAVAILABLE where it waited too long, or too many wait; then nothing was done.
        """
        if getattr(self._open, "session", None) is not None:
            yield self._open.session
            return
        with in_words(), self._line.turn(), self._make(read_only=False) as session:
            lock(session)
            self._open.session = session
            try:
                yield session
            finally:
                self._open.session = None

"""Who writes waits for whoever writes already: for how long, how many at once, and what they are told.

A writer that hangs must cost nobody but writers anything. So few of a process wait inside the database, where
each holds one of its connections, some more wait before it, where each holds a thread, and the rest are sent
away at once: connections and threads are left over for those who read.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE, ErrorCode
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionError

__all__ = ["LONGEST_S", "Brief", "Line", "bound_waits", "in_words", "is_locked", "told", "waiting"]

_logger = logging.getLogger(__name__)

LONGEST_S = 20
"""Seconds that somebody waits for the database's lock; MLflow's own for SQLite."""

_IDLE_S = 60  # seconds that a transaction may do nothing before PostgreSQL ends it, and with it the lock it holds
_LOCKED = (
    f"nothing was done: somebody else has held the registry's database for {LONGEST_S} s, or too many wait. "
    "Try again in a minute; if it stays so, an operator looks who holds it (PostgreSQL: pg_stat_activity, "
    "pg_blocking_pids; SQLite: another program that has the file open)"
)


def bound_waits(engine: Engine) -> None:
    """Let no connection of this engine to PostgreSQL wait for ever, nor keep a transaction open and do nothing.

    SQLite waits 20 s by what MLflow sets itself.
    """
    if engine.dialect.name != "postgresql" or event.contains(engine, "connect", _set_bounds):
        return
    event.listen(engine, "connect", _set_bounds)
    engine.dispose()  # connections that were made before


def _set_bounds(connection: Any, _: Any) -> None:
    before = connection.autocommit
    connection.autocommit = True  # or the first rollback would take it back
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{LONGEST_S}s'")
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{_IDLE_S}s'")
    connection.autocommit = before


@dataclass(frozen=True)
class Line:
    """Lets so many write at once and so many more wait; whoever comes then is sent away.

    Examples
    --------
    >>> line = Line(at_once=1, in_line=0)
    >>> with line.turn():
    ...     try:
    ...         line.turn().__enter__()
    ...     except MlflowException as error:
    ...         print(error.error_code)
    TEMPORARILY_UNAVAILABLE
    """

    at_once: int = 6
    in_line: int = 18
    longest_s: float = LONGEST_S
    _room: threading.Semaphore = field(init=False)
    _now: threading.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_room", threading.Semaphore(self.at_once + self.in_line))
        object.__setattr__(self, "_now", threading.Semaphore(self.at_once))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and have it until the block ends.

        Raises
        ------
        MlflowException
            TEMPORARILY_UNAVAILABLE where it does not come.
        """
        if not self._room.acquire(blocking=False):
            raise _sent_away()
        try:
            if not self._now.acquire(timeout=self.longest_s):
                raise _sent_away()
            try:
                yield
            finally:
                self._now.release()
        finally:
            self._room.release()


def _sent_away() -> MlflowException:
    _logger.warning("the registry's database is held by somebody: a write was turned away, and not tried")
    return MlflowException(_LOCKED, TEMPORARILY_UNAVAILABLE)


@contextmanager
def waiting(engine: Engine, seconds: int | None = None) -> Iterator[Connection]:
    """A transaction that waits no longer than that for the database's lock, `LONGEST_S` by default."""
    on_sqlite, seconds = engine.dialect.name == "sqlite", LONGEST_S if seconds is None else seconds
    with engine.connect() as connection:
        if on_sqlite:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {seconds * 1000}")
            connection.commit()
        try:
            with connection.begin():
                if not on_sqlite:
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{seconds}s'")
                yield connection
        finally:
            if on_sqlite and seconds != LONGEST_S:  # the connection goes to others after this
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {LONGEST_S * 1000}")


@dataclass(frozen=True)
class Brief:
    """Writes that strangers cause: they wait for a second, and for a while after that was in vain not at all.

    Otherwise whoever guesses passwords while the database is held would fill the server's threads.
    """

    longest_s: int = 1
    pause_s: float = 5.0
    _line: Line = field(init=False)
    _until: list[float] = field(default_factory=lambda: [0.0], init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_line", Line(at_once=2, in_line=8, longest_s=self.longest_s))

    @contextmanager
    def writing(self, engine: Engine) -> Iterator[Connection]:
        """A transaction of its own.

        Raises
        ------
        MlflowException
            Where there is none, or it could not be finished.
        """
        if time.monotonic() < self._until[0]:
            raise MlflowException(_LOCKED, TEMPORARILY_UNAVAILABLE)
        try:
            with in_words(), self._line.turn(), waiting(engine, self.longest_s) as connection:
                yield connection
        except MlflowException as error:
            if error.__cause__ is not None and is_locked(error.__cause__):
                self._until[0] = time.monotonic() + self.pause_s
            raise


@contextmanager
def in_words() -> Iterator[None]:
    """Turn what a database says into a sentence: MLflow would answer with its SQL, and what stood in it."""
    try:
        yield
    except MlflowException as error:
        if isinstance(error.__cause__, SQLAlchemyError):
            raise told(error.__cause__, error.error_code) from error.__cause__
        raise
    except SQLAlchemyError as error:
        raise told(error) from error


def told(error: SQLAlchemyError, code: str = "TEMPORARILY_UNAVAILABLE") -> MlflowException:
    """The answer to somebody whose write or read the database did not do."""
    if is_locked(error):
        return MlflowException(_LOCKED, TEMPORARILY_UNAVAILABLE)
    said = str(error.orig if isinstance(error, DBAPIError) else error).strip().partition("\n")[0]
    return MlflowException(
        f"nothing was done: the registry's database says: {said}. Try again; if it stays so, tell whoever runs it",
        ErrorCode.Value(code),
    )


def is_locked(error: BaseException) -> bool:
    """Whether somebody waited too long, for a lock or for a connection."""
    if isinstance(error, NoConnectionError):
        return True
    raw = getattr(error, "orig", None)
    if isinstance(raw, sqlite3.OperationalError):
        return getattr(raw, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return (getattr(raw, "sqlstate", None) or getattr(raw, "pgcode", None)) == "55P03"  # lock_not_available

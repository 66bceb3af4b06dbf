"""A short transaction of its own, beside what requests do: it waits for whoever writes, and holds nobody up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.engine import Engine

__all__ = ["beside"]


@contextmanager
def beside(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that is committed where the block ends, and rolled back where it raises."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA busy_timeout = 20000")  # as MLflow waits
            connection.commit()
        with connection.begin():
            yield connection

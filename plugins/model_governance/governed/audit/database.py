"""The registry's database as the audit's commands open it: to read, and only where a log is."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from model_governance.errors import EvidenceError
from model_governance.governed.tables import AUDIT, AUDIT_HEAD

__all__ = ["database_url", "open_database"]


def database_url(uri: str) -> URL:
    """What SQLAlchemy opens for a registry's URI: without ``governed+``, and with the driver that is installed.

    Raises
    ------
    EvidenceError
        Where it is no URI of SQLite or PostgreSQL.

    Examples
    --------
    >>> database_url("governed+sqlite:////srv/mlflow.db").render_as_string()
    'sqlite:////srv/mlflow.db'
    """
    try:
        url = make_url(uri.removeprefix("governed+"))
    except ArgumentError:
        url = URL.create("none")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise EvidenceError(
            f"expected the registry's database, such as sqlite:////srv/mlflow.db or postgresql://host/name, got "
            f"one of {url.get_backend_name() if url.drivername != 'none' else 'another form'}"
        )
    if url.drivername == "postgresql" and find_spec("psycopg2") is None:
        return url.set(drivername="postgresql+psycopg")
    return url


def open_database(uri: str) -> Engine:
    """Open the database of a governed registry; the caller disposes of the engine.

    Raises
    ------
    EvidenceError
        Where it cannot be reached, or no governed server ever wrote to it.
    """
    url = database_url(uri)
    if url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).is_file()):
        raise EvidenceError(f"there is no database {url.database or 'in memory'}")  # and none is made
    engine = create_engine(url)
    try:
        tables = inspect(engine).get_table_names()
    except SQLAlchemyError as error:
        engine.dispose()
        told = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise EvidenceError(f"{url.render_as_string()} cannot be read: {told}") from error
    if not {AUDIT.name, AUDIT_HEAD.name} <= set(tables):
        engine.dispose()
        raise EvidenceError(
            f"{url.render_as_string()} holds no audit log: no governed server (mlflow server --app-name governed) "
            "ever ran on it"
        )
    return engine

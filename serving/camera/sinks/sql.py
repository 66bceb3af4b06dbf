"""Records as rows of a table, in any database that SQLAlchemy knows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from serving.camera.records import CountRecord
from serving.camera.sinks.base import Sink
from serving.errors import SinkError

__all__ = ["SqlSink"]

# So that a server that hangs is told as down, rather than waited for without end. Seconds.
_CONNECT, _ANSWER = 10, 30


class SqlSink(Sink):
    """A table with one row a record, each there once: its id is the primary key.

    The table is made where it is absent, and given the columns that an earlier version did not write; a batch is
    one transaction. Nothing is connected to before there is something to deliver.

    Parameters
    ----------
    url : str
        As SQLAlchemy takes it: sqlite:////var/lib/counts.db, postgresql+psycopg://user:password@host/database. Its
        password stands in no message.
    table : str

    Raises
    ------
    SinkError
        Where the URL makes no sense, or its driver is not installed.
    """

    linger = 0.2

    def __init__(self, name: str, url: str, *, table: str = "camera_events") -> None:
        super().__init__(name)
        try:
            self._url = sa.make_url(url)
        except (ArgumentError, ValueError):
            raise SinkError(
                f"sink {name}: url: expected one such as postgresql+psycopg://user@host/database, got another text"
            ) from None
        self._where = self._url.render_as_string(hide_password=True)
        try:
            self._engine = sa.create_engine(
                self._url,
                hide_parameters=True,  # errors say nothing of what was counted
                pool_size=1,
                max_overflow=0,
                pool_pre_ping=True,
                connect_args=_limits(self._url),
            )
        except (ImportError, NoSuchModuleError) as error:
            raise SinkError(
                f"sink {name}: url: the driver of {self._url.drivername} is not installed ({error}); install it, "
                'for PostgreSQL: pip install "psycopg[binary]"'
            ) from error
        except (SQLAlchemyError, TypeError, ValueError) as error:
            raise SinkError(f"sink {name}: url: {self._where}: {self._redacted(error)}") from None
        self._table = _table(table)
        self._ready = False

    def deliver(self, records: Sequence[CountRecord], batch: str) -> None:
        """Insert what is not there yet; see `Sink.deliver`."""
        rows = [_row(record) for record in records]
        looked, self._ready = self._ready, False  # after a failure it is looked at anew: it may be another table
        try:
            with self._engine.begin() as connection:
                if connection.dialect.name == "postgresql":  # of this transaction alone, as a pooler wants it
                    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {_ANSWER * 1000}")
                if not looked:
                    self._prepare(connection)
                self._insert(connection, rows)
        except DBAPIError as error:
            raise SinkError(f"{self._where}: {self._redacted(error.orig or error)}") from None
        except SQLAlchemyError as error:
            raise SinkError(f"{self._where}: {self._redacted(error)}") from None
        except (OverflowError, TypeError, ValueError) as error:  # as some drivers say it
            raise SinkError(f"{self._where}: takes no such value: {error}", permanent=True) from error
        self._ready = True

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def _prepare(self, connection: sa.Connection) -> None:
        """Make the table, or hold the one that is there against what is to be written into it."""
        self._table.create(connection, checkfirst=True)
        found = {column["name"] for column in sa.inspect(connection).get_columns(self._table.name)}
        missing = [column for column in self._table.columns if column.name not in found]
        if not all(column.name in _LATER for column in missing):
            raise SinkError(
                f"{self._where}: the table {self._table.name} is another's: it lacks "
                f"{', '.join(column.name for column in missing)}; name one that does not exist, and it is made",
                permanent=True,
            )
        for column in missing:
            self._add(connection, column)

    def _add(self, connection: sa.Connection, column: sa.Column[Any]) -> None:
        """Give a table of an earlier version a column that it lacks; the rows there hold nothing in it."""
        dialect = connection.dialect
        add = "ADD" if dialect.name in ("mssql", "oracle") else "ADD COLUMN"
        table = dialect.identifier_preparer.format_table(self._table)
        change = f"ALTER TABLE {table} {add} {CreateColumn(column).compile(dialect=dialect)}"
        try:
            connection.exec_driver_sql(change)
        except DBAPIError as error:
            raise SinkError(
                f"{self._where}: the table {self._table.name} is of an earlier version, and cannot be given "
                f"what it lacks ({self._redacted(error.orig or error)}); let its owner run: {change}"
            ) from None

    def _insert(self, connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
        statement: sa.Executable
        if connection.dialect.name == "postgresql":
            statement = postgresql.insert(self._table).on_conflict_do_nothing(index_elements=["id"])
        elif connection.dialect.name == "sqlite":
            statement = sqlite.insert(self._table).on_conflict_do_nothing(index_elements=["id"])
        elif connection.dialect.name in ("mysql", "mariadb"):
            # IGNORE would hide more than doubles: what does not fit would be cut or lost without a word
            table = self._table
            statement = mysql.insert(table).on_duplicate_key_update(id=table.c.id)
        else:  # one worker writes its records, so that nobody inserts one between the look and the insert
            ids = [row["id"] for row in rows]
            there = set(connection.scalars(sa.select(self._table.c.id).where(self._table.c.id.in_(ids))))
            rows = [row for row in rows if row["id"] not in there]
            statement = sa.insert(self._table)
        if rows:
            connection.execute(statement, rows)

    def _redacted(self, error: BaseException) -> str:
        """An error's first line; no driver should tell the password, and none may."""
        text = str(error).strip().split("\n")[0]
        password = self._url.password
        return text.replace(str(password), "***") if password else text


# What earlier versions did not write; it may be missing from a row.
_LATER = frozenset({"lasted", "number"})

# MySQL rounds to whole seconds where nobody says otherwise, and midnight to the next day
_TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def _table(name: str) -> sa.Table:
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("camera", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("direction", sa.String(8), nullable=False),
        sa.Column("time", _TIME, nullable=False, index=True),  # UTC
        sa.Column("class_name", sa.Text, nullable=False),
        sa.Column("track", sa.BigInteger, nullable=False),
        sa.Column("confidence", sa.Double, nullable=False),
        sa.Column("x", sa.Double, nullable=False),
        sa.Column("y", sa.Double, nullable=False),
        sa.Column("frame", sa.BigInteger, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("lasted", sa.Double, nullable=True),  # seconds
        sa.Column("number", sa.BigInteger, nullable=True),
    )


def _row(record: CountRecord) -> dict[str, Any]:
    told = {**dict.fromkeys(_LATER), **record.to_dict()}
    told["x"], told["y"] = told.pop("position")
    row = {key: _text(value) if isinstance(value, str) else value for key, value in told.items()}
    return {**row, "time": record.time.astimezone(UTC)}


def _text(value: str) -> str:
    """Without what no database takes, and a name from a file may hold: NUL, half a surrogate pair."""
    return value.replace("\x00", "").encode("utf-8", "replace").decode()


def _limits(url: sa.URL) -> dict[str, Any]:
    """How long a driver may wait, where it is one whose words for it are known."""
    match url.get_backend_name(), url.get_driver_name():
        case "postgresql", driver:
            limits: dict[str, Any] = {} if "connect_timeout" in url.query else {"connect_timeout": _CONNECT}
            if driver == "psycopg":
                limits["prepare_threshold"] = None  # a pooler gives each transaction another server
            # a connection whose other end is gone without a word
            return {**limits, "tcp_user_timeout": _ANSWER * 1000} if driver in ("psycopg", "psycopg2") else {}
        case "mysql" | "mariadb", "pymysql" | "mysqldb":
            return {"connect_timeout": _CONNECT, "read_timeout": _ANSWER, "write_timeout": _ANSWER}
        case "sqlite", _:
            return {} if "timeout" in url.query else {"timeout": _CONNECT}
        case _:
            return {}

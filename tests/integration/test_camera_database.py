"""Records in real databases: each there once, whatever fails in between, and no password in any message."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from serving.camera.sinks.sql import SqlSink
from serving.errors import SinkError
from tests.camera_records import NOON, record
from tests.postgres import PASSWORD, Postgres, postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'counts.db'}"
    return str(request.getfixturevalue("server").url)


@pytest.fixture
def table() -> str:
    return f"events_{uuid.uuid4().hex[:8]}"


def rows(url: str, table: str, what: str = "*") -> list[tuple[object, ...]]:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(sa.text(f"SELECT {what} FROM {table} ORDER BY frame")).fetchall()  # noqa: S608
    engine.dispose()
    return [tuple(row) for row in found]


def test_a_row_is_the_record(url: str, table: str) -> None:
    sink = SqlSink("db", url, table=table)
    berlin = NOON.astimezone(ZoneInfo("Europe/Berlin"))
    sink.deliver([record(1, name="Süd'); DROP TABLE x; --", time=berlin), record(2, class_name="car\x00")], "b")
    sink.close()
    first, second = rows(url, table)
    told = dict(zip(("id", "camera", "kind", "name", "direction", "time", "class_name"), first[:7], strict=True))
    told |= dict(zip(("track", "confidence", "x", "y", "frame", "model_version"), first[7:13], strict=True))
    assert first[13:] == (None, None)
    time = told.pop("time")
    if isinstance(time, str):  # SQLite has no type for times
        time = datetime.fromisoformat(time + "+00:00")
    assert time == NOON
    assert told == {
        "id": record(1).id, "camera": "gate", "kind": "crossing", "name": "Süd'); DROP TABLE x; --",
        "direction": "in", "class_name": "person", "track": 1, "confidence": 0.75, "x": 10.25, "y": 20.5,
        "frame": 25, "model_version": "3",
    }  # fmt: skip
    assert second[6] == "car"


def test_how_long_and_how_many_stand_in_the_row(url: str, table: str) -> None:
    sink = SqlSink("db", url, table=table)
    left, crowded = record(1, kind="left", lasted=12.5), record(2, kind="crowded", number=7)
    sink.deliver([left, crowded, record(3)], "b")
    sink.close()
    assert rows(url, table, "lasted, number") == [(12.5, None), (None, 7), (None, None)]


def earlier_table(url: str, table: str) -> None:
    """As the version before `lasted` and `number` made it, with a row."""
    sink = SqlSink("db", url, table=table)
    sink.deliver([record(1)], "a")
    sink.close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for column in ("lasted", "number"):
            connection.execute(sa.text(f"ALTER TABLE {table} DROP COLUMN {column}"))
    engine.dispose()


def test_a_table_of_an_earlier_version_is_given_what_it_lacks(url: str, table: str) -> None:
    earlier_table(url, table)
    for _ in range(2):
        sink = SqlSink("db", url, table=table)
        sink.deliver([record(1), record(2, kind="left", lasted=3.25)], "b")
        sink.close()
    assert rows(url, table, "track, lasted, number") == [(1, None, None), (2, 3.25, None)]


def test_whose_table_may_not_be_changed_is_told_how(server: Postgres, table: str) -> None:
    earlier_table(server.url, table)
    engine = sa.create_engine(server.url)
    with engine.begin() as connection:
        role = f"writer_{table}"
        for change in (
            f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'",
            f"GRANT SELECT, INSERT ON {table} TO {role}",
        ):
            connection.execute(sa.text(change))
    url = sa.make_url(server.url).set(username=role).render_as_string(hide_password=False)
    sink = SqlSink("db", url, table=table)
    expected = f"let its owner run: ALTER TABLE {table} ADD COLUMN lasted DOUBLE PRECISION"
    with pytest.raises(SinkError, match=expected) as told:
        sink.deliver([record(2)], "b")
    assert PASSWORD not in str(told.value)
    with engine.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE {table} ADD lasted FLOAT, ADD number BIGINT"))
    sink.deliver([record(2)], "b")
    assert rows(server.url, table, "track") == [(1,), (2,)]
    sink.close()
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP OWNED BY {role}"))
        connection.execute(sa.text(f"DROP ROLE {role}"))
    engine.dispose()


def test_a_batch_that_comes_again_is_there_once(url: str, table: str) -> None:
    for _ in range(2):  # also for the next process
        sink = SqlSink("db", url, table=table)
        for batch in ([1, 2, 3], [1, 2, 3], [3, 4]):
            sink.deliver([record(n) for n in batch], "b")
        sink.close()
    assert rows(url, table, "track") == [(1,), (2,), (3,), (4,)]


def test_a_batch_is_there_whole_or_not_at_all(url: str, table: str) -> None:
    sink = SqlSink("db", url, table=table)
    sink.deliver([record(1)], "a")
    with pytest.raises(SinkError):
        sink.deliver([record(2), record(3, track=2**70)], "b")  # no database has a number of that size
    assert rows(url, table, "track") == [(1,)]
    sink.deliver([record(2)], "c")
    assert rows(url, table, "track") == [(1,), (2,)]
    sink.close()


def test_the_generic_way_leaves_out_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For databases whose word for it is not known; here SQLite under another name."""
    url = f"sqlite:///{tmp_path / 'counts.db'}"
    sink = SqlSink("db", url)
    sink.deliver([record(1)], "a")
    monkeypatch.setattr(sink._engine.dialect, "name", "unheard-of")
    sink.deliver([record(1), record(2)], "b")
    sink.deliver([record(1), record(2)], "b")
    assert rows(url, "camera_events", "track") == [(1,), (2,)]
    sink.close()


def test_a_table_of_somebody_else_is_refused(url: str, table: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE {table} (id VARCHAR(36), frame INTEGER)"))
    engine.dispose()
    sink = SqlSink("db", url, table=table)
    with pytest.raises(SinkError, match=rf"the table {table} is another's: it lacks camera, kind") as told:
        sink.deliver([record(1)], "a")
    assert told.value.permanent
    assert rows(url, table) == []
    sink.close()


def test_a_table_that_is_dropped_is_made_anew(url: str, table: str) -> None:
    sink = SqlSink("db", url, table=table)
    sink.deliver([record(1)], "a")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP TABLE {table}"))
    engine.dispose()
    with pytest.raises(SinkError, match=table):
        sink.deliver([record(2)], "b")
    sink.deliver([record(2)], "b")  # as it comes again
    assert rows(url, table, "track") == [(2,)]
    sink.close()


def test_half_a_character_holds_up_nothing(url: str, table: str) -> None:
    sink = SqlSink("db", url, table=table)
    sink.deliver([record(1, name="gate \ud83d")], "a")
    assert rows(url, table, "name") == [("gate ?",)]
    sink.close()


def test_a_locked_file_is_told_and_survived(tmp_path: Path) -> None:
    path = tmp_path / "counts.db"
    sink = SqlSink("db", f"sqlite:///{path}?timeout=0.1")
    sink.deliver([record(1)], "a")
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SinkError, match="database is locked"):
            sink.deliver([record(2)], "b")
        other.execute("ROLLBACK")
    other.close()
    sink.deliver([record(2)], "b")
    assert rows(f"sqlite:///{path}", "camera_events", "track") == [(1,), (2,)]
    sink.close()


def test_a_server_that_is_stopped_and_started(server: Postgres, table: str) -> None:
    sink = SqlSink("db", server.url, table=table)
    sink.deliver([record(1)], "a")
    server.stop()
    try:
        for _ in range(2):
            with pytest.raises(SinkError) as told:
                sink.deliver([record(2)], "b")
            assert PASSWORD not in str(told.value)
            assert f"counter:***@127.0.0.1:{server.port}" in str(told.value)
    finally:
        server.start()
    sink.deliver([record(2)], "b")
    assert rows(server.url, table, "track") == [(1,), (2,)]
    sink.close()


def test_a_long_name_stops_nothing(url: str, table: str) -> None:
    sink = SqlSink("db", url, table=table)
    sink.deliver([record(1, name="n" * 3_000)], "a")
    assert rows(url, table, "length(name)") == [(3_000,)]
    sink.close()


def test_somebody_who_holds_the_table_is_not_waited_for_without_end(
    server: Postgres, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.camera.sinks.sql._ANSWER", 1)
    sink = SqlSink("db", server.url, table=table)
    sink.deliver([record(1)], "a")
    engine = sa.create_engine(server.url)
    with engine.begin() as other:
        other.execute(sa.text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(SinkError, match="canceling statement due to statement timeout"):
            sink.deliver([record(2)], "b")
    engine.dispose()
    sink.deliver([record(2)], "b")
    assert rows(server.url, table, "track") == [(1,), (2,)]
    sink.close()


def test_a_wrong_password_is_told_without_it(server: Postgres) -> None:
    sink = SqlSink("db", server.url.replace(PASSWORD, "wr0ng-one"))
    with pytest.raises(SinkError, match="password authentication failed") as told:
        sink.deliver([record(1)], "a")
    assert "wr0ng-one" not in str(told.value)
    sink.close()


def test_times_sort_as_times(server: Postgres, table: str) -> None:
    sink = SqlSink("db", server.url, table=table)
    sink.deliver([record(n, time=NOON + timedelta(hours=n)) for n in range(30)], "a")
    where = f"{table} WHERE time >= '2026-03-02T00:00:00+01:00'"
    assert rows(server.url, where, "min(frame) OVER (), count(*) OVER (), frame")[0][:2] == (25 * 11, 19)
    sink.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("no url with s3cret", "expected one such as postgresql"),
        ("oracle+unheard://u:s3cret@h/d", "the driver of oracle\\+unheard is not installed"),
        ("postgresql+psycopg://u:s3cret@h:port/d", "expected one such as postgresql"),
    ],
)
def test_a_url_that_makes_no_sense(url: str, reason: str) -> None:
    with pytest.raises(SinkError, match=rf"sink db: url: .*{reason}") as told:
        SqlSink("db", url)
    assert "s3cret" not in str(told.value)

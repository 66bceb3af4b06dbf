"""Somebody holds the registry's database and does not let go: writers are told, and nobody else notices."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine, event, text

from model_governance.governed import waiting_line, witness
from model_governance.governed.actor import Actor
from model_governance.governed.audit import records, verify
from model_governance.governed.throttle import FailedLogins
from model_governance.governed.waiting_line import Brief, Line
from model_governance.governed.witness import Witness
from tests.governed_registry import Registry, governed_registry
from tests.postgres import Postgres, postgres

SENTENCE = "nothing was done: somebody else has held the registry's database"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One whose writers wait a second at most."""
    folder = tmp_path_factory.mktemp(f"waits-{request.param}")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    database = uri if request.param == "sqlite" else str(request.getfixturevalue("server").url)
    with pytest.MonkeyPatch.context() as patch, governed_registry(folder, database) as ready:
        patch.setattr(waiting_line, "LONGEST_S", 1)
        if request.param == "sqlite":
            event.listen(ready.store.engine, "connect", wait_less)
        ready.store.engine.dispose()
        yield ready
    mlflow.set_tracking_uri(before)


def wait_less(dbapi: Any, _: object) -> None:
    dbapi.execute("PRAGMA busy_timeout = 1000")


@contextmanager
def held(registry: Registry) -> Iterator[None]:
    """Another program has begun to write, and hangs."""
    other = create_engine(registry.store.engine.url)
    with other.connect() as connection:
        if other.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.execute(text("UPDATE governance_audit_head SET seq = seq"))
        yield
        connection.rollback()
    other.dispose()


def create(registry: Registry, user: str, name: str) -> str:
    """What somebody is told who makes a model; "" where it was made."""
    with registry.by(user):
        try:
            registry.store.create_registered_model(name)
        except MlflowException as error:
            return f"{error.get_http_status_code()} {error.message}"
    return ""


def test_a_writer_is_told_and_nothing_is_done(registry: Registry) -> None:
    name = registry.model(1)
    with held(registry):
        said = create(registry, "ann", f"{name}-more")
        assert said.startswith(f"503 {SENTENCE}")
        assert "UPDATE" not in said
        assert registry.store.get_registered_model(name).name == name, "reading goes on"
    assert create(registry, "ann", f"{name}-more") == ""
    assert verify(registry.store.engine).whole


def test_readers_get_their_connection_however_many_writers_wait(registry: Registry) -> None:
    if registry.store.engine.dialect.name == "sqlite":
        pytest.skip("SQLite: the same lines; there the pool is as large")
    # none of them gives up before the reader was served
    registry.store.transactions._line = Line(longest_s=300)
    with registry.store.engine.connect() as connection:
        assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
        assert connection.scalar(text("SHOW lock_timeout")) == "1s"
    said: list[str] = []

    def patiently(dbapi: Any, _: object) -> None:
        with dbapi.cursor() as cursor:
            cursor.execute("SET lock_timeout = '300s'")
        dbapi.commit()

    event.listen(registry.store.engine, "connect", patiently)
    registry.store.engine.dispose()
    threads = [
        threading.Thread(target=lambda number=number: said.append(create(registry, "ann", f"many-{number}")))
        for number in range(40)
    ]
    with held(registry):
        for thread in threads:
            thread.start()
        until(lambda: len(said) == 16)  # 6 wait in the database, 18 before it
        assert registry.store.search_registered_models(max_results=1) is not None
        assert len(said) == 16
        assert all(each.startswith("503") for each in said)
    for thread in threads:
        thread.join()
    event.remove(registry.store.engine, "connect", patiently)
    assert said.count("") == 24
    assert verify(registry.store.engine).whole


def test_a_transaction_of_ours_that_does_nothing_is_ended(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    if registry.store.engine.dialect.name == "sqlite":
        pytest.skip("SQLite knows no such thing")
    monkeypatch.setattr(waiting_line, "LONGEST_S", 60)
    monkeypatch.setattr(waiting_line, "_IDLE_S", 1)
    registry.store.engine.dispose()
    hung = registry.store.engine.connect()
    hung.execute(text("UPDATE governance_audit_head SET seq = seq"))
    assert create(registry, "ann", "after-all") == ""
    hung.invalidate()
    hung.close()
    registry.store.engine.dispose()


def test_strangers_do_not_wait_and_what_is_lost_of_them_is_told(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    looking = Witness(registry.store.engine, Brief(pause_s=600))
    guesses = FailedLogins(registry.store.engine)
    object.__setattr__(guesses, "_brief", Brief(pause_s=600))
    on_sqlite = registry.store.engine.dialect.name == "sqlite"
    before = verify(registry.store.engine).entries
    tried: list[str] = []

    def note(_c: Any, _u: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("UPDATE governance_audit_head", "INSERT INTO governance_failed")):
            tried.append(statement[:30])

    event.listen(registry.store.engine, "before_cursor_execute", note)
    with held(registry), caplog.at_level(logging.WARNING, logger=witness.__name__):
        for number in range(5):
            stranger = Actor("", f"10.0.0.{number}", "login")
            looking.refused(stranger, "log in", "failed log-in", detail={"tried": "x"})
            if on_sqlite:  # on PostgreSQL only who writes to the audit waits
                guesses.failed("x", stranger.address)
        with pytest.raises(MlflowException, match=SENTENCE):
            looking.done(Actor("root"), "update user password")
    event.remove(registry.store.engine, "before_cursor_execute", note)
    # the first stranger, the first guess, and the admin
    assert len(tried) == (3 if on_sqlite else 2)
    assert not on_sqlite or guesses._seen, "counted here all the same"
    assert len([each for each in caplog.messages if each.startswith("not in the audit log: 'log in'")]) == 5
    assert verify(registry.store.engine).entries == before
    # what is refused later is written again, and as patiently as before
    Witness(registry.store.engine).refused(Actor("", "10.0.0.9", "login"), "log in", "failed log-in")
    assert records(registry.store.engine, limit=1)[0].address == "10.0.0.9"


def test_a_refusal_stays_one_where_the_audit_cannot_be_told(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The database is taken by somebody between the decision and the entry."""
    writing, hung = registry.store.transactions.writing, []

    @contextmanager
    def then_taken() -> Iterator[Any]:
        try:
            with writing() as session:
                yield session
        finally:
            if not hung:
                hung.append(held(registry))
                hung[0].__enter__()

    monkeypatch.setattr(registry.store.transactions, "writing", then_taken)
    said = create(registry, "nobody", "mine")
    hung[0].__exit__(None, None, None)
    assert said.startswith("403 registering takes the role")
    assert any(
        "not in the audit log: nobody was refused 'create model' on mine" in each for each in caplog.messages
    )


def until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.05)

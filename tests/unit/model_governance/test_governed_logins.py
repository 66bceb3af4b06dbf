"""Whoever guesses passwords waits, and no log shows one."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from flask import Flask, g
from mlflow.server import auth
from sqlalchemy import Engine, create_engine
from werkzeug.datastructures import Authorization

from model_governance.governed.asgi_gate import guard_fastapi
from model_governance.governed.audit import records
from model_governance.governed.flask_gate import FlaskGate
from model_governance.governed.redaction import redact, redact_logs
from model_governance.governed.tables import create_tables
from model_governance.governed.throttle import FailedLogins, login_name
from model_governance.governed.witness import Witness


def test_who_fails_too_often_waits_until_the_window_has_passed() -> None:
    now = [1000.0]
    logins = FailedLogins(per_account=3, window=60, clock=lambda: now[0])
    for _ in range(3):
        assert logins.wait("rita", "10.0.0.7") == 0
        logins.failed("rita", "10.0.0.7")
    assert 59 <= logins.wait("rita", "10.0.0.7") <= 61
    assert logins.wait("rita", "10.0.0.8") == 0, "anybody could lock her out"
    assert logins.wait("rob", "10.0.0.7") == 0
    now[0] += 61
    assert logins.wait("rita", "10.0.0.7") == 0


def test_who_remembers_at_last_starts_anew() -> None:
    logins = FailedLogins(per_account=3)
    for _ in range(2):
        logins.failed("rita", "10.0.0.7")
    logins.succeeded("rita", "10.0.0.7")
    for _ in range(2):
        logins.failed("rita", "10.0.0.7")
    assert logins.wait("rita", "10.0.0.7") == 0


def test_an_address_that_tries_many_names_waits_with_each() -> None:
    logins = FailedLogins(per_account=3, per_address=20)
    for number in range(20):
        logins.failed(f"name-{number}", "10.0.0.7")
    assert logins.wait("rita", "10.0.0.7") > 0
    assert logins.wait("rita", "10.0.0.8") == 0


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    create_tables(made)
    yield made
    made.dispose()


def test_workers_count_together_and_a_new_one_knows_what_was_before(engine: Engine) -> None:
    one, other = FailedLogins(engine, per_account=4), FailedLogins(engine, per_account=4)
    for _ in range(2):
        one.failed("rita", "10.0.0.7")
        other.failed("rita", "10.0.0.7")
    assert other.wait("rita", "10.0.0.7") > 0, "two of the four failures were seen by the other worker alone"
    started = FailedLogins(engine, per_account=4)
    assert started.wait("rita", "10.0.0.7") == 0, "nothing is read for whoever did not fail here"
    started.failed("rita", "10.0.0.7")
    assert started.wait("rita", "10.0.0.7") > 0, "one guess at a worker that was started anew, and no more"
    assert started.wait("rita", "10.0.0.8") == 0


def test_what_is_remembered_at_one_worker_is_forgotten_at_all(engine: Engine) -> None:
    one, other = FailedLogins(engine, per_account=3), FailedLogins(engine, per_account=3)
    for _ in range(2):
        one.failed("rita", "10.0.0.7")
    one.succeeded("rita", "10.0.0.7")
    other.failed("rita", "10.0.0.7")
    assert other.wait("rita", "10.0.0.7") == 0


def test_a_name_that_many_addresses_try_is_not_closed_to_whoever_knows_the_password() -> None:
    logins = FailedLogins(per_account=5, per_name=30, when_attacked=2)
    for number in range(30):
        logins.failed("rita", f"10.0.{number}.1")
    assert logins.wait("rita", "192.0.2.1") == 0, "the right person is not there yet, and not locked out"
    logins.failed("rita", "192.0.2.1")
    assert logins.wait("rita", "192.0.2.1") == 0, "may mistype once"
    logins.failed("rita", "192.0.2.1")
    assert logins.wait("rita", "192.0.2.1") > 0, "a guesser has two tries at each address instead of five"
    assert logins.wait("rob", "192.0.2.1") == 0


def test_one_customer_of_ipv6_is_one_address() -> None:
    logins = FailedLogins(per_account=3)
    for number in range(3):
        logins.failed("rita", f"2001:db8:0:7::{number + 1:x}")
    assert logins.wait("Rita", "2001:db8:0:7:ffff::1") > 0
    assert logins.wait("rita", "2001:db8:0:8::1") == 0


def test_failures_that_count_no_more_are_not_kept(engine: Engine) -> None:
    now = [1e9]
    logins = FailedLogins(engine, window=60, most=30, clock=lambda: now[0])

    def kept() -> int:
        with engine.connect() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM governance_failed_logins").scalar_one())

    for number in range(40):
        now[0] += 0.01
        logins.failed(f"name-{number}", f"10.0.0.{number}")
    assert kept() == 120, "three of each, and nothing was removed in the first minute"
    now[0] += 59
    logins.failed("rita", "10.0.1.1")
    assert kept() == 123
    now[0] += 2
    logins.failed("rita", "10.0.1.1")
    assert kept() == 3, "what is older than the window went"
    for number in range(40):
        now[0] += 0.01
        logins.failed(f"name-{number}", f"10.0.0.{number}")
    now[0] += 60.5
    logins.failed("rita", "10.0.1.1")
    assert kept() <= 30 + 3


def test_a_database_that_is_away_lets_each_worker_count_for_itself(tmp_path: Path) -> None:
    away = create_engine(f"sqlite:///{tmp_path / 'nowhere' / 'registry.db'}")
    logins = FailedLogins(away, per_account=2)
    for _ in range(2):
        logins.failed("rita", "10.0.0.7")
    assert logins.wait("rita", "10.0.0.7") > 0
    logins.succeeded("rita", "10.0.0.7")
    assert logins.wait("rita", "10.0.0.7") == 0


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Basic cml0YTpwYXNz", "rita"),
        ("basic cml0YTpwYXNz", "rita"),
        # as werkzeug reads it, and as MLflow's FastAPI routes do
        ("Basic  cml0YTpwYXNz", "rita"),
        ("Basic cml0YTpwYXNz \t", "rita"),
        ("Basic\tcml0YTpwYXNz", "rita"),
        ("Basic\x0bcml0YTpwYXNz", "rita"),
        ("Basic cml0!YTpwYXNz!", "rita"),
        ("Basic cml0YTpwYXNzd29y====", "rita"),
        ("Basic cm9sZjrDqQ==", "rolf"),
        ("Basic not base64", ""),
        ("Basic cml0YTpwYXN", ""),
        ("Basic r\xeeta", ""),
        ("Basic", ""),
        (" ", ""),
        ("Bearer cml0YTpwYXNz", ""),
        (f"Bearer  gov_0123456789abcdef_{43 * 'x'}", "gov_0123456789abcdef"),
        ("", None),
        (None, None),
    ],
)
def test_the_name_of_a_log_in(header: str | None, name: str | None) -> None:
    assert login_name(header) == name


@pytest.fixture
def gate(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> FlaskGate:
    """One that only lets guessers wait, before an MLflow that knows rita."""

    def known(user: str, password: str) -> SimpleNamespace | None:
        return SimpleNamespace(username=user, id=1) if (user, password) == ("rita", "right") else None

    monkeypatch.setattr(auth, "_USER_AUTH_CACHE", {})
    monkeypatch.setattr(auth, "_authenticate_cached", known)
    unused: Any = None
    logins, witness = FailedLogins(engine), Witness(engine)
    return FlaskGate(unused, unused, unused, witness, unused, logins, lambda _: False)


def at_flask(gate: FlaskGate) -> Callable[[dict[str, str]], int]:
    app = Flask("guessed at")

    def log_in() -> Any:
        known = auth.authenticate_request_basic_auth()
        if not isinstance(known, Authorization):
            return known
        g.mlflow_authenticated_user = known.username
        return None

    gate.before_login(app)
    app.before_request(log_in)
    app.add_url_rule("/runs", "_search_runs", lambda: "runs", methods=["POST"])
    gate.after_login(app)
    return lambda headers: app.test_client().post("/runs", headers=headers).status_code


def at_fastapi(gate: FlaskGate) -> Callable[[dict[str, str]], int]:
    app = FastAPI()

    async def log_in(asked: Request, call_next: Any) -> Any:
        known = auth._authenticate_fastapi_request(asked)
        return PlainTextResponse("who?", 401) if known is None else await call_next(asked)

    app.middleware("http")(log_in)
    app.add_api_route("/files", lambda: "files", name="files")
    guard_fastapi(app, gate)
    return lambda headers: TestClient(app).get("/files", headers=headers).status_code


@pytest.mark.parametrize("place", [at_flask, at_fastapi])
@pytest.mark.parametrize(
    "spelling", ["Basic {}", "Basic  {}", "basic \t{}", "Basic\t{}", "Basic {}!", "Basic {}=="]
)
def test_guesses_are_counted_however_the_log_in_is_spelled(
    gate: FlaskGate, place: Callable[[FlaskGate], Callable[[dict[str, str]], int]], spelling: str
) -> None:
    ask = place(gate)

    def guess(password: str) -> int:
        credentials = base64.b64encode(f"rita:{password}".encode()).decode()
        return ask({"Authorization": spelling.format(credentials)})

    assert [guess(f"guess-{number}") for number in range(12)] == [401] * 10 + [429] * 2
    assert guess("right") == 429
    told = [each for each in records(gate.witness.engine) if each.comment == "failed log-in"]
    assert [(each.outcome, (each.detail or {})["tried"]) for each in told] == [("refused", "rita")] * 10


@pytest.mark.parametrize("place", [at_flask, at_fastapi])
def test_guesses_count_whatever_the_header_says(
    gate: FlaskGate, place: Callable[[FlaskGate], Callable[[dict[str, str]], int]]
) -> None:
    ask = place(gate)
    assert [ask({}) for _ in range(12)] == [401] * 12, "a browser that was not asked yet"
    tokens = [{"Authorization": f"Bearer gov_{number:016x}_{43 * 'x'}"} for number in range(50)]
    assert [ask(each) for each in tokens] == [401] * 50
    assert ask({"Authorization": "Digest rita"}) == 429
    assert gate.logins.wait("rita", "127.0.0.1") or gate.logins.wait("rita", "testclient")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("GET /x?password=hunter2&user=rita", "hunter2"),
        ('{"current_password": "hunter2 and more"}', "hunter2 and more"),
        ("{'token': 'hunter2'}", "hunter2"),
        (r'{"password":"ab\"cd-hunter2"}', "hunter2"),
        (r"{'password': 'a\\\\b\'\"hunter2'}", "hunter2"),
        ('password="hunter2\\" and no more', "hunter2"),
        ('{"password": "a hunter2 that was cut o', "hunter2"),
        ("Authorization: Basic aHVudGVyMjpodW50ZXIy", "aHVudGVyMjpodW50ZXIy"),
        ("https://rita:hunter2@host/x", "hunter2"),
        ("[parameters: ('ann', 'scrypt:32768:8:1$salt$abcdef', 0)]", "abcdef"),
        ("AWS_SECRET_ACCESS_KEY=hunter2", "hunter2"),
        ("X-Amz-Signature=hunter2&x=1", "hunter2"),
    ],
)
def test_secrets_are_blotted_out(text: str, secret: str) -> None:
    assert secret not in redact(text)
    assert "[redacted]" in redact(text)


def test_other_text_stays_as_it_is() -> None:
    text = '127.0.0.1:80 - "GET /api/2.0/mlflow/model-versions/search?filter=name%3D%27m%27 HTTP/1.1" 200'
    assert redact(text) == text


def test_a_log_shows_no_secret_wherever_it_stands() -> None:
    before = logging.getLogRecordFactory()
    stream = io.StringIO()
    logger = logging.getLogger("tests.of.redaction")
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        redact_logs()
        redact_logs()
        logger.warning("password=%s, then %d", "hunter2", 7)
        logger.warning({"password": "hunter2"})
        try:
            raise ValueError("token=hunter2")
        except ValueError:
            logger.exception("failed")
    finally:
        logger.removeHandler(handler)
        logging.setLogRecordFactory(before)
    assert "hunter2" not in stream.getvalue()
    assert "then 7" in stream.getvalue()
    assert "ValueError" in stream.getvalue()

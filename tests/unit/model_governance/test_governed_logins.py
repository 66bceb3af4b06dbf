"""Whoever guesses passwords waits, and no log shows one."""

from __future__ import annotations

import io
import logging

import pytest

from model_governance.governed.redaction import redact, redact_logs
from model_governance.governed.throttle import FailedLogins, login_name


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


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Basic cml0YTpwYXNz", "rita"),
        ("basic cml0YTpwYXNz", "rita"),
        ("Basic not base64", ""),
        ("Bearer cml0YTpwYXNz", None),
        ("", None),
        (None, None),
    ],
)
def test_the_name_of_a_log_in(header: str | None, name: str | None) -> None:
    assert login_name(header) == name


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("GET /x?password=hunter2&user=rita", "hunter2"),
        ('{"current_password": "hunter2 and more"}', "hunter2 and more"),
        ("{'token': 'hunter2'}", "hunter2"),
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

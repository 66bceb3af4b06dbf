"""Broken glass alerts people also where no channel is configured: in the server's log and on every page."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from governed_office import Office, open_office
from sqlalchemy import create_engine

from model_governance.cli import main
from model_governance.governed.notify.sender import start_sender

SETTINGS = "channels: [{name: chat, webhook: {url: 'https://chat.example.org', secret_env: S}, events: [%s]}]\n"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Version 1 of `m` in Production as it should be, version 2 waiting, and eve who may break the glass."""
    with open_office(tmp_path_factory.mktemp("office")) as opened:
        for value in (1.0, 2.0):
            opened.registered(value, score=0.7)
        with opened.as_("rita"):
            opened.store.promote("m", "1", "looked at its chart")
        with opened.as_("root"):
            opened.store.grant("eve", "break_glass")
        yield opened


def banner(office: Office, who: str, path: str) -> str | None:
    """What the page says of broken glass, without its markup; None where it says nothing."""
    found = re.search(r'<p class="notice bad" role="alert">(.*?)</p>', office.at(who).get(path)[1], re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", "", found[1]).split()) if found else None


def test_broken_glass_is_on_every_page_and_in_the_log_until_it_is_mended(
    office: Office, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODEL_GOVERNANCE_NOTIFY", raising=False)
    assert banner(office, "rita", "/") is None, "what was approved is no alarm"
    with office.as_("eve"):
        office.store.break_glass("m", "2", "the street\nis <flooded>")
    (line,) = [each for each in caplog.records if each.levelno == logging.CRITICAL]
    assert line.getMessage() == (
        "GLASS BROKEN: eve moved m version 2 to Production past the rules: the street is <flooded>"
    )
    for who, path in (("rita", "/"), ("ann", "/roles"), ("aud", "/audit")):
        told = banner(office, who, path) or ""
        assert told.startswith("The glass is broken. m version 2 is in Production past the rules, by eve, ")
        assert told.endswith(": the street is &lt;flooded&gt;"), "one line of text, and no markup of theirs"
    with office.as_("otto"):
        office.store.rollback("m", "the flood is over")
    assert banner(office, "rita", "/") is None


def test_who_may_not_read_the_model_does_not_read_of_it_here(office: Office) -> None:
    with office.as_("ann"):
        office.store.create_registered_model("secret")
        source = office.store.get_model_version("m", "1").source
        office.store.create_model_version("secret", source)
    with office.as_("eve"):
        office.store.break_glass("secret", "1", "nobody knows")
    assert banner(office, "rita", "/") is None
    assert "secret version 1" in (banner(office, "ann", "/") or "")


@pytest.mark.parametrize(
    ("events", "told"),
    [
        (None, "MODEL_GOVERNANCE_NOTIFY names no settings"),
        ("broke_glass", "no channel tells of access"),
        ("broke_glass, access", None),
    ],
)
def test_the_server_says_at_its_start_what_nobody_is_told_of(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    events: str | None,
    told: str | None,
) -> None:
    monkeypatch.delenv("MODEL_GOVERNANCE_NOTIFY", raising=False)
    if events is not None:
        (tmp_path / "notify.yaml").write_text(SETTINGS % events)
        monkeypatch.setenv("MODEL_GOVERNANCE_NOTIFY", str(tmp_path / "notify.yaml"))
    engine = create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    stop = threading.Event()
    stop.set()
    thread = start_sender(engine, stop)
    assert (thread is None) == (events is None)
    said = [each.getMessage() for each in caplog.records if each.name.startswith("model_governance")]
    assert len(said) == (told is not None)
    assert told is None or told in said[0]


def test_serve_takes_the_settings_and_refuses_wrong_ones_before_it_makes_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_GOVERNANCE_NOTIFY", "")  # restored afterwards
    settings, folder = tmp_path / "notify.yaml", tmp_path / "server"
    settings.write_text(SETTINGS % "promoted")
    asked = ["serve", "--folder", str(folder), "--notify", str(settings)]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 1
    assert "none tells of broke_glass" in done.output
    assert not folder.exists()
    settings.write_text(SETTINGS % "broke_glass")
    started: list[dict[str, str]] = []
    monkeypatch.setattr("os.execve", lambda path, command, environment: started.append(environment))
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", "")
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    assert started[0]["MODEL_GOVERNANCE_NOTIFY"] == str(settings)

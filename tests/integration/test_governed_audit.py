"""A real governed server: an auditor checks its log over HTTP, and people are told while it works."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiosmtpd.controller import Controller
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, text

from model_governance.cli import main
from tests.back_ends import BACK_ENDS, places
from tests.governed_server import MlflowServer, governed_server, password

pytestmark = pytest.mark.slow


class Inbox:
    """A real SMTP server that keeps what it takes."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(message_from_bytes(envelope.content, policy=default))  # type: ignore[arg-type]
        return "250 taken"

    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]


@pytest.fixture(scope="module", params=BACK_ENDS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[MlflowServer, Inbox]]:
    """A server that tells of everything by mail."""
    folder, inbox = tmp_path_factory.mktemp(f"governed-{request.param}"), Inbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    mail = {"server": f"smtp://127.0.0.1:{port}", "sender": "mlflow@example.org", "to": ["rita@example.org"]}
    notify = folder / "notify.yaml"
    notify.write_text(yaml.safe_dump({"every_s": 0.2, "channels": [{"name": "mail", "mail": mail}]}))
    try:
        told = {"MODEL_GOVERNANCE_NOTIFY": str(notify)}
        with (
            places(request.param) as place_for,
            governed_server(folder, environment=told, place=place_for("governed", folder)) as server,
        ):
            assert server.post("ann", "registered-models/create", name="counter").ok
            assert not server.post("mallory", "registered-models/create", name="forged").ok
            yield server, inbox
    finally:
        controller.stop()


def ask(server: MlflowServer, user: str, *arguments: str) -> Result:
    environment = {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password(user)}
    return CliRunner().invoke(main, ["audit", "--registry", server.url, *arguments], env=environment)


class TestOverHttp:
    def test_an_auditor_checks_and_reads_the_log(self, served: tuple[MlflowServer, Inbox]) -> None:
        server, _ = served
        checked = ask(server, "aud", "verify")
        assert checked.exit_code == 0, checked.output
        assert "none changed, removed, reordered or inserted" in checked.stdout
        shown = ask(server, "aud", "show", "--actor", "mallory").stdout.splitlines()
        assert len(shown) == 1
        assert "mallory (127.0.0.1) create model forged" in shown[0]
        assert ": refused; " in shown[0]
        assert ask(server, "aud", "show", "--limit", "2").stdout.count("\n") == 2
        assert ask(server, "aud", "show", "--until", "2020-01-01").stdout == ""

    def test_what_the_server_tells_is_what_its_database_holds(
        self, served: tuple[MlflowServer, Inbox], tmp_path: Path
    ) -> None:
        server, _ = served
        out = tmp_path / "log.jsonl"
        assert ask(server, "aud", "export", "--out", str(out)).exit_code == 0
        beside = CliRunner().invoke(main, ["audit", "--registry", server.database, "export"])
        assert [line[:9] for line in out.read_text().splitlines()] == [
            line[:9] for line in beside.stdout.splitlines()
        ]
        assert CliRunner().invoke(main, ["audit", "verify", "--export", str(out)]).exit_code == 0

    def test_whoever_may_only_read_the_log_can_keep_its_heads(
        self, served: tuple[MlflowServer, Inbox], tmp_path: Path
    ) -> None:
        server, _ = served
        key = tmp_path / "signing.pem"
        ask(server, "aud", "key", str(key))
        kept = ask(server, "aud", "head", str(tmp_path / "heads"), "--key", str(key))
        assert kept.exit_code == 0, kept.output
        arguments = "verify", "--heads", str(tmp_path / "heads"), "--public-key", f"{key}.pub"
        checked = ask(server, "aud", *arguments)
        assert "goes through 1 kept head" in checked.stdout, checked.output

    def test_others_are_refused_with_a_sentence(self, served: tuple[MlflowServer, Inbox]) -> None:
        server, _ = served
        refused = ask(server, "ann", "verify")
        assert refused.exit_code == 1
        assert "takes the role auditor or admin" in refused.stderr
        stranger = CliRunner().invoke(
            main,
            ["audit", "--registry", server.url, "verify"],
            env={"MLFLOW_TRACKING_USERNAME": "aud", "MLFLOW_TRACKING_PASSWORD": "wrong"},
        )
        assert stranger.exit_code == 1
        assert "401: set MLFLOW_TRACKING_USERNAME" in stranger.stderr


class TestNotifications:
    def test_a_refusal_is_told_once(self, served: tuple[MlflowServer, Inbox]) -> None:
        _, inbox = served
        until = time.monotonic() + 30
        wanted = "[governance] forged: refused (mallory)"
        while wanted not in inbox.subjects() and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(1)
        assert inbox.subjects().count(wanted) == 1


def test_an_entry_changed_behind_the_servers_back_is_found_over_http(
    served: tuple[MlflowServer, Inbox],
) -> None:
    server, _ = served
    engine = create_engine(server.database)
    change = "UPDATE governance_audit SET outcome = :now WHERE actor = 'mallory'"
    with engine.begin() as connection:
        connection.execute(text(change), {"now": "done"})
    checked = ask(server, "aud", "verify")
    with engine.begin() as connection:
        connection.execute(text(change), {"now": "refused"})
    engine.dispose()
    assert checked.exit_code == 1
    assert "was changed: its hash is not that of what it says" in checked.stdout

"""Notifications: written with the audit entry, delivered to a real SMTP server and a real HTTP receiver."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiosmtpd.controller import Controller
from click.testing import CliRunner, Result
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.orm import Session

from model_governance.cli import main
from model_governance.errors import PolicyError
from model_governance.governed.actor import Actor
from model_governance.governed.audit import Entry, append, verify
from model_governance.governed.notify import outbox
from model_governance.governed.notify.outbox import NEVER
from model_governance.governed.notify.sender import Sender, start_sender
from model_governance.governed.notify.settings import load_notify
from model_governance.governed.tables import OUTBOX, create_tables
from tests.postgres import postgres

RITA = Actor("rita", "10.0.0.7", "review")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Inbox:
    """A real SMTP server that keeps what it takes and for whom, and refuses whom it is told to."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.refuse: dict[str, str] = {}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 known"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(message_from_bytes(envelope.content, policy=default))  # type: ignore[arg-type]
        self.recipients.append(envelope.rcpt_tos)
        return "250 taken"

    def stop(self) -> None:
        if self._controller.loop.is_running():
            self._controller.stop()


class Hook:
    """A real HTTP server that keeps what was posted, and answers as it is told."""

    def __init__(self) -> None:
        self.status, self.hang, self.headers = 204, 0.0, dict[str, str]()
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.asked = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.posts.append(({key.lower(): value for key, value in self.headers.items()}, body))
                hook.asked.set()
                time.sleep(hook.hang)
                self.send_response(hook.status)
                for key, value in hook.headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks/t0ken"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.posts]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.stop()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.stop()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    create_tables(made)
    yield made
    made.dispose()


@pytest.fixture
def configure(tmp_path: Path, inbox: Inbox, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write settings with a mail channel and a webhook, and make them this process' own."""
    numbers = iter(range(100))

    def write(mail: dict[str, Any] | None = None, chat: dict[str, Any] | None = None, **further: Any) -> Path:
        path = tmp_path / f"notify-{next(numbers)}.yaml"
        channels = [
            {
                "name": "reviewers",
                "mail": {
                    "server": f"smtp://127.0.0.1:{inbox.port}",
                    "sender": "mlflow@example.org",
                    "to": ["rita@example.org", "rob@example.org"],
                },
                **(mail or {}),
            },
            {"name": "chat", "webhook": {"url_env": "CHAT_URL", "secret_env": "CHAT_SECRET"}, **(chat or {})},
        ]
        path.write_text(yaml.safe_dump({"link": "https://mlflow.example.org/", "channels": channels, **further}))
        monkeypatch.setenv("MODEL_GOVERNANCE_NOTIFY", str(path))
        monkeypatch.setenv("CHAT_URL", hook.url)
        monkeypatch.setenv("CHAT_SECRET", SECRET)
        return path

    return write


def write(engine: Engine, *entries: Entry) -> None:
    with Session(engine) as session, session.begin():
        for entry in entries:
            append(session, entry)


def send(engine: Engine, settings: Path) -> tuple[int, tuple[str, ...]]:
    sent = Sender(engine, load_notify(settings)).send_due()
    return sent.delivered, sent.troubles


def due_now(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE governance_outbox SET due = 0 WHERE delivered IS NULL"))


def waiting(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(select(OUTBOX.c.channel).where(OUTBOX.c.delivered.is_(None))))


PROMOTION = Entry(
    RITA, "promote", model="counter", version="3", before="Staging", after="Production",
    comment="Better at night.\r\nBcc: eve@example.org", evidence_digest="ab" * 32,
)  # fmt: skip


class TestWhatIsTold:
    def test_a_promotion_comes_by_mail_and_by_webhook(
        self, engine: Engine, inbox: Inbox, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        write(engine, PROMOTION)
        assert send(engine, settings) == (2, ())
        (mail,) = inbox.mails
        assert mail["Subject"] == "[governance] counter version 3: promoted to Production (rita)"
        assert inbox.recipients == [["rita@example.org", "rob@example.org"]]
        assert mail["Bcc"] is None
        body = mail.get_content()
        assert "From, to: Staging -> Production" in body
        assert "Why: Better at night. Bcc: eve@example.org" in body
        assert "Who: rita, 10.0.0.7" in body
        assert "https://mlflow.example.org/governance/version?name=counter&version=3" in body
        (told,) = hook.told()
        assert (told["event"], told["model"], told["version"], told["actor"]) == (
            "promoted",
            "counter",
            "3",
            "rita",
        )
        assert told["comment"] == PROMOTION.comment
        assert mail["Message-ID"] == f"<{told['id']}@governance.invalid>"
        assert send(engine, settings) == (0, ())

    def test_a_webhook_is_signed_as_standard_webhooks_lays_down(
        self, engine: Engine, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        """Checked as a receiver does: with its copy of the secret, over what arrived."""
        settings = configure()
        write(engine, PROMOTION)
        send(engine, settings)
        ((headers, body),) = hook.posts
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert abs(time.time() - int(headers["webhook-timestamp"])) < 300

    @pytest.mark.parametrize(
        ("action", "outcome", "event"),
        [
            ("challenge", "done", "submitted"),
            ("approve", "done", "approved"),
            ("reject", "done", "rejected"),
            ("changes", "done", "changes_requested"),
            ("promote", "done", "promoted"),
            ("promote", "refused", "refused"),
            ("rollback", "done", "rolled_back"),
            ("break glass", "done", "broke_glass"),
            ("grant", "done", "role_granted"),
            ("tag", "refused", "refused"),
            ("tag", "done", None),
            ("describe", "done", None),
        ],
    )
    def test_each_event_has_its_name(
        self,
        engine: Engine,
        hook: Hook,
        configure: Callable[..., Path],
        action: str,
        outcome: Any,
        event: str | None,
    ) -> None:
        settings = configure()
        write(engine, Entry(RITA, action, outcome, model="m", version="1"))
        send(engine, settings)
        assert [told["event"] for told in hook.told()] == ([] if event is None else [event])

    def test_a_channel_hears_of_its_events_and_models_alone(
        self, engine: Engine, inbox: Inbox, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        settings = configure(mail={"events": ["submitted"], "models": ["gate-*"]})
        write(
            engine,
            Entry(RITA, "challenge", model="gate-3", version="1"),
            Entry(RITA, "challenge", model="hall", version="1"),
            Entry(RITA, "promote", model="gate-3", version="1"),
        )
        send(engine, settings)
        assert [mail["Subject"] for mail in inbox.mails] == [
            "[governance] gate-3 version 1: waits for review (rita)"
        ]
        assert len(hook.posts) == 3

    def test_whoever_hammers_at_the_gate_fills_no_mailbox(
        self, engine: Engine, inbox: Inbox, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        eve = Actor("eve")
        write(engine, *(Entry(eve, "promote", "refused", model=f"m{n}", version="1") for n in range(30)))
        write(engine, Entry(Actor("mallory"), "promote", "refused", model="m", version="1"))
        write(engine, Entry(eve, "alias", "refused", model="m", version="1"))
        assert send(engine, settings)[0] == 6
        assert len(inbox.mails) == 3
        assert verify(engine).entries == 32

    def test_a_browser_that_has_not_logged_in_yet_is_no_news_but_a_way_round_the_server_is(
        self, engine: Engine, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        write(
            engine,
            Entry(Actor("", "10.0.0.9", "_search_models"), "search models", "refused", comment="not logged in"),
            Entry(Actor("", "10.0.0.9", "_set_alias"), "alias", "refused", model="m"),
            Entry(Actor("ann", "10.0.0.9", "api_audit"), "audit", "refused"),
            Entry(Actor(""), "promote", "refused", model="m", version="1"),
        )
        send(engine, settings)
        assert [told["seq"] for told in hook.told()] == [4]

    def test_a_change_that_is_rolled_back_is_told_to_nobody(
        self, engine: Engine, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        with Session(engine) as session:
            append(session, PROMOTION)
            session.rollback()
        assert send(engine, settings) == (0, ())

    def test_nobody_is_told_where_nothing_is_configured(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("MODEL_GOVERNANCE_NOTIFY", raising=False)
        write(engine, PROMOTION)
        assert waiting(engine) == []
        assert start_sender(engine) is None


class TestTroubles:
    def test_what_cannot_be_delivered_waits_and_the_other_channel_goes_on(
        self, engine: Engine, inbox: Inbox, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        hook.status = 503
        write(engine, PROMOTION)
        delivered, troubles = send(engine, settings)
        assert delivered == 1
        assert "expected an answer of 2xx, got 503" in troubles[0]
        assert "t0ken" not in troubles[0]
        assert waiting(engine) == ["chat"]
        assert send(engine, settings) == (0, ())  # not at once again
        hook.status = 200
        due_now(engine)
        assert send(engine, settings) == (1, ())
        assert len({headers["webhook-id"] for headers, _ in hook.posts}) == 1
        assert len(inbox.mails) == 1

    def test_a_server_that_is_away_is_asked_once_a_turn(
        self, engine: Engine, inbox: Inbox, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        inbox.stop()
        write(engine, *(Entry(RITA, "approve", model="m", version=str(n)) for n in range(5)))
        delivered, troubles = send(engine, settings)
        assert (delivered, len(troubles)) == (5, 1)
        assert "did not take the mail" in troubles[0]

    def test_a_redirect_is_not_followed(self, engine: Engine, hook: Hook, configure: Callable[..., Path]) -> None:
        settings = configure()
        hook.status, hook.headers = 307, {"Location": hook.url.replace("t0ken", "elsewhere")}
        write(engine, PROMOTION)
        assert "got 307" in send(engine, settings)[1][0]
        assert len(hook.posts) == 1

    def test_who_got_a_mail_does_not_get_it_again(
        self, engine: Engine, inbox: Inbox, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        inbox.refuse = {"rob@example.org": "451 try later"}
        write(engine, PROMOTION)
        assert "rob@example.org: 451" in send(engine, settings)[1][0]
        inbox.refuse = {}
        due_now(engine)
        assert send(engine, settings) == (1, ())
        assert inbox.recipients == [["rita@example.org"], ["rob@example.org"]]
        assert inbox.mails[0]["Message-ID"] == inbox.mails[1]["Message-ID"]

    def test_an_address_that_does_not_exist_keeps_nobody_else_waiting(
        self, engine: Engine, inbox: Inbox, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        inbox.refuse = {"rob@example.org": "550 no such user"}
        write(engine, PROMOTION)
        assert "rob@example.org: 550 no such user" in send(engine, settings)[1][0]
        due_now(engine)
        assert send(engine, settings) == (0, ())
        assert inbox.recipients == [["rita@example.org"]]

    def test_what_nobody_took_for_days_is_set_aside_and_kept(
        self, engine: Engine, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        settings = configure(give_up_days=0.00001)
        hook.status = 500
        write(engine, PROMOTION)
        time.sleep(1)
        send(engine, settings)
        status = ask(engine, settings, "status").stdout.splitlines()
        assert status[0].startswith("chat: 0 waiting, 1 set aside, 0 delivered; http://127.0.0.1:")
        assert status[1] == "reviewers: 0 waiting, 0 set aside, 1 delivered"
        hook.status = 200
        assert ask(engine, settings, "retry").stdout == "1 due now\n"
        assert ask(engine, settings, "send").stdout == "1 delivered, 0 not\n"

    def test_a_message_that_cannot_be_read_keeps_none_waiting(
        self, engine: Engine, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        write(engine, PROMOTION, Entry(RITA, "approve", model="m", version="1"))
        with engine.begin() as connection:
            connection.execute(text("UPDATE governance_outbox SET body = '{}' WHERE seq = 1"))
        assert send(engine, settings) == (2, ())
        with engine.connect() as connection:
            assert connection.scalars(select(OUTBOX.c.due).where(OUTBOX.c.seq == 1)).all() == [NEVER, NEVER]

    def test_a_channel_that_was_taken_out_of_the_settings_is_told(
        self, engine: Engine, configure: Callable[..., Path]
    ) -> None:
        configure(chat={"name": "old"})
        write(engine, PROMOTION)
        assert "no channel of this name" in send(engine, configure())[1][0]


def ask(engine: Engine, settings: Path, *arguments: str) -> Result:
    database = str(engine.url)
    return CliRunner().invoke(main, ["notify", "--database", database, "--settings", str(settings), *arguments])


class TestSenders:
    def test_two_at_once_send_everything_once(
        self, engine: Engine, hook: Hook, inbox: Inbox, configure: Callable[..., Path]
    ) -> None:
        settings = load_notify(configure())
        write(engine, *(Entry(RITA, "approve", model="m", version=str(n)) for n in range(20)))
        hook.hang = 0.01
        with ThreadPoolExecutor(3) as pool:
            sent = [pool.submit(Sender(engine, settings).send_due) for _ in range(3)]
        assert sum(each.result().delivered for each in sent) == 40
        assert sorted(told["seq"] for told in hook.told()) == list(range(1, 21))
        assert len(inbox.mails) == 20

    @pytest.mark.slow
    def test_the_outbox_is_the_same_on_postgresql(self, hook: Hook, configure: Callable[..., Path]) -> None:
        settings = load_notify(configure())
        with postgres() as server:
            engine = create_engine(server.url)
            create_tables(engine)
            write(engine, *(Entry(RITA, "approve", model="m", version=str(n)) for n in range(20)))
            hook.status = 503
            with ThreadPoolExecutor(3) as pool:
                sent = [pool.submit(Sender(engine, settings).send_due) for _ in range(3)]
            assert sum(each.result().delivered for each in sent) == 20
            with engine.begin() as connection:
                (chat, mail) = outbox.queues(connection)
                assert (chat.waiting, chat.delivered, mail.waiting, mail.delivered) == (20, 0, 0, 20)
                assert "got 503" in chat.trouble
                assert outbox.retry(connection, 0) == 20
            hook.status = 200
            assert Sender(engine, settings).send_due().delivered == 20
            with engine.begin() as connection:
                assert outbox.forget(connection, NEVER) == 40
            assert sorted({told["seq"] for told in hook.told()}) == list(range(1, 21))
            engine.dispose()

    def test_the_server_sends_beside_its_work(
        self, engine: Engine, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        configure(every_s=0.1)
        stop = threading.Event()
        thread = start_sender(engine, stop)
        assert thread is not None
        write(engine, PROMOTION)
        assert hook.asked.wait(20)
        stop.set()
        thread.join(20)
        assert not thread.is_alive()

    @pytest.mark.slow
    def test_a_sender_killed_between_sending_and_noting_sends_again_under_the_same_id(
        self, engine: Engine, hook: Hook, inbox: Inbox, configure: Callable[..., Path]
    ) -> None:
        settings = configure(lease_s=1)
        write(engine, PROMOTION)
        hook.hang = 60
        command = [
            sys.executable, "-c", "from model_governance.cli import main; main()",
            "notify", "--database", str(engine.url), "--settings", str(settings), "send",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        assert hook.asked.wait(60)
        os.kill(process.pid, signal.SIGKILL)  # it has arrived, and nobody noted so
        process.wait()
        assert "chat" in waiting(engine)
        time.sleep(1.1)
        hook.hang = 0
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert waiting(engine) == []
        first, second = hook.told()
        assert first == second
        assert len(inbox.mails) == 1

    def test_what_was_delivered_long_ago_is_removed(self, engine: Engine, configure: Callable[..., Path]) -> None:
        settings = configure(keep_days=0.00001)
        write(engine, PROMOTION)
        send(engine, settings)
        time.sleep(1)
        send(engine, settings)
        with engine.connect() as connection:
            assert connection.execute(select(OUTBOX)).all() == []


class TestSettings:
    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"colour": "red"}, "colour: Extra inputs are not permitted"),
            ({"channels": []}, "channels"),
            ({"mail": {"events": ["submitted"]}, "chat": {"events": ["approved"]}}, "none tells of broke_glass"),
            ({"chat": {"name": "reviewers"}}, "two have the same name"),
            ({"mail": {"webhook": {"url": "https://a", "secret_env": "A"}}}, "mail or webhook, one of the two"),
            ({"chat": {"webhook": {"url": "https://a/?token=s3cret", "secret_env": "A"}}}, "goes into url_env"),
            ({"link": "mlflow"}, "link: expected http:// or https://"),
            ({"mail": {"events": ["promotion"]}}, "events"),
        ],
    )
    def test_what_makes_no_sense_is_told(
        self, configure: Callable[..., Path], change: dict[str, Any], told: str
    ) -> None:
        with pytest.raises(PolicyError, match=told.replace("*", ".")):
            load_notify(configure(**change))

    @pytest.mark.parametrize(
        ("server", "told"),
        [
            ("smtp://ann:s3cret@mail", "it holds a password"),
            ("smtp://ann@mail", "go together"),
            ("mail.example.org", "expected smtp://"),
        ],
    )
    def test_a_mail_server_that_makes_no_sense_is_told_without_its_password(
        self, configure: Callable[..., Path], server: str, told: str
    ) -> None:
        mail = {"mail": {"server": server, "sender": "a@example.org", "to": ["b@example.org"]}}
        with pytest.raises(PolicyError, match=told) as error:
            load_notify(configure(mail=mail))
        assert "s3cret" not in str(error.value)

    def test_settings_that_cannot_be_read_stop_the_server_and_the_change(
        self, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MODEL_GOVERNANCE_NOTIFY", str(tmp_path / "nothing.yaml"))
        with pytest.raises(PolicyError, match=r"nothing\.yaml cannot be read"):
            start_sender(engine)
        with pytest.raises(PolicyError), Session(engine) as session, session.begin():
            append(session, PROMOTION)
        assert verify(engine).entries == 0

    def test_a_secret_that_is_missing_is_named(
        self, engine: Engine, configure: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = configure()
        monkeypatch.delenv("CHAT_SECRET")
        write(engine, PROMOTION)
        assert "CHAT_SECRET is not set" in send(engine, settings)[1][0]

    def test_each_channel_can_be_tried(
        self, engine: Engine, inbox: Inbox, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        done = ask(engine, settings, "test")
        assert done.stdout == "reviewers: delivered\nchat: delivered\n"
        assert len(inbox.mails) == len(hook.posts) == 1
        hook.status = 500
        done = ask(engine, settings, "test")
        assert done.exit_code == 1
        assert "chat: http://127.0.0.1:" in done.stderr

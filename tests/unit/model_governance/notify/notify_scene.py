"""A real SMTP server and a real HTTP receiver for notifications, and what is written and asked."""

from __future__ import annotations

import json
import socket
import threading
import time
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from click.testing import CliRunner, Result
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from model_governance.cli import main
from model_governance.governed.actor import Actor
from model_governance.governed.audit import Entry, append
from model_governance.governed.notify.sender import Sender
from model_governance.governed.notify.settings import load_notify
from model_governance.governed.tables import OUTBOX

RITA = Actor("rita", "10.0.0.7", "review")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Inbox:
    """A real SMTP server that keeps what it takes and for whom, and refuses whom it is told to."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.refuse: dict[str, str] = {}
        self.answer = "250 taken"
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
        if self.answer.startswith("2"):
            self.mails.append(message_from_bytes(envelope.content, policy=default))  # type: ignore[arg-type]
            self.recipients.append(envelope.rcpt_tos)
        return self.answer

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


def ask(engine: Engine, settings: Path, *arguments: str) -> Result:
    database = str(engine.url)
    return CliRunner().invoke(main, ["notify", "--database", database, "--settings", str(settings), *arguments])

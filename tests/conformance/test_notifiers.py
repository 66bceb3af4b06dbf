"""What every notifier must do; add a new one to `notifiers` and it is tested."""

from __future__ import annotations

import mailbox
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from pipelines.drift.mail import MailboxFolder, MailError, Notifier, SmtpServer, Spooled


class Inbox:
    """Handler of a real SMTP server: keeps what it takes and for whom, or refuses."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.refuse = ""
        self.refuse_for: dict[str, str] = {}

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address in self.refuse_for:
            return self.refuse_for[address]
        envelope.rcpt_tos.append(address)
        return "250 known"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refuse:
            return self.refuse
        self.mails.append(message_from_bytes(envelope.content, policy=default))  # type: ignore[arg-type]
        self.recipients.append(envelope.rcpt_tos)
        return "250 taken"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server() -> Iterator[tuple[Inbox, Controller]]:
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield inbox, controller
    controller.stop()


def mail(subject: str = "drift on gate – naïve") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "drift@localhost"
    message["To"] = "Ann <ann@example.org>, bob@example.org"
    message["Message-ID"] = f"<{abs(hash(subject))}@drift.invalid>"
    message.set_content("Summary\n" + "ä" * 500 + "\n.\n.hidden\n")
    message.add_alternative("<p>Summary</p>", subtype="html")
    message.add_attachment(bytes(range(256)) * 1000, "application", "zip", filename="report.zip")
    return message


@dataclass
class Subject:
    """A notifier, and how to see what arrived."""

    notifier: Notifier
    arrived: Callable[[], list[EmailMessage]]


@pytest.fixture(params=["smtp", "folder", "spooled"])
def subject(request: pytest.FixtureRequest, tmp_path: Path, server: tuple[Inbox, Controller]) -> Subject:
    inbox, controller = server
    folder = MailboxFolder(tmp_path / "below" / "mailbox")
    smtp = SmtpServer(f"smtp://127.0.0.1:{controller.port}")
    notifiers: dict[str, Subject] = {
        "smtp": Subject(smtp, lambda: inbox.mails),
        "folder": Subject(folder, lambda: [found for _, found in folder.mails()]),
        "spooled": Subject(Spooled(smtp, folder, MailboxFolder(tmp_path / "refused")), lambda: inbox.mails),
    }
    return notifiers[request.param]


def test_a_mail_arrives_as_it_was_written(subject: Subject) -> None:
    sent = mail()
    delivery = subject.notifier.deliver(sent)
    (got,) = subject.arrived()
    assert delivery.problem == ""
    assert delivery.where
    assert got["Subject"] == sent["Subject"]
    assert got["To"] == sent["To"]
    for kind in ("plain", "html"):
        mine, theirs = sent.get_body((kind,)), got.get_body((kind,))
        assert mine is not None
        assert theirs is not None
        assert theirs.get_content().splitlines() == mine.get_content().splitlines()
    (attached,) = list(got.iter_attachments())
    assert attached.get_content() == bytes(range(256)) * 1000


def test_every_mail_arrives_once_and_in_order(subject: Subject) -> None:
    for number in range(12):
        subject.notifier.deliver(mail(f"number {number}"))
    assert [str(got["Subject"]) for got in subject.arrived()] == [f"number {number}" for number in range(12)]


def test_a_mail_to_nobody_is_refused(subject: Subject) -> None:
    message = mail()
    del message["To"]
    with pytest.raises(ValueError, match="no recipient"):
        subject.notifier.deliver(message)
    assert subject.arrived() == []


def test_a_folder_is_one_that_mail_programs_open(tmp_path: Path) -> None:
    MailboxFolder(tmp_path / "box").deliver(mail())
    (key,) = mailbox.Maildir(tmp_path / "box", create=False).keys()
    assert mailbox.Maildir(tmp_path / "box", create=False)[key]["From"] == "drift@localhost"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MailError, match=r"mailbox folder .* cannot be written"):
        MailboxFolder(tmp_path / "file" / "box").deliver(mail())


def test_a_server_that_is_down_is_named_within_its_patience() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        start = time.monotonic()
        with pytest.raises(MailError, match=f"127.0.0.1:{port} did not take the mail"):
            SmtpServer(f"smtp://127.0.0.1:{port}", timeout=0.5).deliver(mail())
        assert time.monotonic() - start < 5
    with pytest.raises(MailError, match="refused"):
        SmtpServer(f"smtp://127.0.0.1:{free_port()}").deliver(mail())


def test_a_refusal_is_told_with_the_server_s_words(server: tuple[Inbox, Controller]) -> None:
    inbox, controller = server
    inbox.refuse = "552 message too large"
    with pytest.raises(MailError, match=r"552.*message too large"):
        SmtpServer(f"smtp://127.0.0.1:{controller.port}").deliver(mail())


def test_a_password_never_goes_over_an_open_line(server: tuple[Inbox, Controller]) -> None:
    _, controller = server
    with pytest.raises(MailError, match="STARTTLS"):
        SmtpServer(f"smtp://ann@127.0.0.1:{controller.port}", "secret").deliver(mail())


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mail.example.org", "expected smtp://"),
        ("http://mail.example.org", "expected smtp://"),
        ("smtp://ann:secret@mail.example.org", "give it in DRIFT_SMTP_PASSWORD"),
        ("smtp://ann@mail.example.org", "wants a password for ann"),
    ],
)
def test_urls_of_another_form_are_refused_without_telling_a_secret(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        SmtpServer(url)
    assert "secret" not in str(caught.value)


def test_what_could_not_be_sent_goes_out_with_the_next_one(
    tmp_path: Path, server: tuple[Inbox, Controller]
) -> None:
    inbox, controller = server
    spool, refused = MailboxFolder(tmp_path / "spool"), MailboxFolder(tmp_path / "refused")
    down = Spooled(SmtpServer(f"smtp://127.0.0.1:{free_port()}"), spool, refused)
    delivery = down.deliver(mail("first"))
    assert "did not take the mail" in delivery.problem
    assert Path(delivery.where).is_file()
    up = Spooled(SmtpServer(f"smtp://127.0.0.1:{controller.port}"), spool, refused)
    assert up.deliver(mail("second")).problem == ""
    assert [str(got["Subject"]) for got in inbox.mails] == ["second", "first"]
    assert spool.mails() == []


def test_mails_of_one_second_are_in_order(tmp_path: Path) -> None:
    """Microseconds in a Maildir key have no leading zeros: as text, M99 comes after M100000."""
    for number, stamp in enumerate(("M99P7Q1", "M1000P7Q2", "M1000P7Q10", "M100000P7Q11")):
        folder = MailboxFolder(tmp_path / "box")
        delivered = Path(folder.deliver(mail(f"number {number}")).where)
        delivered.rename(delivered.with_name(f"1700000000.{stamp}.host"))
    got = [str(found["Subject"]) for _, found in MailboxFolder(tmp_path / "box").mails()]
    assert got == ["number 0", "number 1", "number 2", "number 3"]


@pytest.fixture
def spooled(tmp_path: Path, server: tuple[Inbox, Controller]) -> Spooled:
    smtp = SmtpServer(f"smtp://127.0.0.1:{server[1].port}")
    return Spooled(smtp, MailboxFolder(tmp_path / "spool"), MailboxFolder(tmp_path / "refused"))


def test_a_recipient_unknown_for_good_keeps_the_mail_from_nobody_and_is_asked_once(
    tmp_path: Path, spooled: Spooled, server: tuple[Inbox, Controller]
) -> None:
    inbox, _ = server
    inbox.refuse_for = {"bob@example.org": "550 no such user"}
    problem = spooled.deliver(mail("first")).problem
    assert "bob@example.org: 550 no such user" in problem
    assert "is not sent again" in problem
    inbox.refuse_for = {}
    assert spooled.deliver(mail("second")).problem == ""
    assert inbox.recipients == [["ann@example.org"], ["ann@example.org", "bob@example.org"]]
    ((_, kept),) = MailboxFolder(tmp_path / "refused").mails()
    assert (kept["Subject"], kept["To"]) == ("first", "bob@example.org")


def test_a_recipient_refused_for_now_gets_the_mail_later_and_the_other_one_not_again(
    tmp_path: Path, spooled: Spooled, server: tuple[Inbox, Controller]
) -> None:
    inbox, _ = server
    inbox.refuse_for = {"bob@example.org": "450 try again later"}
    assert "waits in" in spooled.deliver(mail("first")).problem
    assert "waits in" in spooled.deliver(mail("second")).problem
    inbox.refuse_for = {}
    assert spooled.deliver(mail("third")).problem == ""
    sent = [(str(got["Subject"]), to) for got, to in zip(inbox.mails, inbox.recipients, strict=True)]
    ann, bob = ["ann@example.org"], ["bob@example.org"]
    assert sent == [("first", ann), ("second", ann), ("third", ann + bob), ("first", bob), ("second", bob)]
    assert MailboxFolder(tmp_path / "spool").mails() == []


def test_a_mail_refused_for_good_does_not_stand_in_the_way_of_others(
    tmp_path: Path, spooled: Spooled, server: tuple[Inbox, Controller]
) -> None:
    inbox, _ = server
    MailboxFolder(tmp_path / "spool").deliver(mail("waiting"))
    inbox.refuse = "552 message too large"
    assert "552 message too large" in spooled.deliver(mail("large")).problem
    assert {str(kept["Subject"]) for _, kept in MailboxFolder(tmp_path / "refused").mails()} == {
        "large",
        "waiting",
    }
    assert MailboxFolder(tmp_path / "spool").mails() == []

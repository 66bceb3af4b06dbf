"""How a mail gets to people: an SMTP server, or a folder of mails where none is configured or it is down."""

from __future__ import annotations

import mailbox
import smtplib
import ssl
from abc import ABC, abstractmethod
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["Delivery", "MailError", "MailboxFolder", "Notifier", "SmtpServer", "Spooled"]


class MailError(OSError):
    """A mail that could not be delivered; says what server or folder, and why."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a mail went.

    Attributes
    ----------
    where : str
        The server, or the file in the folder.
    problem : str
        Empty, or why the mail lies in the spool instead of having been sent.
    """

    where: str
    problem: str = ""


class Notifier(ABC):
    """Takes a mail to people. Every implementation passes the conformance suite of notifiers."""

    @abstractmethod
    def deliver(self, mail: EmailMessage) -> Delivery:
        """Deliver, or raise `MailError`; a mail without recipients is a `ValueError`."""


def _recipients(mail: EmailMessage) -> str:
    to = str(mail["To"] or "").strip()
    if not to:
        raise ValueError("the mail has no recipient; set mail_to")
    return to


class SmtpServer(Notifier):
    """A mail server.

    Parameters
    ----------
    url : str
        ``smtp://[user@]host[:port]`` (STARTTLS where the server offers it; demanded as soon as there is a user) or
        ``smtps://[user@]host[:port]`` (TLS from the start).
    password : str, optional
        Kept apart from the URL, so that the URL can be logged.
    timeout : float
        Seconds that one answer may take.

    Raises
    ------
    ValueError
        For a URL of another form, or with the password in it.
    """

    def __init__(self, url: str, password: str | None = None, timeout: float = 10.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError(
                f"expected smtp://host[:port] or smtps://host[:port], got {parts.scheme}://{parts.hostname}"
            )
        if parts.password:
            raise ValueError("the mail server's URL holds a password; give it in DRIFT_SMTP_PASSWORD instead")
        self._tls = parts.scheme == "smtps"
        self._host = parts.hostname
        self._port = parts.port or (465 if self._tls else 25)
        self._user = unquote(parts.username) if parts.username else None
        self._password = password
        self._timeout = timeout
        if self._user and not password:
            raise ValueError(
                f"the mail server {self._host} wants a password for {self._user}; set DRIFT_SMTP_PASSWORD"
            )

    def deliver(self, mail: EmailMessage) -> Delivery:
        _recipients(mail)
        where = f"{self._host}:{self._port}"
        try:
            with self._connected() as server:
                refused = server.send_message(mail)
        except (OSError, smtplib.SMTPException) as error:
            raise MailError(f"the mail server {where} did not take the mail: {error}") from error
        if refused:
            raise MailError(f"the mail server {where} refused the recipients {', '.join(refused)}")
        return Delivery(where)

    def _connected(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self._tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=self._timeout, context=context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=self._timeout)
        try:
            server.ehlo()
            # A password goes over an encrypted connection or not at all.
            if not self._tls and (self._user or server.has_extn("starttls")):
                server.starttls(context=context)
                server.ehlo()
            if self._user:
                server.login(self._user, self._password or "")
        except BaseException:
            server.close()
            raise
        return server


class MailboxFolder(Notifier):
    """A folder of mails in Maildir format, which any mail program opens."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def deliver(self, mail: EmailMessage) -> Delivery:
        _recipients(mail)
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            box = mailbox.Maildir(self._folder, create=True)
            key = box.add(mail)
        except OSError as error:
            raise MailError(f"the mailbox folder {self._folder} cannot be written: {error}") from error
        return Delivery(str(self._folder / "new" / key))

    def mails(self) -> list[tuple[str, EmailMessage]]:
        """All mails with their keys, oldest first."""
        if not self._folder.is_dir():
            return []
        box = mailbox.Maildir(self._folder, factory=None, create=False)
        found = []
        for key in sorted(box.keys()):
            with box.get_file(key) as stream:
                found.append((key, BytesParser(policy=default).parse(stream)))  # type: ignore[arg-type]
        return found

    def remove(self, key: str) -> None:
        """Take a mail out of the folder."""
        mailbox.Maildir(self._folder, create=False).discard(key)


class Spooled(Notifier):
    """A server with a folder behind it: what cannot be sent now waits there, and is sent after the next mail.

    At least once: a process killed between sending and removing sends the mail again, with the same Message-ID.
    """

    def __init__(self, server: Notifier, spool: MailboxFolder) -> None:
        self._server, self._spool = server, spool

    def deliver(self, mail: EmailMessage) -> Delivery:
        _recipients(mail)
        try:
            delivered = self._server.deliver(mail)
        except MailError as error:
            kept = self._spool.deliver(mail)
            return Delivery(kept.where, f"{error}; the mail waits in {kept.where} and goes out with the next one")
        return Delivery(delivered.where, self._send_waiting())

    def _send_waiting(self) -> str:
        for key, waiting in self._spool.mails():
            try:
                self._server.deliver(waiting)
            except MailError as error:
                return f"an earlier mail still waits: {error}"
            self._spool.remove(key)
        return ""

"""How a mail gets to people: an SMTP server, or a folder of mails where none is configured or it is down."""

from __future__ import annotations

import copy
import mailbox
import re
import smtplib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from email.utils import getaddresses
from pathlib import Path
from urllib.parse import urlsplit

from model_governance.smtp import SmtpAddress

__all__ = ["Delivery", "MailError", "MailboxFolder", "Notifier", "RefusedError", "SmtpServer", "Spooled"]


class MailError(OSError):
    """A mail that could not be delivered; says what server or folder, and why."""


class RefusedError(MailError):
    """The server did not take the mail for all: `refused` has the others' addresses, and its code for each.

    Codes from 500 on are final: the same mail would be refused again.
    """

    def __init__(self, text: str, refused: Mapping[str, int]) -> None:
        super().__init__(text)
        self.refused = dict(refused)


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


def _recipients(mail: EmailMessage) -> list[str]:
    addresses = [address for _, address in getaddresses([str(to) for to in mail.get_all("To", [])]) if address]
    if not addresses:
        raise ValueError("the mail has no recipient; set mail_to")
    return addresses


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
        self._address = SmtpAddress.of(url)
        self._password = password
        self._timeout = timeout
        if self._address.user and not password:
            raise ValueError(
                f"the mail server {self._address.host} wants a password for {self._address.user}; set "
                "DRIFT_SMTP_PASSWORD"
            )

    def deliver(self, mail: EmailMessage) -> Delivery:
        recipients = _recipients(mail)
        where = str(self._address)
        try:
            with self._address.connected(self._password or "", self._timeout) as server:
                refused = server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            # Nobody got it, and whoever stands after a 421 was not even asked.
            refused = {address: error.recipients.get(address, (421, b"not asked")) for address in recipients}
        except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
            said = error.smtp_error
            answer = (error.smtp_code, said if isinstance(said, bytes) else said.encode())
            refused = dict.fromkeys(recipients, answer)
        except (OSError, smtplib.SMTPException) as error:
            raise MailError(f"the mail server {where} did not take the mail: {error}") from error
        if refused:
            told = "; ".join(f"{address}: {code} {_text(answer)}" for address, (code, answer) in refused.items())
            codes = {address: code for address, (code, _) in refused.items()}
            raise RefusedError(f"the mail server {where} did not take the mail for {told}", codes)
        return Delivery(where)


def _text(answer: bytes | str) -> str:
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    return " ".join(text.split())[:200]


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
        for key in sorted(box.keys(), key=_age):
            with box.get_file(key) as stream:
                found.append((key, BytesParser(policy=default).parse(stream)))  # type: ignore[arg-type]
        return found

    def remove(self, key: str) -> None:
        """Take a mail out of the folder."""
        mailbox.Maildir(self._folder, create=False).discard(key)


def _age(key: str) -> tuple[int, ...]:
    """What puts Maildir keys in order: seconds, microseconds and the process' own count, as numbers."""
    return tuple(int(number) for number in re.findall(r"\d+", key)[:4])


class Spooled(Notifier):
    """A server with folders behind it: what cannot be sent now waits in one, and is sent after the next mail.

    At least once: a process killed between sending and removing sends the mail again, with the same Message-ID.
    A mail that the server takes for some recipients waits for the others alone.

    Parameters
    ----------
    server : Notifier
    spool : MailboxFolder
        What waits. Nothing else may lie there: all of it is sent.
    refused : MailboxFolder
        What the server refuses for good; it is not sent again.
    """

    def __init__(self, server: Notifier, spool: MailboxFolder, refused: MailboxFolder) -> None:
        self._server, self._spool, self._refused = server, spool, refused

    def deliver(self, mail: EmailMessage) -> Delivery:
        _recipients(mail)
        try:
            where, problem = self._server.deliver(mail).where, ""
        except RefusedError as error:
            where, problem = self._keep(mail, error)
        except MailError as error:
            kept = self._spool.deliver(mail)
            return Delivery(kept.where, f"{error}; the mail waits in {kept.where} and goes out with the next one")
        return Delivery(where, "; ".join(filter(None, (problem, *self._send_waiting()))))

    def _keep(self, mail: EmailMessage, error: RefusedError) -> tuple[str, str]:
        """Put the mail aside for those who did not get it; where it lies now, and what to tell of it."""
        where, told = "", [str(error)]
        final = [address for address, code in error.refused.items() if code >= 500]
        if final:
            where = self._refused.deliver(_to(mail, final)).where
            told.append(f"it lies in {where} and is not sent again")
        if later := [address for address in error.refused if address not in final]:
            where = self._spool.deliver(_to(mail, later)).where
            told.append(f"for {', '.join(later)} it waits in {where} and goes out with the next one")
        return where, "; ".join(told)

    def _send_waiting(self) -> Iterable[str]:
        """Send what waits, oldest first; gives what there is to tell."""
        for key, waiting in self._spool.mails():
            try:
                self._server.deliver(waiting)
            except RefusedError as error:
                if set(error.refused) == set(_recipients(waiting)) and max(error.refused.values()) < 500:
                    yield f"an earlier mail still waits: {error}"
                    continue
                yield f"an earlier mail: {self._keep(waiting, error)[1]}"
            except MailError as error:
                yield f"an earlier mail still waits: {error}"
                return
            self._spool.remove(key)


def _to(mail: EmailMessage, recipients: Iterable[str]) -> EmailMessage:
    """The same mail to these alone."""
    other = copy.deepcopy(mail)
    other.replace_header("To", ", ".join(recipients))
    return other

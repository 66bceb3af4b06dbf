"""A message as a mail."""

from __future__ import annotations

import os
import smtplib
from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from model_governance.governed.notify.channels import Carrier, CarryError, printable
from model_governance.governed.notify.events import Event
from model_governance.governed.notify.outbox import Message
from model_governance.governed.notify.settings import Mail
from model_governance.smtp import SmtpAddress

__all__ = ["MailCarrier", "compose"]

_WORDS: Mapping[Event, str] = {
    "submitted": "waits for review",
    "approved": "approved",
    "rejected": "rejected",
    "changes_requested": "changes requested",
    "reopened": "review reopened",
    "promoted": "promoted to Production",
    "rolled_back": "rolled back",
    "archived": "archived",
    "broke_glass": "GLASS BROKEN",
    "refused": "refused",
    "role_granted": "role granted",
    "role_withdrawn": "role withdrawn",
    "access": "ACCESS CHANGED",
}


class MailCarrier(Carrier):
    """Sends through an SMTP server (RFC 5321), over TLS wherever the server offers it.

    Raises
    ------
    CarryError
        Where the password's variable is not set.
    """

    def __init__(self, settings: Mail, timeout: float = 10.0) -> None:
        self._settings, self._timeout = settings, timeout
        self._address = SmtpAddress.of(settings.server)
        self._password = os.environ.get(settings.password_env or "", "")
        if self._address.user and not self._password:
            raise CarryError(f"{settings.password_env} is not set; it holds the password of {self._address.user}")

    def carry(self, message: Message, without: frozenset[str] = frozenset()) -> None:
        """Deliver to everybody who has not got it; see `Carrier`.

        Of each recipient the server says whether it takes the mail (RFC 5321, 3.3): 5xx is for good, 4xx for now.
        """
        recipients = [address for address in self._settings.to if address not in without]
        if not recipients:
            return
        where = str(self._address)
        mail = compose(message, self._settings.sender, recipients)
        refused: dict[str, tuple[int, bytes]] = {}
        of_each = True
        try:
            with self._address.connected(self._password, self._timeout) as server:
                refused = server.send_message(mail, to_addrs=recipients)
        except smtplib.SMTPRecipientsRefused as error:
            # nobody got it, and whoever stands after a 421 was not even asked
            refused = {each: error.recipients.get(each, (421, b"not asked")) for each in recipients}
        except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
            said, of_each = error.smtp_error, False  # of the mail or its sender, and of no recipient
            answered = said if isinstance(said, bytes) else said.encode()
            refused = dict.fromkeys(recipients, (error.smtp_code, answered))
        except (OSError, smtplib.SMTPException) as error:
            raise CarryError(f"{where} did not take the mail: {error}", unreachable=True) from error
        if refused:
            told = {
                address: f"{code} {printable(answer.decode(errors='replace'), 200)}"
                for address, (code, answer) in refused.items()
            }
            never = {each: told[each] for each, (code, _) in refused.items() if of_each and code >= 500}
            sentences = "; ".join(f"{address}: {words}" for address, words in told.items())
            raise CarryError(
                f"{where} did not take the mail for {sentences}"
                + (f"; it is not tried again for {', '.join(never)}" if never else ""),
                had=tuple(each for each in recipients if each not in refused),
                never=never,
                final=len(never) == len(refused),
            )


def compose(message: Message, sender: str, recipients: list[str]) -> EmailMessage:
    """The mail; the same message has the same Message-ID, by which mail programs know it again."""
    about = " ".join(filter(None, (message.model, message.version and f"version {message.version}")))
    about = about or (f"log-in {message.subject}" if message.subject else "registry")
    mail = EmailMessage()
    who = message.actor or "nobody"
    mail["Subject"] = printable(f"[governance] {about}: {_WORDS[message.event]} ({who})", 200)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Date"] = format_datetime(datetime.fromisoformat(message.at))
    mail["Message-ID"] = f"<{message.id}@governance.invalid>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation notice answers it
    if message.event in ("broke_glass", "access"):
        mail["Importance"] = "high"
    moved = f"{message.before or '-'} -> {message.after or '-'}" if message.before or message.after else ""
    rows = [
        ("What", f"{message.action} ({'refused' if message.event == 'refused' else 'done'})"),
        ("Model", message.model),
        ("Version", message.version),
        ("Log-in", message.subject),
        ("Details", message.details),
        ("From, to", moved),
        ("Who", f"{who}, {message.address}" if message.address else who),
        ("When", message.at),
        ("Why" if message.event != "refused" else "Refused because", message.comment),
        ("Evidence", message.evidence_digest),
        ("Audit entry", str(message.seq)),
    ]
    text = "\n".join(f"{name}: {printable(value, 4000)}" for name, value in rows if value)
    if message.event == "refused":
        text += "\n\nRefusals of this kind are told once in ten minutes; the audit log has all."
    mail.set_content(f"{text}\n" + (f"\n{message.link}\n" if message.link else ""))
    return mail

"""A mail server by its address, and a connection to it over which no password goes in the clear."""

from __future__ import annotations

import smtplib
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from model_governance.deadline import watch

__all__ = ["SmtpAddress"]


@dataclass(frozen=True, slots=True)
class SmtpAddress:
    """``smtp://[user@]host[:port]``, or ``smtps://...`` with TLS from the start (RFC 8314).

    Examples
    --------
    >>> SmtpAddress.of("smtps://ann%40example.org@mail.example.org")
    SmtpAddress(host='mail.example.org', port=465, tls=True, user='ann@example.org')
    """

    host: str
    port: int
    tls: bool
    user: str | None

    @classmethod
    def of(cls, url: str) -> SmtpAddress:
        """Read an address; whoever takes it from people checks its form before."""
        parts = urlsplit(url)
        tls = parts.scheme == "smtps"
        user = unquote(parts.username) if parts.username else None
        return cls(parts.hostname or "", parts.port or (465 if tls else 25), tls, user)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def connected(self, password: str, timeout: float) -> smtplib.SMTP:
        """Connect, encrypt wherever the server offers it, and log in.

        Parameters
        ----------
        timeout : float
            Seconds that one read may take; `Deadline` bounds all of it.

        Raises
        ------
        OSError, smtplib.SMTPException
            Where the server is away, cannot encrypt although there is a user, or refuses the log-in.
        """
        context = ssl.create_default_context()
        if self.tls:
            server: smtplib.SMTP = _Encrypted(self.host, self.port, timeout=timeout, context=context)
        else:
            server = _Plain(self.host, self.port, timeout=timeout)
        try:
            server.ehlo()
            # A password goes over an encrypted connection or not at all.
            if not self.tls and (self.user or server.has_extn("starttls")):
                server.starttls(context=context)
                server.ehlo()
            if self.user:
                server.login(self.user, password)
        except BaseException:
            server.close()
            raise
        return server


class _Plain(smtplib.SMTP):
    def _get_socket(self, *args: Any, **kwargs: Any) -> socket.socket:
        made: socket.socket = super()._get_socket(*args, **kwargs)  # type: ignore[misc]
        watch(made)
        return made


class _Encrypted(smtplib.SMTP_SSL, _Plain):
    """`SMTP_SSL` asks the class after it for the connection, and begins TLS on that."""

"""Tokens, which programs log in with. The server keeps a token's digest and never the token.

A token is 256 random bits, so that one SHA-256 is enough where a password needs a slow hash: nobody guesses it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from model_governance.governed.tables import TOKENS

__all__ = ["LONGEST_DAYS", "Token", "borne", "holder", "kept", "live", "make", "withdraw"]

LONGEST_DAYS = 366
"""Days after which every token ends."""

_DAY, _HOUR = 86_400_000, 3_600_000  # ms
_TOKEN = re.compile(r"gov_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token. Times are ms since the epoch, UTC.

    Attributes
    ----------
    user : str
        The log-in that it stands for.
    withdrawn_at, used_at : int or None
        When it was withdrawn, and last used (to the hour); None where never.
    """

    id: str
    user: str
    purpose: str
    made_by: str
    made_at: int
    expires_at: int
    withdrawn_at: int | None = None
    used_at: int | None = None


def borne(header: str | None) -> str | None:
    """The token in an ``Authorization: Bearer`` header; None where something else stands there.

    Examples
    --------
    >>> borne("Bearer gov_0123456789abcdef_" + 43 * "x") is not None
    True
    >>> borne("Bearer a-key-of-some-provider") is None, borne("Basic cml0YTpwYXNz") is None
    (True, True)
    """
    scheme, _, text = (header or "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" and text.strip().startswith("gov_") else None


def make(session: Session, user: str, purpose: str, by: str, days: int, now: int) -> tuple[Token, str]:
    """A token of a log-in, and its text, which is told this once."""
    made = Token(secrets.token_hex(8), user, purpose, by, now, now + days * _DAY)
    secret = secrets.token_urlsafe(32)
    session.execute(
        insert(TOKENS).values(
            id=made.id, user=user, purpose=purpose, digest=_digest(secret), made_by=by, made_at=now,
            expires_at=made.expires_at,
        )
    )  # fmt: skip
    return made, f"gov_{made.id}_{secret}"


def kept(session: Session, user: str | None = None) -> tuple[Token, ...]:
    """All tokens, or those of one log-in, the newest first; also those that ended."""
    query = select(TOKENS).order_by(TOKENS.c.made_at.desc(), TOKENS.c.id)
    if user is not None:
        query = query.where(TOKENS.c.user == user)
    return tuple(
        Token(
            row.id, row.user, row.purpose, row.made_by, row.made_at, row.expires_at, row.withdrawn_at, row.used_at
        )
        for row in session.execute(query)
    )


def live(session: Session, user: str, now: int) -> bool:
    """Whether a log-in has a token that works."""
    works = (TOKENS.c.user == user) & TOKENS.c.withdrawn_at.is_(None) & (TOKENS.c.expires_at > now)
    return session.scalar(select(TOKENS.c.id).where(works).limit(1)) is not None


def withdraw(session: Session, now: int, *, identity: str | None = None, user: str | None = None) -> list[str]:
    """Let one token, or every one of a log-in, work no more; the log-ins whose they were."""
    which = (TOKENS.c.id == identity) if identity is not None else (TOKENS.c.user == user)
    working = which & TOKENS.c.withdrawn_at.is_(None)
    users = [str(each) for each in session.scalars(select(TOKENS.c.user).where(working))]
    if users:
        session.execute(update(TOKENS).where(working).values(withdrawn_at=now))
    return users


def holder(engine: Engine, text: str, now: int) -> str | None:
    """The log-in that a token stands for; None where it is unknown, withdrawn or expired."""
    found = _TOKEN.fullmatch(text)
    if found is None:
        return None
    identity, secret = found.groups()
    with engine.connect() as connection:
        row = connection.execute(select(TOKENS).where(TOKENS.c.id == identity)).one_or_none()
    if row is None or not hmac.compare_digest(row.digest, _digest(secret)):
        return None
    if row.withdrawn_at is not None or row.expires_at <= now:
        return None
    if row.used_at is None or now - row.used_at > _HOUR:
        # to the hour, so that a request costs no writing
        with engine.begin() as connection:
            connection.execute(update(TOKENS).where(TOKENS.c.id == identity).values(used_at=now))
    return str(row.user)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()

"""Where messages go: a file that MODEL_GOVERNANCE_NOTIFY names.

    link: https://mlflow.example.org
    channels:
      - name: reviewers
        mail:
          server: smtp://mlflow@mail.example.org
          password_env: MAIL_PASSWORD
          sender: mlflow@example.org
          to: [rita@example.org, rob@example.org]
        events: [submitted, broke_glass]
      - name: chat
        webhook:
          url_env: CHAT_URL
          secret_env: CHAT_SECRET

Passwords, secrets and addresses with a token in them stand in the environment of whoever sends, never in the file.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from model_governance.errors import PolicyError
from model_governance.governed.notify.events import EVENTS, Event

__all__ = ["NOTIFY_FILE", "Channel", "Mail", "Notify", "Webhook", "current_notify", "load_notify"]

NOTIFY_FILE = "MODEL_GOVERNANCE_NOTIFY"

_Address = Annotated[str, StringConstraints(pattern=r"^[^\s@,<>]+@[^\s@,<>]+$", max_length=254)]
_Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Mail(_Strict):
    """A mail to people.

    Attributes
    ----------
    server : str
        ``smtp://[user@]host[:port]`` (STARTTLS where the server offers it; demanded as soon as there is a user) or
        ``smtps://[user@]host[:port]`` (TLS from the start).
    password_env : str or None
        Environment variable with the password; needed where `server` has a user.
    sender, to
        Addresses.
    """

    server: str
    password_env: _Variable | None = None
    sender: _Address
    to: Annotated[tuple[_Address, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _form(self) -> Self:
        parts = urlsplit(self.server)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("server: expected smtp://[user@]host[:port] or smtps://[user@]host[:port]")
        if parts.password:
            raise ValueError("server: it holds a password; write it into a variable and name that in password_env")
        if bool(parts.username) != (self.password_env is not None):
            raise ValueError("a user in server and password_env go together")
        return self


class Webhook(_Strict):
    """A POST of JSON, signed as https://www.standardwebhooks.com lays down.

    Attributes
    ----------
    url, url_env : str or None
        The address, or the variable that holds it; one of the two. Redirects are not followed.
    secret_env : str
        Environment variable with the secret: any text, or ``whsec_`` and base64.
    """

    url: str | None = None
    url_env: _Variable | None = None
    secret_env: _Variable

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.url is None) == (self.url_env is None):
            raise ValueError("expected url or url_env, one of the two")
        parts = urlsplit(self.url or "")
        if self.url is not None and (parts.scheme not in ("http", "https") or parts.query or parts.password):
            raise ValueError(
                "url: expected http(s)://... without a query or password; one with a token goes into url_env"
            )
        return self


class Channel(_Strict):
    """One way to somebody.

    Attributes
    ----------
    name : str
        Stands in the outbox: messages that wait find their channel by it.
    events : tuple
        What is told; everything by default. ``access`` tells of roles that are given and taken as well.
    models : tuple of str
        Shell patterns of the registered models that are told of; all by default. What is about no model is told
        everywhere.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
    mail: Mail | None = None
    webhook: Webhook | None = None
    events: tuple[Event, ...] = EVENTS
    models: tuple[str, ...] = ("*",)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.mail is None) == (self.webhook is None):
            raise ValueError(f"channel {self.name}: expected mail or webhook, one of the two")
        return self

    def tells(self, event: Event) -> bool:
        """Whether an event is told here."""
        return event in self.events or ("access" in self.events and event in ("role_granted", "role_withdrawn"))


class Notify(_Strict):
    """Who is told what.

    Attributes
    ----------
    link : str
        Address of the MLflow server as people open it; messages link to the version there.
    every_s : float
        Seconds between two looks into the outbox.
    lease_s : float
        Seconds after which a message that somebody took and did not deliver, because they were killed, is taken
        again.
    keep_days : float
        Delivered messages are removed after so long; the audit log keeps what they told.
    give_up_days : float
        A message that could not be delivered for so long is set aside; `model-governance notify retry` sends it.
    """

    link: str = ""
    channels: Annotated[tuple[Channel, ...], Field(min_length=1, max_length=64)]
    every_s: Annotated[float, Field(ge=0.1, le=3600)] = 2.0
    lease_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    keep_days: Annotated[float, Field(gt=0)] = 30.0
    give_up_days: Annotated[float, Field(gt=0)] = 7.0

    @property
    def deadline_s(self) -> float:
        """Seconds that one delivery may take from beginning to end; well before somebody else takes it."""
        return min(30.0, self.lease_s / 2)

    @model_validator(mode="after")
    def _together(self) -> Self:
        names = [channel.name for channel in self.channels]
        if len(set(names)) < len(names):
            raise ValueError("channels: two have the same name")
        if not any("broke_glass" in channel.events and "*" in channel.models for channel in self.channels):
            raise ValueError('channels: none tells of broke_glass for all models ("*"); it must not go unnoticed')
        if self.link and urlsplit(self.link).scheme not in ("http", "https"):
            raise ValueError("link: expected http:// or https://")
        return self


def load_notify(path: str | Path) -> Notify:
    """Read the settings.

    Raises
    ------
    PolicyError
        Where the file cannot be read or says something that nobody knows; names the key and the reason.
    """
    try:
        said = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        return Notify.model_validate(said)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(str(part) for part in each['loc']) or 'file'}: {each['msg']}" for each in error.errors()
        )
        raise PolicyError(f"{path}: {told}") from error


def current_notify() -> Notify | None:
    """The settings of this process; None where MODEL_GOVERNANCE_NOTIFY is not set. Read once."""
    path = os.environ.get(NOTIFY_FILE)
    return None if not path else _read_once(path)


@lru_cache(maxsize=4)
def _read_once(path: str) -> Notify:
    return load_notify(path)

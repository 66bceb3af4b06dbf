"""What a file of settings says of sinks: one kind of settings for each kind of sink."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from serving.camera.settings_text import beside
from serving.camera.sinks.base import Sink

__all__ = [
    "JsonLinesSettings",
    "PredictionLogSettings",
    "SinkSettings",
    "SqlSettings",
    "WebhookSettings",
    "open_sink",
]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,60}$")]
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class JsonLinesSettings(_Settings):
    """One line of JSON per event, in a file."""

    kind: Literal["json-lines"]
    name: Name = "json-lines"
    """What waits for a sink is kept under its name."""
    file: Path
    """Relative to the file of settings."""
    daily: bool = False
    """Whether each day (UTC) gets a file of its own: events.jsonl becomes events-2026-03-01.jsonl."""

    @field_validator("file")
    @classmethod
    def _placed(cls, value: Path, info: ValidationInfo) -> Path:
        return beside(value, info)


class SqlSettings(_Settings):
    """A table in any database that SQLAlchemy knows."""

    kind: Literal["sql"]
    name: Name = "sql"
    url: SecretStr
    """As SQLAlchemy takes it, e.g. postgresql+psycopg://counts:${DB_PASSWORD}@db/site."""
    table: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")] = "camera_events"
    """Made where it is absent."""

    @field_validator("url")
    @classmethod
    def _with_secrets(cls, value: SecretStr) -> SecretStr:
        return _from_environment(value)


class WebhookSettings(_Settings):
    """An address that is sent events as JSON, at least once, each with its id."""

    kind: Literal["webhook"]
    name: Name = "webhook"
    url: SecretStr
    """http:// or https://; it may hold ${NAME}, too."""
    secret: SecretStr | None = None
    """Signs each message (Standard Webhooks); best written as ${NAME}."""
    timeout: Annotated[float, Field(gt=0, le=300)] = 10.0
    """Seconds for an answer."""

    @field_validator("url", "secret")
    @classmethod
    def _with_secrets(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else _from_environment(value)


class PredictionLogSettings(_Settings):
    """The prediction log, beside what the drift report reads."""

    kind: Literal["prediction-log"]
    name: Name = "prediction-log"
    log: str
    """A folder, relative to the file of settings, or s3://bucket/prefix."""
    seconds: Annotated[float, Field(ge=0, le=3600)] = 60.0
    """For how long events are held back, so that the files are few."""

    @field_validator("log")
    @classmethod
    def _placed(cls, value: str, info: ValidationInfo) -> str:
        return value if "://" in value else str(beside(value, info))


SinkSettings = Annotated[
    JsonLinesSettings | SqlSettings | WebhookSettings | PredictionLogSettings, Field(discriminator="kind")
]


def open_sink(
    settings: JsonLinesSettings | SqlSettings | WebhookSettings | PredictionLogSettings, *, model_name: str = ""
) -> Sink:
    """The sink that settings describe; it connects to nothing before there is something to deliver.

    Parameters
    ----------
    model_name : str
        Registered name of the model that counts, for the prediction log.

    Raises
    ------
    SinkError
        Where the settings make no sense, or a driver is not installed; names the sink and the key.

    Examples
    --------
    >>> open_sink(JsonLinesSettings(kind="json-lines", name="events", file="events.jsonl")).name
    'events'
    """
    # imported here: who wants one kind need not have installed what the others need
    match settings.kind:
        case "json-lines":
            from serving.camera.sinks.jsonl import JsonLinesSink

            return JsonLinesSink(settings.name, settings.file, daily=settings.daily)
        case "sql":
            from serving.camera.sinks.sql import SqlSink

            return SqlSink(settings.name, settings.url.get_secret_value(), table=settings.table)
        case "webhook":
            from serving.camera.sinks.webhook import WebhookSink

            secret = None if settings.secret is None else settings.secret.get_secret_value()
            return WebhookSink(
                settings.name, settings.url.get_secret_value(), secret=secret, timeout=settings.timeout
            )
        case "prediction-log":
            from serving.camera.sinks.prediction_log import PredictionLogSink

            return PredictionLogSink(settings.name, settings.log, model_name=model_name, seconds=settings.seconds)


def _from_environment(value: SecretStr) -> SecretStr:
    """With every ${NAME} replaced by what the environment holds under NAME."""

    def found(match: re.Match[str]) -> str:
        name = match.group(1)
        if not os.environ.get(name):
            raise ValueError(f"expected the environment to hold {name}, which ${{{name}}} names; set it")
        return os.environ[name]

    return SecretStr(_VARIABLE.sub(found, value.get_secret_value()))

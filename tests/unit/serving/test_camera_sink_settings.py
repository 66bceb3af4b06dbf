"""Sinks as a file of settings describes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from serving.camera.sinks import SinkSettings, open_sink

SINK = TypeAdapter[Any](SinkSettings)


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"kind": "json-lines", "name": "a", "file": "events.jsonl"}, "JsonLinesSink"),
        ({"kind": "sql", "name": "a", "url": "sqlite:///counts.db"}, "SqlSink"),
        ({"kind": "webhook", "name": "a", "url": "https://example.org/hook", "secret": "x"}, "WebhookSink"),
        ({"kind": "prediction-log", "name": "a", "log": "log"}, "PredictionLogSink"),
    ],
)
def test_every_kind_is_opened_by_its_settings(told: dict[str, Any], kind: str) -> None:
    sink = open_sink(SINK.validate_python(told))
    assert (type(sink).__name__, sink.name) == (kind, "a")
    sink.close()


def test_secrets_come_from_the_environment_and_are_told_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "s3cret")
    settings = SINK.validate_python({"kind": "sql", "url": "postgresql+psycopg://u:${DB_PASSWORD}@h/d"})
    assert settings.url.get_secret_value() == "postgresql+psycopg://u:s3cret@h/d"
    assert "s3cret" not in repr(settings) + settings.model_dump_json()


def test_paths_begin_at_the_file_of_settings(tmp_path: Path) -> None:
    def read(told: dict[str, Any]) -> Any:
        return SINK.validate_python(told, context={"folder": tmp_path})

    assert read({"kind": "json-lines", "file": "a.jsonl"}).file == tmp_path / "a.jsonl"
    assert read({"kind": "json-lines", "file": "/var/a.jsonl"}).file == Path("/var/a.jsonl")
    assert read({"kind": "prediction-log", "log": "log"}).log == str(tmp_path / "log")
    assert read({"kind": "prediction-log", "log": "s3://bucket/log"}).log == "s3://bucket/log"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"kind": "kafka"}, "does not match any of the expected tags"),
        ({"kind": "json-lines"}, "Field required"),
        ({"kind": "json-lines", "file": "a", "flie": "b"}, "Extra inputs are not permitted"),
        ({"kind": "sql", "url": "${NOT_SET_ANYWHERE}"}, "expected the environment to hold NOT_SET_ANYWHERE"),
        ({"kind": "sql", "url": "sqlite://", "table": "a; drop"}, "String should match pattern"),
        ({"kind": "webhook", "url": "https://h", "timeout": 0}, "greater than 0"),
        ({"kind": "json-lines", "file": "a", "name": "../x"}, "String should match pattern"),
    ],
)
def test_wrong_settings_are_refused(told: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        SINK.validate_python(told)

"""Where notifications go in these tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from notify_scene import SECRET, Hook, Inbox
from sqlalchemy import Engine, create_engine

from model_governance.governed.tables import create_tables


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.stop()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.stop()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    create_tables(made)
    yield made
    made.dispose()


@pytest.fixture
def configure(tmp_path: Path, inbox: Inbox, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write settings with a mail channel and a webhook, and make them this process' own."""
    numbers = iter(range(100))

    def write(mail: dict[str, Any] | None = None, chat: dict[str, Any] | None = None, **further: Any) -> Path:
        path = tmp_path / f"notify-{next(numbers)}.yaml"
        channels = [
            {
                "name": "reviewers",
                "mail": {
                    "server": f"smtp://127.0.0.1:{inbox.port}",
                    "sender": "mlflow@example.org",
                    "to": ["rita@example.org", "rob@example.org"],
                },
                **(mail or {}),
            },
            {"name": "chat", "webhook": {"url_env": "CHAT_URL", "secret_env": "CHAT_SECRET"}, **(chat or {})},
        ]
        path.write_text(yaml.safe_dump({"link": "https://mlflow.example.org/", "channels": channels, **further}))
        monkeypatch.setenv("MODEL_GOVERNANCE_NOTIFY", str(path))
        monkeypatch.setenv("CHAT_URL", hook.url)
        monkeypatch.setenv("CHAT_SECRET", SECRET)
        return path

    return write

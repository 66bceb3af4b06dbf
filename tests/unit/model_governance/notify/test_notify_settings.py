"""Where messages go: settings that make no sense are told before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from notify_scene import PROMOTION, Hook, Inbox, ask, send, write
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from model_governance.errors import PolicyError
from model_governance.governed.audit import append, verify
from model_governance.governed.notify.sender import start_sender
from model_governance.governed.notify.settings import load_notify


class TestSettings:
    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"colour": "red"}, "colour: Extra inputs are not permitted"),
            ({"channels": []}, "channels"),
            ({"mail": {"events": ["submitted"]}, "chat": {"events": ["approved"]}}, "none tells of broke_glass"),
            ({"chat": {"name": "reviewers"}}, "two have the same name"),
            ({"mail": {"webhook": {"url": "https://a", "secret_env": "A"}}}, "mail or webhook, one of the two"),
            ({"chat": {"webhook": {"url": "https://a/?token=s3cret", "secret_env": "A"}}}, "goes into url_env"),
            ({"link": "mlflow"}, "link: expected http:// or https://"),
            ({"mail": {"events": ["promotion"]}}, "events"),
        ],
    )
    def test_what_makes_no_sense_is_told(
        self, configure: Callable[..., Path], change: dict[str, Any], told: str
    ) -> None:
        with pytest.raises(PolicyError, match=told.replace("*", ".")):
            load_notify(configure(**change))

    @pytest.mark.parametrize(
        ("server", "told"),
        [
            ("smtp://ann:s3cret@mail", "it holds a password"),
            ("smtp://ann@mail", "go together"),
            ("mail.example.org", "expected smtp://"),
        ],
    )
    def test_a_mail_server_that_makes_no_sense_is_told_without_its_password(
        self, configure: Callable[..., Path], server: str, told: str
    ) -> None:
        mail = {"mail": {"server": server, "sender": "a@example.org", "to": ["b@example.org"]}}
        with pytest.raises(PolicyError, match=told) as error:
            load_notify(configure(mail=mail))
        assert "s3cret" not in str(error.value)

    def test_settings_that_cannot_be_read_stop_the_server_and_the_change(
        self, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MODEL_GOVERNANCE_NOTIFY", str(tmp_path / "nothing.yaml"))
        with pytest.raises(PolicyError, match=r"nothing\.yaml cannot be read"):
            start_sender(engine)
        with pytest.raises(PolicyError), Session(engine) as session, session.begin():
            append(session, PROMOTION)
        assert verify(engine).entries == 0

    def test_a_secret_that_is_missing_is_named(
        self, engine: Engine, configure: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = configure()
        monkeypatch.delenv("CHAT_SECRET")
        write(engine, PROMOTION)
        assert "CHAT_SECRET is not set" in send(engine, settings)[1][0]

    def test_each_channel_can_be_tried(
        self, engine: Engine, inbox: Inbox, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        done = ask(engine, settings, "test")
        assert done.stdout == "reviewers: delivered\nchat: delivered\n"
        assert len(inbox.mails) == len(hook.posts) == 1
        hook.status = 500
        done = ask(engine, settings, "test")
        assert done.exit_code == 1
        assert "chat: http://127.0.0.1:" in done.stderr

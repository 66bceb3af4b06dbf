"""Who is told of what, and in which words: written with the audit entry, by real mail and real webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from notify_scene import PROMOTION, RITA, SECRET, Hook, Inbox, send, waiting, write
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from model_governance.governed.actor import Actor
from model_governance.governed.audit import Entry, append, verify
from model_governance.governed.notify.sender import start_sender


class TestWhatIsTold:
    def test_a_promotion_comes_by_mail_and_by_webhook(
        self, engine: Engine, inbox: Inbox, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        write(engine, PROMOTION)
        assert send(engine, settings) == (2, ())
        (mail,) = inbox.mails
        assert mail["Subject"] == "[governance] counter version 3: promoted to Production (rita)"
        assert inbox.recipients == [["rita@example.org", "rob@example.org"]]
        assert mail["Bcc"] is None
        body = mail.get_content()
        assert "From, to: Staging -> Production" in body
        assert "Why: Better at night. Bcc: eve@example.org" in body
        assert "Who: rita, 10.0.0.7" in body
        assert "https://mlflow.example.org/governance/version?name=counter&version=3" in body
        (told,) = hook.told()
        assert (told["event"], told["model"], told["version"], told["actor"]) == (
            "promoted",
            "counter",
            "3",
            "rita",
        )
        assert told["comment"] == PROMOTION.comment
        assert mail["Message-ID"] == f"<{told['id']}@governance.invalid>"
        assert send(engine, settings) == (0, ())

    def test_a_webhook_is_signed_as_standard_webhooks_lays_down(
        self, engine: Engine, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        """Checked as a receiver does: with its copy of the secret, over what arrived."""
        settings = configure()
        write(engine, PROMOTION)
        send(engine, settings)
        ((headers, body),) = hook.posts
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert abs(time.time() - int(headers["webhook-timestamp"])) < 300

    @pytest.mark.parametrize(
        ("action", "outcome", "event"),
        [
            ("challenge", "done", "submitted"),
            ("approve", "done", "approved"),
            ("reject", "done", "rejected"),
            ("changes", "done", "changes_requested"),
            ("promote", "done", "promoted"),
            ("promote", "refused", "refused"),
            ("rollback", "done", "rolled_back"),
            ("break glass", "done", "broke_glass"),
            ("grant", "done", "role_granted"),
            ("tag", "refused", "refused"),
            ("tag", "done", None),
            ("describe", "done", None),
        ],
    )
    def test_each_event_has_its_name(
        self,
        engine: Engine,
        hook: Hook,
        configure: Callable[..., Path],
        action: str,
        outcome: Any,
        event: str | None,
    ) -> None:
        settings = configure()
        write(engine, Entry(RITA, action, outcome, model="m", version="1"))
        send(engine, settings)
        assert [told["event"] for told in hook.told()] == ([] if event is None else [event])

    def test_a_channel_hears_of_its_events_and_models_alone(
        self, engine: Engine, inbox: Inbox, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        settings = configure(mail={"events": ["submitted"], "models": ["gate-*"]})
        write(
            engine,
            Entry(RITA, "challenge", model="gate-3", version="1"),
            Entry(RITA, "challenge", model="hall", version="1"),
            Entry(RITA, "promote", model="gate-3", version="1"),
        )
        send(engine, settings)
        assert [mail["Subject"] for mail in inbox.mails] == [
            "[governance] gate-3 version 1: waits for review (rita)"
        ]
        assert len(hook.posts) == 3

    def test_whoever_hammers_at_the_gate_fills_no_mailbox(
        self, engine: Engine, inbox: Inbox, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        eve = Actor("eve")
        write(engine, *(Entry(eve, "promote", "refused", model=f"m{n}", version="1") for n in range(30)))
        write(engine, Entry(Actor("mallory"), "promote", "refused", model="m", version="1"))
        write(engine, Entry(eve, "alias", "refused", model="m", version="1"))
        assert send(engine, settings)[0] == 6
        assert len(inbox.mails) == 3
        assert verify(engine).entries == 32

    def test_a_browser_that_has_not_logged_in_yet_is_no_news_but_a_way_round_the_server_is(
        self, engine: Engine, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        write(
            engine,
            Entry(Actor("", "10.0.0.9", "_search_models"), "search models", "refused", comment="not logged in"),
            Entry(Actor("", "10.0.0.9", "_set_alias"), "alias", "refused", model="m"),
            Entry(Actor("ann", "10.0.0.9", "api_audit"), "audit", "refused"),
            Entry(Actor(""), "promote", "refused", model="m", version="1"),
        )
        send(engine, settings)
        assert [told["seq"] for told in hook.told()] == [4]

    def test_a_change_that_is_rolled_back_is_told_to_nobody(
        self, engine: Engine, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        with Session(engine) as session:
            append(session, PROMOTION)
            session.rollback()
        assert send(engine, settings) == (0, ())

    def test_nobody_is_told_where_nothing_is_configured(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("MODEL_GOVERNANCE_NOTIFY", raising=False)
        write(engine, PROMOTION)
        assert waiting(engine) == []
        assert start_sender(engine) is None

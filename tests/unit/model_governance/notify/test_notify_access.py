"""Whatever changes who may be whom is told to others: log-ins, passwords, roles, tokens and the policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from notify_scene import Hook, Inbox, send, write
from sqlalchemy import Engine

from model_governance.governed.actor import Actor, acting
from model_governance.governed.audit import Entry
from model_governance.governed.store import GovernedStore

ROOT = Actor("root", "10.0.0.9", is_admin=True)


@pytest.fixture
def store(engine: Engine, configure: Callable[..., Path]) -> Iterator[GovernedStore]:
    configure()
    made = GovernedStore(f"governed+{engine.url}")
    yield made
    made.engine.dispose()


def told(engine: Engine, hook: Hook, settings: Path) -> list[tuple[str, str, str | None, str | None]]:
    """Event, action, log-in and details of everything that was posted since."""
    hook.posts.clear()
    send(engine, settings)
    return [(each["event"], each["action"], each["subject"], each["details"]) for each in hook.told()]


def test_an_admin_who_makes_somebody_and_gives_them_power_is_seen(
    engine: Engine, store: GovernedStore, inbox: Inbox, hook: Hook, configure: Callable[..., Path]
) -> None:
    settings = configure(mail={"events": ["access", "broke_glass"]})
    write(engine, Entry(Actor("root", "10.0.0.9", "create_user"), "create user", detail={"username": "eve"}))
    with acting(ROOT):
        store.grant("eve", "break_glass")
        store.make_token("ci", "the nightly run", 30)
        store.withdraw("eve", "break_glass")
    assert told(engine, hook, settings) == [
        ("access", "create user", "eve", None),
        ("role_granted", "grant", "eve", "role: break_glass"),
        ("access", "make token", "ci", "purpose: the nightly run; days: 30"),
        ("role_withdrawn", "withdraw role", "eve", "role: break_glass"),
    ]
    assert [mail["Subject"] for mail in inbox.mails] == [
        "[governance] log-in eve: ACCESS CHANGED (root)",
        "[governance] log-in eve: role granted (root)",
        "[governance] log-in ci: ACCESS CHANGED (root)",
        "[governance] log-in eve: role withdrawn (root)",
    ], "the event access tells of roles as well"
    body = inbox.mails[1].get_content()
    assert "Details: role: break_glass" in body
    assert "Who: root, 10.0.0.9" in body
    assert "https://mlflow.example.org/governance/audit" in body


@pytest.mark.parametrize(
    ("action", "detail", "event"),
    [
        ("update user password", {"username": "rita"}, "access"),
        ("update user password", {"username": "root"}, None),
        ("update user password", {}, "access"),
        ("update user admin", {"username": "eve", "is_admin": "True"}, "access"),
        ("delete user", {"username": "rita"}, "access"),
        ("<lambda>", {"username": "new"}, "access"),
        ("create gateway secret", {"name": "x"}, None),
    ],
)
def test_what_is_done_to_log_ins(
    engine: Engine, hook: Hook, configure: Callable[..., Path], action: str, detail: dict[str, Any], event: str
) -> None:
    settings = configure(mail={"events": ["broke_glass"]})
    write(engine, Entry(ROOT, action, detail=detail))
    assert [each[0] for each in told(engine, hook, settings)] == ([event] if event else [])


def test_what_came_to_nothing_is_told_too(engine: Engine, hook: Hook, configure: Callable[..., Path]) -> None:
    settings = configure()
    write(engine, Entry(ROOT, "create user", "refused", comment="not done: there is one", detail={"path": "/"}))
    assert [each[:2] for each in told(engine, hook, settings)] == [("refused", "create user")]


def test_another_policy_is_told_with_what_changed(
    engine: Engine,
    store: GovernedStore,
    hook: Hook,
    configure: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    settings = configure()
    store.tell_policy()
    assert told(engine, hook, settings) == [], "the first one is no news"
    policy = tmp_path / "policy.yaml"
    gates = "format_version: 1\nquality:\n  - {metric: score, min: %s, reason: users see it}\n"
    governance = "governance: {enforce: false, approvals: {count: 3}}\n"
    monkeypatch.setenv("MODEL_GOVERNANCE_POLICY", str(policy))

    def restart(text: str) -> None:
        policy.write_text(text)
        started = GovernedStore(f"governed+{engine.url}")
        started.tell_policy()  # as a server does when it starts
        started.engine.dispose()

    restart(gates % 0.5 + governance)
    restart(gates % 0.5 + governance)
    assert told(engine, hook, settings) == [
        ("access", "policy", None, "changed: enforce, approvals, gates"),
    ], "once, however often the server starts"
    restart(gates % 0.1 + governance)
    assert told(engine, hook, settings) == [("access", "policy", None, "changed: gates")]

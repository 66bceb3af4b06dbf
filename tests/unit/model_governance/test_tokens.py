"""Programs log in with tokens: who makes them, when they work, and that nothing tells them again."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from governed_office import Office, open_office
from mlflow.exceptions import MlflowException

from model_governance.governed import tokens as module
from model_governance.governed.actor import Actor, acting
from model_governance.governed.pages.history import Asked, entries
from model_governance.governed.redaction import redact
from model_governance.governed.store import GovernedStore
from model_governance.governed.tokens import holder

DAY = 86_400_000


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with open_office(tmp_path_factory.mktemp("office")) as opened:
        yield opened


@pytest.fixture
def store(office: Office) -> Iterator[GovernedStore]:
    """The office's store, asked as its admin; without tokens."""
    with acting(Actor("root", is_admin=True)):
        office.store.withdraw_tokens_of("val")
        yield office.store


def test_a_token_stands_for_its_program_until_it_is_withdrawn(store: GovernedStore) -> None:
    made, text = store.make_token("val", "nightly evaluation", 30)
    assert store.bearer(text) == "val"
    assert (made.user, made.purpose, made.expires_at - made.made_at) == ("val", "nightly evaluation", 30 * DAY)
    assert store.tokens("val")[0].used_at is not None
    store.withdraw_token(made.id)
    assert store.bearer(text) is None
    with pytest.raises(MlflowException, match=r"no token .* that works"):
        store.withdraw_token(made.id)


def test_a_token_ends_on_its_day(store: GovernedStore) -> None:
    made, text = store.make_token("val", "an hour's work", 1)
    assert holder(store.engine, text, made.expires_at - 1) == "val"
    assert holder(store.engine, text, made.expires_at) is None


def test_another_secret_of_the_same_token_is_nobody(store: GovernedStore) -> None:
    _, text = store.make_token("val", "nightly", 1)
    other = text[:-1] + ("A" if text[-1] != "A" else "B")
    for wrong in (other, text[:-1], text + "A", f"{text}\n", "gov_0123456789abcdef_" + 43 * "x", "gov_", ""):
        assert store.bearer(wrong) is None, wrong


def test_a_person_has_no_token_and_a_program_with_one_becomes_no_person(store: GovernedStore) -> None:
    with pytest.raises(MlflowException, match=r"rita is a person \(reviewer\)"):
        store.make_token("rita", "my notebook")
    with pytest.raises(MlflowException, match="boss is an admin"):
        store.make_token("boss", "my notebook", is_person=lambda user: user == "boss")
    made, text = store.make_token("counter", "counts")
    with pytest.raises(MlflowException, match="counter is a program: it has a token"):
        store.grant("counter", "reviewer")
    store.grant("counter", "rollout")  # of programs
    assert store.bearer(text) == "counter"
    store.withdraw_token(made.id)
    store.withdraw("counter", "rollout")
    store.grant("counter", "reviewer")
    assert store.bearer(text) is None


def test_a_program_that_the_policy_makes_a_person_is_not_let_in(store: GovernedStore, tmp_path: Path) -> None:
    _, text = store.make_token("server", "counts")
    with pytest.MonkeyPatch.context() as patch:
        policy = tmp_path / "policy.yaml"
        policy.write_text(
            "format_version: 1\nquality: [{metric: mae, max: 1, reason: read by people}]\n"
            "governance: {accounts: {server: [reviewer]}}\n"
        )
        patch.setenv("MODEL_GOVERNANCE_POLICY", str(policy))
        again = GovernedStore(f"governed+{store.engine.url}")
    assert again.bearer(text) is None
    again.engine.dispose()


@pytest.mark.parametrize("who", ["rita", "val", "nobody"])
def test_only_admins_make_and_withdraw_tokens(store: GovernedStore, who: str) -> None:
    made, text = store.make_token("val", "nightly")
    with acting(Actor(who)):
        with pytest.raises(MlflowException, match="tokens takes the role admin"):
            store.make_token("val", "mine")
        with pytest.raises(MlflowException, match="tokens takes the role admin"):
            store.withdraw_token(made.id)
    assert store.bearer(text) == "val"


@pytest.mark.parametrize(("purpose", "days"), [("", 1), (" ", 1), (257 * "x", 1), ("x", 0), ("x", 367)])
def test_a_token_without_a_purpose_or_an_end_is_not_made(store: GovernedStore, purpose: str, days: int) -> None:
    before = store.tokens()
    with pytest.raises(MlflowException, match="expected"):
        store.make_token("val", purpose, days)
    assert store.tokens() == before


def test_neither_database_nor_audit_nor_logs_hold_a_token(store: GovernedStore) -> None:
    made, text = store.make_token("val", "nightly")
    secret = text.removeprefix(f"gov_{made.id}_")
    assert len(secret) == 43
    with closing(sqlite3.connect(str(store.engine.url.database))) as database:
        dump = "\n".join(database.iterdump())
    assert made.id in dump
    assert secret not in dump
    assert secret not in redact(f"could not log in with {text}, because")
    (told,) = entries(store.engine, Asked(action="make token", most=1))
    assert (told.after, told.detail) == (made.id, {"days": 90, "purpose": "nightly", "user": "val"})


def test_using_a_token_writes_once_an_hour(store: GovernedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = store.make_token("val", "nightly")
    now = store.tokens()[0].made_at + 1
    seen = []
    for minute in (0, 30, 59, 61, 100):
        holder(store.engine, text, now + minute * 60_000)
        seen.append((store.tokens()[0].used_at or 0) - now)
    assert seen == [0, 0, 0, 61 * 60_000, 61 * 60_000]
    assert module._HOUR == 3_600_000


def test_the_page_tells_a_token_once(office: Office) -> None:
    admin = office.at("root")
    status, page = admin.post("/tokens/make", user="val", purpose="nightly <b>run</b>", days="7")
    assert status == 200
    text = re.search(r"gov_[0-9a-f]{16}_[\w-]{43}", page)
    assert text
    assert office.store.bearer(text[0]) == "val"
    assert "nightly &lt;b&gt;run" in page
    for who in ("root", "aud"):
        status, page = office.at(who).get("/tokens")
        assert status == 200
        assert text[0] not in page
        assert text[0][4:20] in page
    status, page = admin.post("/tokens/withdraw", id=text[0][4:20])
    assert (status, "works no more" in page) == (200, True)
    assert office.store.bearer(text[0]) is None


def test_programs_ask_for_tokens_too(office: Office) -> None:
    status, made = office.at("root").ask("/tokens/make", user="val", purpose="weekly", days="3")
    assert (status, made["user"], made["state"]) == (200, "val", "works")
    assert office.store.bearer(made["token"]) == "val"
    status, page = office.at("root").get("/api/tokens")
    assert made["token"] not in page
    assert json.loads(page)["tokens"][0]["purpose"] == "weekly"
    status, left = office.at("root").ask("/tokens/withdraw", id=made["id"])
    assert (status, left["tokens"][0]["state"]) == (200, "withdrawn")


@pytest.mark.parametrize(
    ("who", "user", "status", "says"),
    [
        ("root", "ghost", 404, "there is no log-in 'ghost'"),
        ("root", "rita", 403, "rita is a person"),
        ("root", "root", 403, "root is an admin"),
        ("rita", "val", 403, "takes the role admin"),
        ("rita", "ghost", 403, "takes the role admin"),
    ],
)
def test_a_token_that_is_not_made_says_why(office: Office, who: str, user: str, status: int, says: str) -> None:
    answered, body = office.at(who).ask("/tokens/make", user=user, purpose="x")
    assert (answered, says in body["message"]) == (status, True)


def test_tokens_are_listed_for_those_who_look_after_them(office: Office) -> None:
    assert office.at("rita").get("/tokens")[0] == 403
    assert office.at("rita").get("/api/tokens")[0] == 403

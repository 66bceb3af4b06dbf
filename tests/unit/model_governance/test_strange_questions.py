"""Names, versions and numbers that are none, or another's but for a blank: a sentence, and done to nobody."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from governed_office import Office, open_office
from mlflow.entities.model_registry import ModelVersionTag
from mlflow.exceptions import MlflowException

from model_governance.governed.current_policy import ServerPolicy
from model_governance.rules.governance import GovernanceRules


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Version 1 of `m` in Production, by rita's yes and otto's hand; version 2 waits."""
    with open_office(tmp_path_factory.mktemp("office")) as opened:
        opened.registered(1.0, score=0.7)
        with opened.as_("rita"):
            opened.store.review("m", "1", "approve", "the first; looked at its chart")
        with opened.as_("otto"):
            opened.store.promote("m", "1", "go")
        opened.registered(2.0, score=0.75)
        yield opened


def said(page: str) -> str:
    """What a page says, without its markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def told_of(office: Office, number: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(office.at("aud").get("/api/version", name="m", version=number)[1])
    return told


@pytest.mark.parametrize("name", ["m ", " m", "m\n", "\u202em", "m\u200b", "m\x00", "\ud800m"])
def test_a_name_that_looks_like_another_is_none(office: Office, name: str) -> None:
    with office.as_("ann"), pytest.raises(MlflowException, match="expected a model's name without") as caught:
        office.store.create_registered_model(name)
    assert (caught.value.error_code, repr(name) in caught.value.message) == ("INVALID_PARAMETER_VALUE", True)
    with office.as_("otto"), pytest.raises(MlflowException, match="expected a model's name without"):
        office.store.rename_registered_model("m", name)


def test_a_decision_stays_on_the_model_whose_name_was_given(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, office.as_("ann"):
        patch.setattr(office.store, "server_policy", ServerPolicy(GovernanceRules(enforce=False)))
        office.store.create_registered_model("m ")  # as one from before the rule
        office.store.create_model_version("m ", "/nowhere")
    body = {"version": "2", "verdict": "changes", "comment": "meant for the other"}
    assert office.at("rob").ask("/review", name="m ", **body)[0] == 404
    assert not told_of(office, "2")["reviews"]
    status, told = office.at("rob").ask("/review", name="m ", **body | {"version": "1"})
    assert (status, told_of(office, "1")["reviews"][-1]["reviewer"]) == (200, "rita"), told
    assert "meant for the other" in office.at("rob").get("/version", name="m ", version="1")[1]
    with office.as_("ann"):
        office.store.create_registered_model("gone")  # what is refused at making is deleted as ever
    with monkeypatch.context() as patch, office.as_("ann"):
        patch.setattr(office.store, "server_policy", ServerPolicy(GovernanceRules(enforce=False)))
        office.store.rename_registered_model("gone", "gone ")
    with office.as_("ann"):
        office.store.delete_registered_model("gone ")


@pytest.mark.parametrize("number", [str(2**31), str(10**20), "-" + str(10**20)])
def test_a_version_that_no_database_holds_is_a_sentence(office: Office, number: str) -> None:
    sentence = f"version is {number}; expected a number from 1 to {2**31 - 1}"
    for path in ("/version", "/api/version", "/compliance", "/picture"):
        status, page = office.at("aud").get(path, name="m", version=number, run="r", path="p.png")
        assert (status, sentence in said(page)) == (400, True), path
    body = {"name": "m", "version": number, "verdict": "approve", "comment": "c", "reason": "c"}
    for call in ("/review", "/promote", "/break-glass"):
        status, told = office.at("rita").ask(call, **body)
        assert (status, told["message"]) == (400, sentence), call
    with office.as_("ann"), pytest.raises(MlflowException, match=sentence):
        office.store.set_model_version_tag("m", number, ModelVersionTag("a", "b"))


@pytest.mark.parametrize("path", ["/access", "/api/access"])
@pytest.mark.parametrize("days", ["0", "36501", str(10**18 - 1), str(10**20), "-1", "x"])
def test_days_that_no_calendar_holds_are_a_sentence(office: Office, path: str, days: str) -> None:
    status, page = office.at("aud").get(path, days=days)
    assert (status, "expected a number from 1 to 36500" in said(page)) == (400, True)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/version", {}),
        ("/version", {"name": "m"}),
        ("/version", {"name": "m", "version": "one"}),
        ("/", {"page": "-1"}),
        ("/", {"page": "9" * 30}),
        ("/audit", {"below": "x"}),
        ("/access", {"days": "0"}),
        ("/version", {"name": "n" * 600, "version": "1"}),
    ],
)
def test_wrong_questions_are_answered_in_a_sentence(office: Office, path: str, query: dict[str, str]) -> None:
    status, page = office.at("aud").get(path, **query)
    assert (status, 'role="alert"' in page) == (400, True)
    assert office.at("aud").get("/version", name="m", version="999")[0] == 404

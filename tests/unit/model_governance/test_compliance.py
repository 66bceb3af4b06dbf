"""The status of a version in each area that somebody answers for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from governed_office import Office, open_office

from model_governance import Policy
from model_governance.compliance import AREAS, Finding, compliance_of
from model_governance.gates import GateResult
from model_governance.policy import load_policy


def bundle(*rules: tuple[str, dict[str, Any], bool]) -> Any:
    """A policy of these rules by section, and a verdict with a row for each."""
    sections: dict[str, list[dict[str, Any]]] = {}
    for section, rule, _ in rules:
        sections.setdefault(section, []).append(rule)
    policy = Policy.model_validate({"format_version": 1, **sections})
    rows = [
        GateResult(
            section=section, gate=f"gate {place}", expected="1", got="2", passed=passed, reason=rule["reason"]
        )
        for place, (section, rule, passed) in enumerate(rules)
    ]
    return SimpleNamespace(policy=policy, verdict=SimpleNamespace(rows=rows))


def states(found: Any) -> dict[str, str]:
    return {each.area: each.state for each in found}


def test_each_section_counts_for_its_area_and_the_worst_holds() -> None:
    judged = bundle(
        ("quality", {"metric": "mae", "max": 1, "reason": "counts are sold"}, True),
        ("quality", {"metric": "mape", "max": 1, "reason": "and large ones too"}, False),
        ("performance", {"metric": "latency", "max": 1, "reason": "cameras wait"}, True),
        ("records", {"tag": "commit", "reason": "made again"}, True),
    )
    assert states(compliance_of(judged)) == {
        "regulatory": "not asked",
        "audit": "met",
        "security": "not asked",
        "privacy": "not asked",
        "quality": "not met",
        "performance": "met",
        "documentation": "not asked",
        "governance": "not asked",
    }


def test_a_rule_may_count_for_other_areas_than_its_section() -> None:
    card = {"tag": "card", "reason": "written down", "areas": ["documentation", "privacy"]}
    assert states(compliance_of(bundle(("compliance", card, True))))["privacy"] == "met"
    found = compliance_of(bundle(("compliance", card, False)))
    assert [each.area for each in found if each.state == "not met"] == ["privacy", "documentation"]
    assert "gate 0 failed: expected 1, got 2 (written down)" in found[3].summary


def test_what_waits_is_open_and_what_is_known_beside_the_gates_counts() -> None:
    known = {
        "governance": (Finding("met", "asked for"), Finding("open", "0 of 1 approvals")),
        "audit": (Finding("met", "registered by val"),),
    }
    found = {each.area: each for each in compliance_of(None, known)}  # type: ignore[arg-type]
    assert (found["governance"].state, found["governance"].summary) == ("open", "0 of 1 approvals")
    assert (found["audit"].state, found["audit"].summary) == ("met", "registered by val")


def test_an_area_leaves_the_digest_of_older_policies_as_it_was() -> None:
    rule = {"metric": "mae", "max": 1, "reason": "counts are sold"}
    plain = Policy.model_validate({"format_version": 1, "quality": [rule]})
    assert "areas" not in plain.model_dump_json()
    marked = Policy.model_validate({"format_version": 1, "quality": [rule | {"areas": ["regulatory"]}]})
    assert marked.digest != plain.digest
    with pytest.raises(ValueError, match="areas"):
        Policy.model_validate({"format_version": 1, "quality": [rule | {"areas": ["beauty"]}]})


def test_the_shipped_policy_asks_in_every_area_that_a_gate_can_answer() -> None:
    policy = load_policy("pipelines/policy.yaml")
    judged = SimpleNamespace(
        policy=policy,
        verdict=SimpleNamespace(
            rows=[
                GateResult(section=section, gate="g", expected="", got="", passed=True, reason=rule.reason)
                for section, rule in policy.rules()
            ]
        ),
    )
    assert {area for area, state in states(compliance_of(judged)).items() if state == "met"} == {*AREAS} - {
        "governance"
    }


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Version 1 approved and in Production; version 2 waits; version 3 failed its gates."""
    with open_office(tmp_path_factory.mktemp("office")) as opened:
        opened.registered(1.0, score=0.7)
        with opened.as_("rita"):
            opened.store.promote("m", "1", "good")
        opened.registered(2.0, score=0.8)
        opened.registered(3.0, score=0.1)
        yield opened


def told(office: Office, version: str, reader: str = "aud") -> dict[str, dict[str, Any]]:
    status, text = office.at(reader).get("/api/compliance", name="m", version=version)
    assert status == 200, text
    return {each["area"]: each for each in json.loads(text)["versions"][0]["status"]}


def test_the_server_tells_who_moved_what_is_in_production(office: Office) -> None:
    status = told(office, "1")
    assert status["governance"]["state"] == "met"
    assert status["governance"]["summary"].startswith("in Production by rita since 20")
    assert status["audit"]["state"] == "met"
    assert status["quality"]["state"] == "met"


def test_what_waits_and_what_failed_say_so(office: Office) -> None:
    for reader in (
        "aud",
        "ann",
        "rita",
        "otto",
    ):  # the same for everybody, also for who could approve it by moving it
        waiting = told(office, "2", reader)["governance"]
        assert (waiting["state"], waiting["summary"]) == (
            "open", "0 of 1 approvals by reviewer of these files and this evidence"
        )  # fmt: skip
    failed = told(office, "3")
    assert failed["quality"]["state"] == "not met"
    assert "score" in failed["quality"]["summary"]


def test_the_page_shows_all_versions_to_those_who_may_read_the_model(office: Office) -> None:
    status, page = office.at("aud").get("/compliance", name="m")
    assert status == 200
    assert [page.count(f'version={number}"') for number in (1, 2, 3)] == [1, 1, 1]
    assert all(f">{area.capitalize()}<" in page for area in AREAS)
    assert office.at("rita").get("/compliance", name="secret")[0] == 403
    assert office.at("rita").get("/compliance", name="m", version="9")[0] == 404


def test_a_broken_glass_is_not_met(office: Office) -> None:
    with office.as_("root"):
        office.store.grant("eve", "break_glass")
    with office.as_("eve"):
        office.store.break_glass("m", "3", "the street is flooded")
    status = told(office, "3")["governance"]
    assert status["state"] == "not met"
    assert "the street is flooded" in status["summary"]

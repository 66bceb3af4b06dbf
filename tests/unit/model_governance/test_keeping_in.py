"""Whom nobody but an admin keeps out with MLflow's permissions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from governed_office import Office, open_office

from model_governance.governed.keeping_in import keeps_out, model_of
from model_governance.rules.governance import GovernanceRules

GRANT, REVOKE = "grant_user_permission", "revoke_user_permission"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with open_office(tmp_path_factory.mktemp("office")) as opened:
        yield opened


def asked(user: str, permission: str = "", what: str = "registered_model") -> list[tuple[str, str]]:
    return [("username", user), ("resource_type", what), ("resource_id", "m"), ("permission", permission)]


@pytest.mark.parametrize("user", ["rita", "otto", "aud", "val", "ann", "eve"])
@pytest.mark.parametrize("endpoint", [GRANT, "add_role_permission", "update_role_permission"])
def test_an_admin_alone_denies(endpoint: str, user: str, office: Office) -> None:
    why = keeps_out(office.store.engine, office.store.rules, endpoint, asked(user, "DENY"), "ann")
    assert why is not None
    assert "an admin alone denies" in why
    assert keeps_out(office.store.engine, office.store.rules, endpoint, asked(user, "READ"), "ann") is None


def test_what_another_place_of_the_request_says_counts_too(office: Office) -> None:
    twice = [("permission", "READ"), ("permission", "DENY")]
    assert keeps_out(office.store.engine, office.store.rules, GRANT, twice, "ann")
    twice = [("username", "eve"), ("username", "otto")]
    assert keeps_out(office.store.engine, office.store.rules, "unassign_role", twice, "ann")


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ("rita", "rita is reviewer here"),
        ("otto", "otto is operator here"),
        ("aud", "aud is auditor here"),
        ("val", "val is validator here"),
        ("eve", None),
        ("ann", None),
    ],
)
def test_an_admin_alone_takes_from_whoever_decides(user: str, says: str | None, office: Office) -> None:
    why = keeps_out(office.store.engine, office.store.rules, REVOKE, asked(user), "bob")
    assert (why or "").startswith(says) if says else why is None


def test_a_data_scientist_whose_yes_counts_decides_too(office: Office) -> None:
    rules = GovernanceRules.model_validate({"approvals": {"roles": ["data_scientist"]}})
    assert "ann is data_scientist here" in str(keeps_out(office.store.engine, rules, REVOKE, asked("ann"), "bob"))


def test_whoever_gives_up_what_is_theirs_does_so(office: Office) -> None:
    assert keeps_out(office.store.engine, office.store.rules, REVOKE, asked("rita"), "rita") is None


def test_the_model_that_a_permission_is_about() -> None:
    assert model_of(asked("rita", "DENY")) == "m"
    assert model_of([("resource_type", "registered_model"), ("resource_pattern", "street")]) == "street"
    assert model_of([("resource_type", "registered_model"), ("resource_pattern", "*")]) is None
    assert model_of(asked("rita", "DENY", "experiment")) is None
    assert model_of([("username", "rita")]) is None

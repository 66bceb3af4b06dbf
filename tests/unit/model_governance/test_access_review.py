"""The access review: who can do what, when they last did, what should be taken from them."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from datetime import UTC, datetime, timedelta

import pytest

from model_governance.governed import pages
from model_governance.governed.pages.access_review import Access, judge_access
from model_governance.governed.pages.sources import Account
from model_governance.governed.roles import POLICY, Grant
from model_governance.rules.governance import GovernanceRules

NOW = datetime(2026, 11, 1, tzinfo=UTC)
MODULES = [module.name for module in pkgutil.walk_packages(pages.__path__, f"{pages.__name__}.")]


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def given(user: str, role: str, days: float, by: str = "root") -> Grant:
    return Grant(user, role, by, round(ago(days).timestamp() * 1000))


def review(
    *grants: Grant,
    accounts: tuple[Account, ...] = (Account("rita"), Account("root", is_admin=True)),
    acts: dict[str, dict[str, datetime]] | None = None,
) -> dict[str, Access]:
    found = judge_access(accounts, grants, GovernanceRules(), acts or {}, {}, timedelta(days=90), NOW)
    return {each.user: each for each in found}


@pytest.mark.parametrize(
    ("granted", "used", "withdrawn"),
    [
        (200.0, None, True),  # never used, given long ago
        (89.0, None, False),  # never used, but given lately
        (200.0, 91.0, True),
        (200.0, 89.0, False),
        (5.0, 300.0, False),  # given anew since
    ],
)
def test_a_role_that_is_not_used_is_to_be_withdrawn(granted: float, used: float | None, withdrawn: bool) -> None:
    acts = {} if used is None else {"rita": {"approve": ago(used)}}
    found = review(given("rita", "reviewer", granted), acts=acts)["rita"]
    assert bool(found.withdraw) == withdrawn
    assert all(each.startswith("reviewer: ") for each in found.withdraw)


def test_what_another_role_did_is_no_use_of_this_one() -> None:
    acts = {"rita": {"create version": ago(1), "refused": ago(1)}}
    found = review(given("rita", "reviewer", 200), given("rita", "data_scientist", 200), acts=acts)["rita"]
    assert [each.split(":")[0] for each in found.withdraw] == ["reviewer"]
    assert found.last_act == ago(1)


def test_an_auditor_uses_the_role_by_reading() -> None:
    reads = review(given("rita", "auditor", 400), acts={"rita": {"read the audit": ago(3)}})["rita"]
    assert reads.withdraw == ()
    assert [each.last_used for each in reads.roles] == [ago(3)]
    assert reads.last_act is None, "nothing was changed"
    idle = review(given("rita", "auditor", 400), acts={"rita": {"read the audit": ago(120)}})["rita"]
    assert idle.withdraw == ("auditor: last used on 2026-07-04, 90 days are allowed",)


def test_roles_of_a_log_in_that_is_gone() -> None:
    found = review(given("leo", "reviewer", 1), given("leo", "operator", 1))["leo"]
    assert not found.exists
    (sentence,) = found.withdraw
    assert sentence.startswith("all roles (operator, reviewer): there is no log-in leo, and whoever made one")


def test_who_gives_roles_decides_on_nothing() -> None:
    acts = {"root": {"promote": ago(1)}}
    found = review(given("root", "operator", 3, by="boss"), acts=acts)["root"]
    assert any("who gives roles should decide on no version" in each for each in found.withdraw)
    assert "make log-ins, give and take roles, read the audit" in found.can
    assert "roll back" in found.can


def test_the_policys_roles_are_taken_from_its_file() -> None:
    found = review(Grant("rita", "reviewer", POLICY, 0))["rita"]
    assert found.withdraw == ("reviewer: never used, 90 days are allowed; it stands in the policy's file",)


def test_those_with_something_to_withdraw_come_first() -> None:
    accounts = (Account("ann"), Account("rita"))
    found = judge_access(
        accounts, [given("rita", "reviewer", 200)], GovernanceRules(), {}, {}, timedelta(days=90), NOW
    )
    assert [each.user for each in found] == ["rita", "ann"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_the_pages(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0

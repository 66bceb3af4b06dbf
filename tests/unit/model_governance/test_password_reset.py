"""Whoever sets the password of a log-in may be behind it: four eyes stay two people's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from model_governance.governed.current_policy import ServerPolicy
from model_governance.rules.governance import GovernanceRules
from tests.governed_registry import Registry, governed_registry

RULES = GovernanceRules.model_validate(
    {
        "evidence": {"measured_by": []},
        "accounts": {"nora": ["reviewer"], "ada": ["data_scientist"]},
        "persons": {"Ann": ["ann", "ann-admin"]},
    }
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder: Path = tmp_path_factory.mktemp("registry")
    with governed_registry(folder, f"sqlite:///{folder / 'mlflow.db'}") as ready:
        ready.store.server_policy = ServerPolicy(RULES)
        yield ready


@pytest.fixture(autouse=True)
def as_before(registry: Registry) -> Iterator[None]:
    yield
    with registry.store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM governance_roles WHERE \"user\" IN ('nora', 'ada', 'new')")
        connection.exec_driver_sql("DELETE FROM governance_roles WHERE role LIKE '(%'")


def reset(registry: Registry, user: str, by: str) -> None:
    """As the gate does where an admin sets somebody else's password."""
    with registry.by(by, is_admin=True):
        registry.store.password_set(user)
        registry.store.hand_over(user, suspend=True)


def roles(registry: Registry, user: str) -> list[str]:
    return [each.role for each in registry.store.grants(user)]


def test_a_reset_suspends_what_the_policys_file_gives_until_an_admin_gives_it_again(registry: Registry) -> None:
    assert roles(registry, "nora") == ["reviewer"]
    name = registry.model(1)
    reset(registry, "nora", by="root")
    assert roles(registry, "nora") == []
    with registry.by("nora"), registry.refused("takes the role reviewer"):
        registry.store.review(name, 1, "approve", "looked at it")
    with registry.by("root", is_admin=True):
        registry.store.grant("nora", "reviewer")
    assert roles(registry, "nora") == ["reviewer"]
    with registry.by("nora"):
        registry.store.promote(name, 1, "looked at it")
    assert registry.state(name)[0]["champion"] == "1"
    told = registry.store.engine.connect().exec_driver_sql(
        "SELECT actor, before, after, detail FROM governance_audit WHERE action = 'withdraw role'"
    )
    (row,) = [each for each in told if "nora" in each.detail]
    assert (row.actor, row.before, row.after) == ("root", "reviewer", None)


def test_an_approval_of_before_counts_no_more(registry: Registry) -> None:
    name = registry.model(1)
    with registry.by("nora"):
        registry.store.review(name, 1, "approve", "looked at it")
    with registry.by("otto"):
        assert registry.store.missing(name, 1) == ()
    reset(registry, "nora", by="root")
    with registry.by("otto"):
        assert registry.store.missing(name, 1) == (
            "0 of 1 approvals by reviewer of these files and this evidence",
        )


def test_who_set_the_password_does_not_approve_what_they_made_under_that_name(registry: Registry) -> None:
    name = registry.model(2, author="ann")
    reset(registry, "nora", by="ann-admin")
    with registry.by("root", is_admin=True):
        registry.store.grant("nora", "reviewer")  # another admin gives it again, and knows of nothing
    with registry.by("nora"), registry.refused("0 of 1 approvals by reviewer"):
        registry.store.promote(name, 1, "as Ann, who knows the password")
    with registry.by("nora"):
        registry.store.review(name, 1, "approve", "as Ann, who knows the password")
    with registry.by("otto"):
        assert registry.store.missing(name, 1) != ()
    other = registry.model(1, author="bob")
    with registry.by("nora"):
        assert registry.store.missing(other, 1) == (), "what others made is another matter"
    reset(registry, "nora", by="root")
    with registry.by("root", is_admin=True):
        registry.store.grant("nora", "reviewer")
    with registry.by("otto"):
        assert registry.store.missing(name, 1) == (), "Ann knows that password no more"


def test_who_made_a_log_in_is_behind_it_as_well(registry: Registry) -> None:
    name = registry.model(1, author="ann")
    with registry.by("ann-admin", is_admin=True):
        registry.store.hand_over("nora", suspend=False)
        registry.store.hand_over("new", suspend=False)
    assert roles(registry, "nora") == ["reviewer"], "a log-in that is made has what the policy's file gives it"
    with registry.by("root", is_admin=True):
        registry.store.grant("new", "reviewer")
    for who in ("nora", "new"):
        with registry.by(who), registry.refused("0 of 1 approvals by reviewer"):
            registry.store.promote(name, 1, "as Ann")


def test_a_log_in_that_was_deleted_and_made_anew_has_nothing(registry: Registry) -> None:
    with registry.by("root", is_admin=True):
        registry.store.hand_over("nora", suspend=True)
        registry.store.hand_over("nora", suspend=False)
    assert roles(registry, "nora") == []
    assert roles(registry, "ada") == ["data_scientist"], "nobody else loses anything"


def test_an_attempt_that_fails_hides_nobody_who_set_the_password_before(registry: Registry) -> None:
    name = registry.model(2, author="ann")
    reset(registry, "nora", by="ann-admin")
    with registry.by("root", is_admin=True):
        registry.store.grant("nora", "reviewer")
    with registry.by("mallory", is_admin=True):
        registry.store.password_set("nora")  # and MLflow refuses the password
    with registry.by("nora"):
        registry.store.review(name, 1, "approve", "as Ann, who still knows the password")
    with registry.by("otto"):
        assert registry.store.missing(name, 1) != ()

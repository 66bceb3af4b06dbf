"""A registry from before the gate, or changed past it: what serves stays, until somebody says what is meant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mlflow.entities.model_registry import RegisteredModelTag
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

from model_governance.standing import STANDING_TAG
from tests.governed_registry import Registry, governed_registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    with governed_registry(folder, f"sqlite:///{folder / 'registry.db'}") as opened:
        yield opened


@pytest.fixture(scope="module")
def past_the_gate(registry: Registry) -> Iterator[SqlAlchemyStore]:
    """MLflow's own store over the same database, as before there was a gate."""
    store = SqlAlchemyStore(str(registry.store.engine.url))
    yield store
    store.engine.dispose()


def stages(registry: Registry, name: str) -> dict[str, str]:
    found = registry.store.search_model_versions(f"name='{name}'", max_results=100)
    return {str(each.version): str(each.current_stage) for each in found}


def aliases(registry: Registry, name: str) -> dict[str, str]:
    return {alias: str(at) for alias, at in registry.store.get_registered_model(name).aliases.items()}


def test_a_challenge_moves_nothing_that_serves(registry: Registry) -> None:
    """The rollout put the alias serving back on version 1; what a data scientist asks for leaves it there."""
    name = registry.model(3)
    for number in (1, 2):
        with registry.by("rita"):
            registry.store.promote(name, number, "good")
    with registry.by("root", is_admin=True):
        registry.store.grant("ro", "rollout")
    try:
        with registry.by("ro"):
            registry.store.set_registered_model_alias(name, "serving", "1")
        with registry.by("ann"):
            registry.store.challenge(name, 3)
            registry.store.withdraw_challenger(name)
        with registry.by("rob"):
            registry.store.review(name, 3, "reject", "no")
            registry.store.review(name, 3, "reopen", "yes")
        assert aliases(registry, name) == {"champion": "2", "previous": "1", "serving": "1"}
        with registry.by("rita"):
            registry.store.promote(name, 3, "good")
        assert aliases(registry, name) == {"champion": "3", "previous": "2", "serving": "1"}
    finally:
        with registry.by("root", is_admin=True):
            registry.store.withdraw("ro", "rollout")
    # nobody rolls out any more: the promotion does
    registry.version(name)
    with registry.by("ann"):
        registry.store.challenge(name, 4)
    assert aliases(registry, name)["serving"] == "1"
    with registry.by("rita"):
        registry.store.promote(name, 4, "good")
    assert aliases(registry, name)["serving"] == "4"


def test_the_rollout_serves_only_what_was_approved(registry: Registry) -> None:
    name = registry.model(2)
    for number in (1, 2):
        with registry.by("rita"):
            registry.store.promote(name, number, "good")
    with registry.by("root", is_admin=True):
        registry.store.grant("ro", "rollout")
    try:
        (registry.files(name, 1) / "weights.bin").write_text("others")
        with (
            registry.by("ro"),
            pytest.raises(MlflowException, match="was approved; somebody wrote past the server"),
        ):
            registry.store.set_registered_model_alias(name, "serving", "1")
        (registry.files(name, 1) / "weights.bin").unlink()
        with registry.by("ro"):
            registry.store.set_registered_model_alias(name, "serving", "1")
    finally:
        with registry.by("root", is_admin=True):
            registry.store.withdraw("ro", "rollout")


@pytest.mark.parametrize(("staged", "alias"), [([1, 2], None), ([1, 2], "1"), ([1, 2], "3"), ([1], "3")], ids=str)
def test_a_registry_that_contradicts_itself_is_left_as_it_is(
    registry: Registry, past_the_gate: SqlAlchemyStore, staged: list[int], alias: str | None
) -> None:
    name = registry.model(5)
    for number in staged:
        past_the_gate.transition_model_version_stage(name, str(number), "Production", False)
    if alias:
        past_the_gate.set_registered_model_alias(name, "champion", alias)
    past_the_gate.set_registered_model_alias(name, "serving", "1")
    before = stages(registry, name), aliases(registry, name)
    for who, move in (
        ("ann", lambda: registry.store.challenge(name, 5)),
        ("rita", lambda: registry.store.promote(name, 5, "good")),
        ("rob", lambda: registry.store.review(name, 4, "reject", "no")),
    ):
        with registry.by(who), pytest.raises(MlflowException, match="an operator says which is in Production"):
            move()
    assert (stages(registry, name), aliases(registry, name)) == before

    with registry.by("ann"), pytest.raises(MlflowException, match="takes the role operator"):
        registry.store.adopt(name, 2, "it is")
    with registry.by("otto"):
        with pytest.raises(MlflowException, match="version 5 is not in Production in any way"):
            registry.store.adopt(name, 5, "it should be")
        registry.store.adopt(name, 1, "it is what the cameras load")
        with pytest.raises(MlflowException, match="say the same"):
            registry.store.adopt(name, 1, "again")
    assert stages(registry, name)["1"] == "Production"
    assert "Production" not in [stage for number, stage in stages(registry, name).items() if number != "1"]
    assert aliases(registry, name) == {"champion": "1", "serving": "1"}
    done = [row for row in registry.audit(name, "actor, action, outcome, comment") if row[2] == "done"]
    assert tuple(done[-1]) == ("otto", "adopt", "done", "it is what the cameras load")
    with registry.by("rita"):
        registry.store.promote(name, 5, "good")
    assert aliases(registry, name) == {"champion": "5", "previous": "1", "serving": "5"}


@pytest.mark.parametrize("how", ["stage", "alias"])
def test_a_registry_that_says_one_thing_is_taken_at_its_word(
    registry: Registry, past_the_gate: SqlAlchemyStore, how: str
) -> None:
    """Teams that use stages alone, and teams that use aliases alone."""
    name = registry.model(2)
    if how == "stage":
        past_the_gate.transition_model_version_stage(name, "1", "Production", False)
    else:
        past_the_gate.set_registered_model_alias(name, "champion", "1")
    with registry.by("ann"):
        registry.store.challenge(name, 2)
    assert stages(registry, name) == {"1": "Production", "2": "Staging"}
    assert aliases(registry, name) == {"champion": "1", "challenger": "2"}, "and nothing begins to serve"


def test_what_was_moved_past_the_gate_since_is_noticed(registry: Registry, past_the_gate: SqlAlchemyStore) -> None:
    name = registry.model(3)
    with registry.by("rita"):
        registry.store.promote(name, 1, "good")
    past_the_gate.set_registered_model_alias(name, "champion", "2")
    with (
        registry.by("ann"),
        pytest.raises(MlflowException, match="version 1 was decided to be in Production here"),
    ):
        registry.store.challenge(name, 3)
    assert aliases(registry, name)["champion"] == "2", "nothing is brought back behind anybody's back"
    with registry.by("otto"):
        registry.store.adopt(name, 1, "somebody moved it on the database")
    assert aliases(registry, name) == {"champion": "1", "serving": "1"}


def test_a_standing_that_is_none_is_mended_by_an_operator(
    registry: Registry, past_the_gate: SqlAlchemyStore
) -> None:
    name = registry.model(2)
    past_the_gate.transition_model_version_stage(name, "1", "Production", False)
    past_the_gate.set_registered_model_tag(name, RegisteredModelTag(STANDING_TAG, "mine"))
    with registry.by("ann"), pytest.raises(Exception, match="an operator says which version"):
        registry.store.challenge(name, 2)
    with registry.by("otto"):
        registry.store.adopt(name, 1, "the tag is of an old script")
    with registry.by("ann"):
        registry.store.challenge(name, 2)
    assert stages(registry, name) == {"1": "Production", "2": "Staging"}


def test_the_way_back_to_an_adopted_version_is_held_against_its_files(
    registry: Registry, past_the_gate: SqlAlchemyStore
) -> None:
    name = registry.model(2, judged=False)
    for number in (1, 2):
        past_the_gate.transition_model_version_stage(name, str(number), "Production", False)
    with registry.by("otto"):
        registry.store.adopt(name, 1, "it serves")
    registry.judge(name, 2)
    with registry.by("rita"):
        registry.store.promote(name, 2, "good")
    (registry.files(name, 1) / "weights.bin").write_text("others")
    with registry.by("otto"), pytest.raises(MlflowException, match="was approved; promote another version"):
        registry.store.rollback(name, "too slow")

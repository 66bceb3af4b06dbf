"""The governed registry in real databases: who may do what, stage and alias as one, and ways round it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mlflow
import pytest
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException

from model_governance.artifact import artifact_digest
from model_governance.governed import deciding
from model_governance.governed.current_policy import ServerPolicy
from tests.empty_store import empty_store
from tests.governed_registry import Registry, governed_registry
from tests.postgres import Postgres, postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp(f"governed-{request.param}")
    uri = empty_store(folder)
    database = uri if request.param == "sqlite" else str(request.getfixturevalue("server").url)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    with governed_registry(folder, database) as ready:
        yield ready
    mlflow.set_tracking_uri(before)


def test_a_reviewer_moves_the_stage_and_aliases_follow(registry: Registry) -> None:
    name = registry.model(2)
    with registry.by("ann"):
        registry.stage(name, 1, "Staging")
    assert registry.state(name) == ({"challenger": "1"}, {"1": "Staging", "2": "None"})
    with registry.by("rita"):
        registry.stage(name, 1, "production")
    assert registry.state(name) == ({"champion": "1", "serving": "1"}, {"1": "Production", "2": "None"})
    with registry.by("rob"):
        registry.stage(name, 2, "Production")
    assert registry.state(name) == (
        {"champion": "2", "serving": "2", "previous": "1"},
        {"1": "Archived", "2": "Production"},
    )


def test_an_alias_moves_the_stage(registry: Registry) -> None:
    name = registry.model(2)
    with registry.by("ann"):
        registry.store.set_registered_model_alias(name, "challenger", "2")
        assert registry.state(name) == ({"challenger": "2"}, {"1": "None", "2": "Staging"})
        registry.store.delete_registered_model_alias(name, "challenger")
    assert registry.state(name) == ({}, {"1": "None", "2": "None"})
    with registry.by("rita"):
        registry.store.set_registered_model_alias(name, "champion", "1")
    assert registry.state(name) == ({"champion": "1", "serving": "1"}, {"1": "Production", "2": "None"})
    tags = registry.store.get_model_version(name, "1").tags
    assert (tags["review"], tags["approved_by"], tags["replaced_version"]) == ("approved", "rita", "none")


def test_an_operator_moves_what_a_reviewer_approved(registry: Registry) -> None:
    name = registry.model(1)
    with registry.by("otto"), registry.refused("0 of 1 approvals by reviewer"):
        registry.stage(name, 1, "Production")
    with registry.by("rita"):
        registry.store.review(name, 1, "approve", "clips look right")
    with registry.by("otto"):
        registry.stage(name, 1, "Production")
    assert registry.store.get_model_version(name, "1").tags["approved_by"] == "rita"
    assert registry.audit(name)[-2:] == [
        ("rita", "approve", "done", "clips look right"),
        ("otto", "promote", "done", None),
    ]


def test_whoever_made_it_cannot_approve_it(registry: Registry) -> None:
    name = registry.model(1, "ann")
    with registry.by("root", is_admin=True):
        registry.store.grant("ann", "reviewer")
    try:
        with registry.by("ann"), registry.refused("you made or registered this version and cannot approve it"):
            registry.store.review(name, 1, "approve", "I like it")
        with registry.by("ann"), registry.refused("0 of 1 approvals", "you made or registered this version"):
            registry.store.set_registered_model_alias(name, "champion", "1")
    finally:
        with registry.by("root", is_admin=True):
            registry.store.withdraw("ann", "reviewer")


def test_who_trained_it_is_an_author_whoever_registered_it(registry: Registry) -> None:
    """The run is found in the source, in the path, and behind copies."""
    run = "0123456789abcdef0123456789abcdef"
    with registry.by("rita"):
        registry.store.record_creator("run", run)
    with registry.by("ann"):  # whoever was seen first stays
        registry.store.record_creator("run", run)
    name = registry.model(0)
    folder = registry.folder / "runs" / run / "artifacts"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MLmodel").write_text(f"flavors: {{}}\nname: {name}\n")
    with registry.by("bob"):
        registry.store.create_model_version(name, str(folder))
        registry.store.create_model_version(name, f"models:/{name}/1")
    for number in ("1", "2"):
        with registry.by("validator"):
            for key, value in (
                ("artifact_digest", artifact_digest(str(folder))),
                ("evidence_digest", "e"),
                ("gates", "passed"),
            ):
                registry.store.set_model_version_tag(name, number, ModelVersionTag(key, value))
        with registry.by("rita"), registry.refused("you made or registered this version"):
            registry.store.promote(name, number)


def test_a_version_that_nobody_made_is_approved_by_nobody(registry: Registry) -> None:
    """Registered by the account that records evidence, from files that no recorded run made."""
    name = registry.model(1, "validator")
    with registry.by("rita"), registry.refused("nobody knows who made it"):
        registry.store.promote(name, 1)


@pytest.mark.parametrize("who", ["ann", "aud", "root", "mallory", ""])
def test_whoever_may_not_moves_nothing(registry: Registry, who: str) -> None:
    name = registry.model(1)
    before = registry.state(name)
    with registry.by(who, is_admin=who == "root"):
        for move in (
            lambda: registry.stage(name, 1, "Production"),
            lambda: registry.store.set_registered_model_alias(name, "champion", "1"),
            lambda: registry.store.set_registered_model_alias(name, "serving", "1"),
            lambda: registry.store.set_registered_model_alias(name, "Champion", "1"),
            lambda: registry.store.review(name, 1, "approve", "fine"),
            lambda: registry.store.rollback(name, "because"),
            lambda: registry.store.break_glass(name, 1, "because"),
            lambda: registry.tag(name, 1, "gates", "passed"),
            lambda: registry.tag(name, 1, "review", "approved"),
            lambda: registry.tag(name, 1, "Evidence_Digest ", "f"),
            lambda: registry.store.delete_model_version_tag(name, "1", "gates"),
            lambda: registry.store.set_registered_model_tag(name, RegisteredModelTag("governance.standing", "{}")),
            lambda: registry.store.rename_registered_model(name, f"{name}-b"),
            lambda: registry.store.update_model_version(name, "1", "never failed a gate"),
            lambda: registry.store.grant(who or "x", "reviewer"),
        ):
            with registry.refused():
                move()
    assert registry.state(name) == before


def test_evidence_that_somebody_forged_counts_for_nothing(registry: Registry) -> None:
    name = registry.model(1, judged=False)
    forged = {"gates": "passed", "artifact_digest": "a", "evidence_digest": "e"}
    tags = [ModelVersionTag(key, value) for key, value in forged.items()]
    with registry.by("ann"), registry.refused("writing it takes the role validator"):
        registry.store.create_model_version(name, str(registry.files(name, 1)), tags=tags)
    assert registry.state(name)[1] == {"1": "None"}
    # written past the store, into the database
    with registry.store.engine.begin() as connection:
        for key, value in forged.items():
            values = f"'default', '{name}', 1, '{key}', '{value}'"
            connection.exec_driver_sql(
                f"INSERT INTO model_version_tags (workspace, name, version, key, value) VALUES ({values})"  # noqa: S608
            )
    with registry.by("rita"), registry.refused("was not recorded by an account of role validator", "was judged"):
        registry.store.promote(name, 1)


def test_a_model_is_not_born_with_a_standing(registry: Registry) -> None:
    with registry.by("ann"), registry.refused("written by the server alone"):
        registry.store.create_registered_model(
            "born-crowned", [RegisteredModelTag("governance.standing", '{"champion": "1"}')]
        )
    with pytest.raises(MlflowException, match="not found"):
        registry.store.get_registered_model("born-crowned")


def test_files_changed_after_approval_are_not_those_that_were_approved(registry: Registry) -> None:
    name = registry.model(2)
    with registry.by("rita"):
        registry.store.promote(name, 2)
        registry.store.review(name, 1, "approve", "fine")
    (registry.files(name, 1) / "MLmodel").write_text("flavors: {}\nother: files\n")
    with registry.by("otto"), registry.refused("its files have digest", "0 of 1 approvals"):
        registry.stage(name, 1, "Production")
    # even where new evidence is recorded for them, the approval was of the old ones
    registry.judge(name, 1, evidence="f" * 64)
    with registry.by("otto"), registry.refused("0 of 1 approvals"):
        registry.stage(name, 1, "Production")


def test_an_approval_is_for_its_evidence(registry: Registry) -> None:
    name = registry.model(1)
    with registry.by("rita"):
        registry.store.review(name, 1, "approve", "fine")
    registry.judge(name, 1, evidence="f" * 64)
    with registry.by("otto"), registry.refused("0 of 1 approvals"):
        registry.stage(name, 1, "Production")
    registry.judge(name, 1)
    with registry.by("otto"):
        registry.stage(name, 1, "Production")


def test_a_no_holds_for_the_files_until_somebody_reopens(registry: Registry) -> None:
    name = registry.model(1)
    with registry.by("ann"):
        registry.stage(name, 1, "Staging")
    with registry.by("rob"):
        registry.store.review(name, 1, "reject", "counts the rain")
    assert registry.state(name) == ({}, {"1": "Archived"})
    with registry.by("rita"), registry.refused("rob rejected it: counts the rain"):
        registry.store.promote(name, 1)
    # the same files as another version, judged anew
    with registry.by("bob"):
        registry.store.create_model_version(name, str(registry.files(name, 1)))
    with registry.by("validator"):
        for key, value in (
            ("artifact_digest", artifact_digest(str(registry.files(name, 1)))),
            ("evidence_digest", "g"),
            ("gates", "passed"),
        ):
            registry.store.set_model_version_tag(name, "2", ModelVersionTag(key, value))
    with registry.by("rita"), registry.refused("rob rejected it: counts the rain"):
        registry.store.promote(name, 2)
    with registry.by("ann"), registry.refused("somebody has decided on it"):
        registry.store.delete_model_version(name, "1")
    with registry.by("rob"):
        registry.store.review(name, 1, "reopen", "it was the wrong clip")
    with registry.by("rita"):
        registry.store.promote(name, 1)


def test_wished_changes_hold_until_there_is_other_evidence(registry: Registry) -> None:
    name = registry.model(1)
    with registry.by("rob"):
        registry.store.review(name, 1, "changes", "measure it at night")
    with registry.by("rita"), registry.refused("rob asked for changes: measure it at night"):
        registry.store.promote(name, 1)
    registry.judge(name, 1, evidence="f" * 64)
    with registry.by("rita"):
        registry.store.promote(name, 1)


def test_an_operator_goes_back_at_once_with_a_reason(registry: Registry) -> None:
    name = registry.model(3)
    for number in (1, 2, 3):
        with registry.by("rita"):
            registry.store.promote(name, number)
    with registry.by("otto"), registry.refused("a reason is missing"):
        registry.store.rollback(name, " ")
    with registry.by("rita"), registry.refused("rolling back takes the role operator; rita has reviewer"):
        registry.store.rollback(name, "counts wrong")
    with registry.by("otto"):
        registry.store.rollback(name, "counts wrong")
        assert registry.state(name) == (
            {"champion": "2", "previous": "1", "serving": "2"},
            {"1": "Archived", "2": "Production", "3": "Archived"},
        )
        registry.store.rollback(name, "this one too")
        assert registry.state(name)[0] == {"champion": "1", "serving": "1"}
        with registry.refused("there is no earlier champion"):
            registry.store.rollback(name, "and this")
    with registry.by("rob"), registry.refused("otto rolled it back: counts wrong"):
        registry.store.promote(name, 3)


def test_the_way_back_goes_past_what_somebody_said_no_to(registry: Registry) -> None:
    name = registry.model(4)
    with registry.by("rita"):
        for number in (1, 2, 3, 4):
            registry.store.promote(name, number)
    with registry.by("rob"):
        registry.store.review(name, 2, "reject", "counts rain")  # a champion before the last
    with registry.by("otto"):
        registry.store.rollback(name, "counts wrong")
        assert registry.state(name)[0]["champion"] == "3"
        registry.store.rollback(name, "this one too")
        assert registry.state(name)[0]["champion"] == "1"


def test_nobody_goes_back_to_changed_files(registry: Registry) -> None:
    name = registry.model(2)
    for number in (1, 2):
        with registry.by("rita"):
            registry.store.promote(name, number)
    (registry.files(name, 1) / "MLmodel").write_text("flavors: {}\n")
    with registry.by("otto"), registry.refused("the files of version 1 have digest"):
        registry.store.rollback(name, "counts wrong")
    assert registry.state(name)[0]["champion"] == "2"


def test_breaking_the_glass_is_told_with_what_it_went_past(registry: Registry) -> None:
    name = registry.model(2, judged=False)
    with registry.by("eve"), registry.refused("a reason is missing"):
        registry.store.break_glass(name, 1, "")
    with registry.by("eve"):
        registry.store.break_glass(name, 1, "the gate is blind")
    assert registry.state(name)[0] == {"champion": "1", "serving": "1"}
    assert registry.store.get_model_version(name, "1").tags["broke_glass_by"] == "eve"
    (entry,) = [
        row
        for row in registry.audit(name, "action, comment, detail")
        if row[0] == "break glass" and row[1] == "the gate is blind"
    ]
    assert "nobody has judged it by the gates" in entry[2]


def test_what_is_in_use_stays_and_keeps_its_name_and_its_evidence(registry: Registry) -> None:
    name = registry.model(3)
    with registry.by("rita"):
        registry.store.promote(name, 1)
        registry.store.promote(name, 2)
    with registry.by("otto"):
        for number in ("1", "2"):
            with registry.refused("Production"):
                registry.store.delete_model_version(name, number)
        with registry.refused("is or was in Production"):
            registry.store.delete_registered_model(name)
        with registry.refused("is or was in use"):
            registry.store.rename_registered_model(name, f"{name}-b")
        with registry.refused("it is the champion"):
            registry.stage(name, 2, "Archived")
        with registry.refused("it is the champion"):
            registry.stage(name, 2, "None")
        with registry.refused("moves with the version's stage alone"):
            registry.store.delete_registered_model_alias(name, "champion")
        with registry.refused("moves with the champion"):
            registry.store.delete_registered_model_alias(name, "serving")
        with registry.refused("moves with the version's stage alone"):
            registry.store.set_registered_model_alias(name, "previous", "3")
    with registry.by("validator"), registry.refused("it keeps the evidence of its approval"):
        registry.tag(name, 2, "evidence_digest", "better")
    with registry.by("ann"):
        registry.store.delete_model_version(name, "03")  # her own, and nobody decided on it
    assert registry.state(name)[1] == {"1": "Archived", "2": "Production"}


def test_what_a_protected_alias_points_to_stays_with_its_evidence(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = registry.model(2)
    guarded = registry.store.rules.model_copy(update={"protected_aliases": ("canary-*",)})
    monkeypatch.setattr(registry.store, "server_policy", ServerPolicy(guarded))
    with registry.by("rob"):
        registry.store.review(name, 1, "approve", "counts well")
    with registry.by("otto"):
        registry.store.set_registered_model_alias(name, "canary-north", "1")
        with registry.refused("the version is on the alias canary-north"):
            registry.store.delete_model_version(name, "1")
    with registry.by("validator"):
        with registry.refused("on the alias canary-north: it keeps the evidence of its approval"):
            registry.tag(name, 1, "evidence_digest", "better")
        registry.tag(name, 2, "evidence_digest", "better")  # which is on no alias


def test_a_verdict_that_was_read_before_another_one_counts_for_nothing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, other, read = registry.model(1), "d" * 64, deciding.failed_gates

    def then_judged_anew(*arguments: Any) -> tuple[str, ...]:
        """Files take long to hash: meanwhile the validator records another verdict."""
        read(*arguments)
        registry.judge(name, 1, gates="failed", evidence=other)
        return ("the gate of the verdict before",)

    monkeypatch.setattr(deciding, "failed_gates", then_judged_anew)
    with registry.by("rita"), pytest.raises(MlflowException, match="it did not pass its gates") as caught:
        registry.store.promote(name, 1)
    assert "the gate of the verdict before" not in str(caught.value)
    # and of the same verdict the gates are told by name
    with registry.by("rita"), pytest.raises(MlflowException, match="the gate of the verdict before"):
        registry.store.promote(name, 1)


def test_a_number_that_is_used_again_starts_with_nothing(registry: Registry) -> None:
    name = registry.model(1, judged=False)
    registry.judge(name, 1)
    with registry.by("ann"):
        registry.store.delete_registered_model(name)
    with registry.by("bob"):
        registry.store.create_registered_model(name)
        registry.store.create_model_version(name, str(registry.files(name, 1)))
    with registry.by("rita"), registry.refused("nobody has judged it"):
        registry.store.promote(name, 1)
    registry.judge(name, 1)
    with registry.by("rita"):
        registry.store.promote(name, 1)


def test_a_renamed_model_takes_with_it_what_is_known_of_it(registry: Registry) -> None:
    name = registry.model(1)
    with registry.by("otto"):
        registry.store.rename_registered_model(name, f"{name}-b")
    with registry.by("ann"), registry.refused("you made or registered this version"):
        registry.store.promote(f"{name}-b", 1)
    with registry.by("rita"):
        registry.store.promote(f"{name}-b", 1)
    # and whoever takes the old name finds nothing
    with registry.by("bob"):
        registry.store.create_registered_model(name)
        registry.store.create_model_version(name, str(registry.files(name, 1)))
    with registry.by("rita"), registry.refused("nobody has judged it"):
        registry.stage(name, 1, "Production")


def test_a_no_is_not_renamed_away(registry: Registry) -> None:
    name = registry.model(1)
    with registry.by("rob"):
        registry.store.review(name, 1, "reject", "counts rain")
    with registry.by("otto"), registry.refused("somebody has decided on one of its versions"):
        registry.store.rename_registered_model(name, f"{name}-b")


def test_no_version_is_hidden_as_a_prompt(registry: Registry) -> None:
    """One version with MLflow's mark of a prompt would hide all others of the model from its search."""
    name = registry.model(1)
    mark = [ModelVersionTag("mlflow.prompt.is_prompt", "true")]
    with registry.by("ann"):
        with registry.refused("is for prompts"):
            registry.store.create_model_version(name, str(registry.files(name, 1)), tags=mark)
        with registry.refused("is given when something is made"):
            registry.tag(name, 1, "mlflow.prompt.is_prompt", "true")
        with registry.refused("is given when something is made"):
            registry.store.set_registered_model_tag(name, RegisteredModelTag("mlflow.prompt.is_prompt", "true"))
        prompt = [RegisteredModelTag("mlflow.prompt.is_prompt", "true")]
        registry.store.create_registered_model(f"{name}-prompt", prompt)
        registry.store.create_model_version(f"{name}-prompt", "dummy-source", tags=mark)
    assert registry.state(name)[1] == {"1": "None"}


def test_the_rollout_alone_moves_serving_once_there_is_one(registry: Registry) -> None:
    name = registry.model(3)
    with registry.by("rita"):
        registry.store.promote(name, 1)
    with registry.by("root", is_admin=True):
        registry.store.grant("rollout", "rollout")
    try:
        with registry.by("rita"):
            registry.store.promote(name, 2)
        assert registry.state(name)[0] == {"champion": "2", "previous": "1", "serving": "1"}
        with registry.by("rita"), registry.refused("takes the role rollout"):
            registry.store.set_registered_model_alias(name, "serving", "2")
        with registry.by("rollout"):
            registry.store.set_registered_model_alias(name, "serving", "2")
            with registry.refused("only the champion and champions before it"):
                registry.store.set_registered_model_alias(name, "serving", "3")
            with registry.refused("whoever loads the alias would find nothing"):
                registry.store.delete_registered_model_alias(name, "serving")
        assert registry.state(name)[0]["serving"] == "2"
    finally:
        with registry.by("root", is_admin=True):
            registry.store.withdraw("rollout", "rollout")


def test_roles_are_given_by_another(registry: Registry) -> None:
    with registry.by("root", is_admin=True):
        with registry.refused("nobody gives a role to themselves"):
            registry.store.grant("Root", "reviewer")
        with registry.refused("one log-in is a program (validator) or a person (reviewer)"):
            registry.store.grant("rita", "validator")
        with pytest.raises(MlflowException, match="there is no role 'king'"):
            registry.store.grant("rita", "king")
        registry.store.grant("nora", "reviewer")
        registry.store.withdraw("nora", "reviewer")
    assert registry.store.grants("nora") == ()
    with registry.by("rita"), registry.refused("takes the role admin"):
        registry.store.grant("nora", "reviewer")


def test_a_yes_of_somebody_whom_the_author_made_reviewer_counts_for_nothing(registry: Registry) -> None:
    with registry.by("root", is_admin=True):
        registry.store.grant("boss", "admin")
        registry.store.grant("boss", "data_scientist")
    with registry.by("boss"):
        registry.store.grant("puppet", "reviewer")
    name = registry.model(1, "boss")
    with registry.by("puppet"):
        registry.store.review(name, 1, "approve", "as you say")
    with registry.by("otto"), registry.refused("0 of 1 approvals"):
        registry.stage(name, 1, "Production")
    with registry.by("puppet"), registry.refused("0 of 1 approvals"):
        registry.stage(name, 1, "Production")

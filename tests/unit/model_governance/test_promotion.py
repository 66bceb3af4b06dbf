"""Promotion, rejection, the way back, and what somebody clicked in the UI; in a real MLflow registry."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from model_governance import (
    GateError,
    GovernanceError,
    Policy,
    TamperError,
    TransitionError,
    check,
    promote,
    register,
    reject,
    reopen,
    rollback,
    sync,
)
from model_governance.stages import move_to_stage
from model_governance.standing import STANDING_TAG

MakeModel = Callable[..., str]
State = Callable[[str], dict[str, Any]]


def standing(state: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    return state["aliases"], {number: stage for number, (stage, _) in state["versions"].items()}


def test_promotion_moves_stage_and_alias_together(two: tuple[str, str], registry_state: State) -> None:
    promote("m", 2, "Ann", "counts better at dusk")
    state = registry_state("m")
    assert standing(state) == (
        {"champion": "2", "serving": "2", "previous": "1"},
        {"1": "Archived", "2": "Production"},
    )
    tags = state["versions"]["2"][1]
    assert (tags["review"], tags["approved_by"], tags["approval_comment"]) == (
        "approved",
        "Ann",
        "counts better at dusk",
    )
    assert check("m") == []


def test_a_second_yes_changes_nothing(two: tuple[str, str], registry_state: State) -> None:
    promote("m", 2, "Ann", "yes")
    before = registry_state("m")
    promote("m", 2, "Bob", "yes again")
    assert registry_state("m") == before


def test_with_a_rollout_serving_stays_where_it_is(two: tuple[str, str], registry_state: State) -> None:
    promote("m", 2, "Ann", "yes", move_serving=False)
    assert registry_state("m")["aliases"] == {"champion": "2", "previous": "1", "serving": "1"}
    assert check("m") == []


@pytest.mark.parametrize(
    ("by", "comment", "message"),
    [
        ("", "good", "a name is missing"),
        ("  ", "good", "a name is missing"),
        ("Ann", "\n", "a comment is missing"),
        ("", "", "a name and a comment is missing"),
        ("Ann", "x" * 1001, "1001 characters"),
    ],
)
def test_nobody_promotes_without_name_and_reason(
    two: tuple[str, str], by: str, comment: str, message: str
) -> None:
    for move in (promote, reject):
        with pytest.raises(TransitionError, match=message):
            move("m", 2, by, comment)
    with pytest.raises(TransitionError, match=message):
        rollback("m", by, comment)
    with pytest.raises(TransitionError, match=message):
        sync("m", by, comment)


def test_a_version_that_failed_its_gates_is_not_promoted(
    make_model: MakeModel, policy: Policy, registry_state: State
) -> None:
    register(make_model(metrics={"score": 0.1, "latency_ms": 1}), "m", policy)
    before = registry_state("m")
    with pytest.raises(GateError, match=r"score failed: expected at least 0\.5, got 0\.1"):
        promote("m", 1, "Ann", "please")
    assert registry_state("m") == before


def test_a_forged_tag_does_not_help(make_model: MakeModel, policy: Policy) -> None:
    register(make_model(metrics={"score": 0.1, "latency_ms": 1}), "m", policy)
    MlflowClient().set_model_version_tag("m", "1", "gates", "passed")
    with pytest.raises(GateError, match="did not pass its gates"):
        promote("m", 1, "Ann", "please")


@pytest.mark.parametrize("part", ["evidence", "verdict", "policy"])
def test_altered_evidence_is_found(make_model: MakeModel, policy: Policy, part: str) -> None:
    register(make_model(metrics={"score": 0.4, "latency_ms": 1}), "m", policy)
    client = MlflowClient()
    version = client.get_model_version("m", "1")
    path = f"{version.tags['evidence']}/{part}.json"
    text = Path(client.download_artifacts(version.run_id, path)).read_text()
    for old, new in (("0.4", "0.9"), ('"passed": false', '"passed": true'), ("0.5", "0.1")):
        text = text.replace(old, new)
    client.log_text(version.run_id, text, path)
    with pytest.raises(TamperError, match="somebody changed it"):
        promote("m", 1, "Ann", "please")


def test_files_altered_after_the_gates_are_found(
    two: tuple[str, str], model_folder: Callable[[str], Path], registry_state: State
) -> None:
    (model_folder(two[1]) / "requirements.txt").write_text("surprise\n")
    before = registry_state("m")
    with pytest.raises(TamperError, match="was judged; somebody changed them"):
        promote("m", 2, "Ann", "yes")
    assert registry_state("m") == before
    assert "was judged" in check("m")[0]


def test_a_version_that_was_never_judged_is_not_promoted(
    store: str, make_model: MakeModel, policy: Policy
) -> None:
    client = MlflowClient()
    client.create_registered_model("m")
    client.create_model_version("m", make_model())
    with pytest.raises(GovernanceError, match="carries no evidence"):
        promote("m", 1, "Ann", "yes")


def test_a_verdict_against_a_former_champion_is_out_of_date(
    two: tuple[str, str], make_model: MakeModel, policy: Policy
) -> None:
    register(make_model(3), "m", policy)
    promote("m", 2, "Ann", "yes")
    with pytest.raises(TransitionError, match="was judged against champion 1, but the champion is 2"):
        promote("m", 3, "Ann", "yes")


def test_rejection(two: tuple[str, str], registry_state: State) -> None:
    reject("m", 2, "Ann", "counts shadows")
    aliases, stages = standing(registry_state("m"))
    assert aliases == {"champion": "1", "serving": "1"}
    assert stages == {"1": "Production", "2": "Archived"}
    with pytest.raises(TransitionError, match=r"was rejected by Ann on 20\d\d-\d\d-\d\d: counts shadows"):
        promote("m", 2, "Bob", "but I like it")
    with pytest.raises(TransitionError, match="use `model-governance rollback`"):
        reject("m", 1, "Ann", "no")


def test_rollback_goes_back_and_never_forward(
    two: tuple[str, str], make_model: MakeModel, policy: Policy, registry_state: State
) -> None:
    promote("m", 2, "Ann", "yes")
    register(make_model(3), "m", policy)
    promote("m", 3, "Ann", "yes")
    rollback("m", "Bob", "blind at night")
    assert standing(registry_state("m")) == (
        {"champion": "2", "serving": "2", "previous": "1"},
        {"1": "Archived", "2": "Production", "3": "Archived"},
    )
    rollback("m", "Bob", "this one too")
    assert registry_state("m")["aliases"] == {"champion": "1", "serving": "1"}
    with pytest.raises(TransitionError, match="no previous version"):
        rollback("m", "Bob", "and again")
    with pytest.raises(TransitionError, match=r"was rolled back by Bob on [\d-]+: blind at night"):
        promote("m", 3, "Ann", "once more")
    assert check("m") == []


def test_rollback_never_comes_back_to_what_was_rolled_back(two: tuple[str, str], registry_state: State) -> None:
    promote("m", 2, "Ann", "yes")
    promote("m", 1, "Ann", "the first was better after all")
    rollback("m", "Bob", "it was not")
    assert registry_state("m")["aliases"] == {"champion": "2", "serving": "2"}
    with pytest.raises(TransitionError, match="no previous version"):
        rollback("m", "Bob", "and further back")


def test_rollback_passes_over_a_champion_that_was_rejected_since(
    two: tuple[str, str], make_model: MakeModel, policy: Policy, registry_state: State
) -> None:
    promote("m", 2, "Ann", "yes")
    for number in (3, 4):
        register(make_model(number), "m", policy)
        promote("m", number, "Ann", "yes")
    reject("m", 2, "Ann", "looked at again: counts shadows")
    rollback("m", "Bob", "blind at night")
    assert registry_state("m")["aliases"] == {"champion": "3", "serving": "3", "previous": "1"}
    rollback("m", "Bob", "this one too")
    assert registry_state("m")["aliases"] == {"champion": "1", "serving": "1"}
    assert check("m") == []


def test_a_reopened_version_is_judged_and_decided_anew(two: tuple[str, str], policy: Policy) -> None:
    reject("m", 2, "Ann", "counts shadows")
    reopen("m", 2, "Ann", "the shadows were people")
    with pytest.raises(TransitionError, match="nobody has decided on version 2"):
        reopen("m", 2, "Ann", "again")
    assert register(two[1], "m", policy).version == "2"
    assert str(MlflowClient().get_model_version_by_alias("m", "challenger").version) == "2"
    promote("m", 2, "Ann", "yes")
    tags = MlflowClient().get_model_version("m", "2").tags
    assert (tags["review"], tags["reopened_by"], tags["reopening_reason"]) == (
        "approved",
        "Ann",
        "the shadows were people",
    )
    with pytest.raises(TransitionError, match="use `model-governance rollback`"):
        reopen("m", 2, "Ann", "hm")


def test_evidence_expires_also_after_it_was_judged(two: tuple[str, str], registry_state: State) -> None:
    before = registry_state("m")
    with pytest.raises(GateError, match=r"has expired: age of metrics failed: .*at most 30 days, got 31\.0 days"):
        promote("m", 2, "Ann", "yes", now=datetime.now(UTC) + timedelta(days=31))
    assert registry_state("m") == before
    promote("m", 2, "Ann", "yes", now=datetime.now(UTC) + timedelta(days=29))


def test_a_verdict_by_another_policy_than_today_s_does_not_stand(two: tuple[str, str], policy: Policy) -> None:
    stricter = policy.model_copy(update={"quality": (policy.quality[0].model_copy(update={"min": 0.7}),)})
    with pytest.raises(TransitionError, match="register it again with today's"):
        promote("m", 2, "Ann", "yes", policy=stricter)
    register(two[1], "m", stricter)
    assert promote("m", 2, "Ann", "yes", policy=stricter).champion == "2"


def test_rollback_to_altered_files_is_refused(two: tuple[str, str], model_folder: Callable[[str], Path]) -> None:
    promote("m", 2, "Ann", "yes")
    (model_folder(two[0]) / "requirements.txt").write_text("surprise\n")
    with pytest.raises(TamperError):
        rollback("m", "Bob", "blind at night")


def test_stage_set_in_the_ui_becomes_a_promotion(two: tuple[str, str], registry_state: State) -> None:
    move_to_stage(MlflowClient(), "m", "2", "Production")
    assert any("version 2 is in stage Production" in sentence for sentence in check("m"))
    result = sync("m", "Ann", "as clicked")
    assert (result.followed, result.refused) == (("version 2: promoted",), ())
    state = registry_state("m")
    assert standing(state) == (
        {"champion": "2", "serving": "2", "previous": "1"},
        {"1": "Archived", "2": "Production"},
    )
    assert state["versions"]["2"][1]["approval_comment"] == "as clicked (stage set by hand)"
    assert check("m") == []


def test_alias_set_in_the_ui_becomes_a_promotion(two: tuple[str, str], registry_state: State) -> None:
    MlflowClient().set_registered_model_alias("m", "champion", "2")
    assert sync("m", "Ann", "as clicked").followed == ("version 2: promoted",)
    assert registry_state("m")["versions"]["2"][0] == "Production"


def test_a_failed_version_set_to_production_in_the_ui_is_refused_and_taken_back(
    make_model: MakeModel, policy: Policy, registry_state: State
) -> None:
    register(make_model(1), "m", policy)
    promote("m", 1, "Ann", "the first")
    register(make_model(2, metrics={"score": 0.1, "latency_ms": 1}), "m", policy)
    before = registry_state("m")
    move_to_stage(MlflowClient(), "m", "2", "Production")
    result = sync("m", "Ann", "as clicked")
    assert result.followed == ()
    assert "did not pass its gates" in result.refused[0]
    assert registry_state("m")["aliases"] == before["aliases"]
    assert sync("m", "Ann", "as clicked", revert=True).reverted
    assert registry_state("m") == before


def test_two_versions_in_production_are_refused(
    two: tuple[str, str], make_model: MakeModel, policy: Policy
) -> None:
    register(make_model(3), "m", policy)
    client = MlflowClient()
    for number in ("2", "3"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            client.transition_model_version_stage("m", number, "Production")
    result = sync("m", "Ann", "as clicked")
    assert result.followed == ()
    assert "only one can be" in result.refused[0]


def test_an_archived_challenger_is_a_rejection(two: tuple[str, str], registry_state: State) -> None:
    move_to_stage(MlflowClient(), "m", "2", "Archived")
    assert sync("m", "Ann", "no").followed == ("version 2: rejected",)
    assert registry_state("m")["versions"]["2"][1]["review"] == "rejected"


def test_a_champion_taken_out_of_production_is_told_of(two: tuple[str, str]) -> None:
    move_to_stage(MlflowClient(), "m", "1", "None")
    assert "use `model-governance rollback`" in sync("m", "Ann", "hm").refused[0]
    assert sync("m", "Ann", "hm", revert=True).reverted
    assert check("m") == []


def test_a_lost_serving_alias_is_told_of_and_put_back(two: tuple[str, str]) -> None:
    MlflowClient().delete_registered_model_alias("m", "serving")
    assert check("m") == ["alias serving is on no version; it should be on version 1"]
    sync("m", "Ann", "repair", revert=True)
    assert check("m") == []


def test_a_spoilt_record_is_told_of(two: tuple[str, str]) -> None:
    MlflowClient().set_registered_model_tag("m", STANDING_TAG, "{}x")
    with pytest.raises(TamperError, match="is not one that this package wrote"):
        promote("m", 2, "Ann", "yes")


@pytest.mark.parametrize("move", [lambda: promote("x", 1, "Ann", "y"), lambda: check("x")])
def test_a_model_that_does_not_exist(store: str, move: Callable[[], Any]) -> None:
    with pytest.raises(TransitionError, match="there is no registered model 'x'"):
        move()


def test_no_warning_of_deprecated_stages_reaches_the_user_and_no_other_is_hidden(two: tuple[str, str]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        promote("m", 2, "Ann", "yes")
    assert [str(w.message) for w in caught if issubclass(w.category, FutureWarning)] == []


WRITES = (
    "set_registered_model_tag",
    "set_registered_model_alias",
    "delete_registered_model_alias",
    "set_model_version_tag",
    "transition_model_version_stage",
    "create_model_version",
    "update_model_version",
    "log_text",
    "set_logged_model_tags",
)


class Killed(BaseException):
    """Nothing in the package may catch this."""


def _die_at(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """Let the n-th write of the client end everything, before it is done; gives the writes so far."""
    done: list[str] = []
    for write in WRITES:
        original = getattr(MlflowClient, write)

        def counted(*args: Any, _original: Any = original, _write: str = write, **kwargs: Any) -> Any:
            if len(done) == number:
                raise Killed(_write)
            done.append(_write)
            return _original(*args, **kwargs)

        monkeypatch.setattr(MlflowClient, write, counted)
    return done


def _without_times(state: dict[str, Any]) -> dict[str, Any]:
    versions = {
        number: (stage, {key: value for key, value in tags.items() if not key.endswith("_at")})
        for number, (stage, tags) in state["versions"].items()
    }
    return {**state, "versions": versions}


@pytest.mark.slow
@pytest.mark.parametrize(
    "move",
    [
        lambda uri, policy: promote("m", 2, "Ann", "yes"),
        lambda uri, policy: reject("m", 2, "Ann", "no"),
        lambda uri, policy: register(uri, "m", policy),
    ],
    ids=["promote", "reject", "register"],
)
def test_killed_at_any_write_and_run_again_it_ends_the_same(
    two: tuple[str, str],
    workplace: Any,
    make_model: MakeModel,
    policy: Policy,
    registry_state: State,
    move: Callable[[str, Policy], Any],
    request: pytest.FixtureRequest,
) -> None:
    """Each write in turn is the one that never happens; the second try must end where an undisturbed one ends."""
    third = make_model(3)
    workplace.keep(request.node.name)
    move(third, policy)
    wanted = _without_times(registry_state("m"))
    for number in range(60):
        workplace.restore(request.node.name)
        with pytest.MonkeyPatch.context() as patch:
            done = _die_at(patch, number)
            try:
                move(third, policy)
            except Killed:
                pass
            else:
                break
        move(third, policy)
        assert _without_times(registry_state("m")) == wanted, f"killed at write {number}, after {done}"
    else:
        pytest.fail("more than 60 writes")
    assert check("m") == []
    assert number >= 5, "too few writes were tried for this test to say anything"


@pytest.mark.slow
def test_killed_for_real_in_the_middle_the_next_command_finishes_it(
    two: tuple[str, str], store: str, registry_state: State
) -> None:
    code = (
        "import os, signal, mlflow; from mlflow import MlflowClient; from model_governance import promote; "
        f"mlflow.set_tracking_uri({store!r}); mlflow.set_registry_uri({store!r}); "
        "MlflowClient.set_registered_model_alias = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL); "
        "promote('m', 2, 'Ann', 'yes')"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code], check=False, env={**os.environ, "PYTHONWARNINGS": "ignore"}
    )
    assert killed.returncode == -signal.SIGKILL
    assert "interrupted" in check("m")[0]
    sync("m", "Ann", "finish what was begun")
    assert standing(registry_state("m")) == (
        {"champion": "2", "serving": "2", "previous": "1"},
        {"1": "Archived", "2": "Production"},
    )
    assert registry_state("m")["versions"]["2"][1]["approved_by"] == "Ann"

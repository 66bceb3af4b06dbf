"""Registration in a real MLflow registry."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from model_governance import (
    EvidenceError,
    GateError,
    Policy,
    TamperError,
    TransitionError,
    collect,
    evaluation_of,
    promote,
    register,
    reject,
)
from model_governance.bundle import read_bundle
from model_governance.change_log import change_log

MakeModel = Callable[..., str]


def test_a_version_that_passes_becomes_the_challenger(make_model: MakeModel, policy: Policy) -> None:
    done = register(make_model(), "m", policy)
    assert done.passed
    assert (done.version, done.semantic_version, done.created) == ("1", "1.0.0", True)
    version = MlflowClient().get_model_version_by_alias("m", "challenger")
    assert (str(version.version), version.current_stage) == ("1", "Staging")
    assert version.tags["gates"] == "passed"
    assert version.tags["artifact_digest"] == done.evidence.artifact.digest
    assert version.tags["source_run_id"] == version.run_id == done.evidence.run_id
    assert version.tags["policy_digest"] == policy.digest


def test_a_version_that_fails_is_kept_with_its_reasons_but_stands_nowhere(
    make_model: MakeModel, policy: Policy
) -> None:
    done = register(make_model(metrics={"score": 0.4, "latency_ms": 20}), "m", policy)
    client = MlflowClient()
    version = client.get_model_version("m", done.version)
    assert not done.passed
    assert (version.current_stage, version.aliases, version.tags["gates"]) == ("None", [], "failed")
    assert "**Failed 1 of 9 gates.**" in version.description
    with pytest.raises(GateError, match=r"score failed: expected at least 0\.5, got 0\.4 \(worse is of no use\)"):
        done.require_passed()


@pytest.mark.parametrize("text", ["nonsense", "{}", "7", "null", 9000 * "["])
def test_a_tag_of_the_logged_model_that_is_no_list_stops_no_registration(
    make_model: MakeModel, policy: Policy, text: str
) -> None:
    uri, client = make_model(), MlflowClient()
    client.set_logged_model_tags(uri[8:], {MLFLOW_MODEL_VERSIONS: text})
    register(uri, "m", policy)
    assert str(client.get_model_version_by_alias("m", "challenger").version) == "1"
    assert linked(uri) == [("m", "1")]


@pytest.mark.parametrize("approved", [False, True])
def test_a_registration_that_died_before_its_link_is_completed(
    make_model: MakeModel, policy: Policy, monkeypatch: pytest.MonkeyPatch, approved: bool
) -> None:
    uri, client = make_model(), MlflowClient()
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_logged_model_tags", _die)
        with pytest.raises(KeyboardInterrupt):
            register(uri, "m", policy)
    assert str(client.get_model_version_by_alias("m", "challenger").version) == "1"
    assert linked(uri) == []
    if approved:
        promote("m", 1, "Ann", "the first")
    assert register(uri, "m", policy).version == "1"
    assert linked(uri) == [("m", "1")]


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def linked(uri: str) -> list[tuple[str, str]]:
    text = MlflowClient().get_logged_model(uri[8:]).tags.get(MLFLOW_MODEL_VERSIONS, "[]")
    return [(each["name"], str(each["version"])) for each in json.loads(text)]


def test_the_same_files_make_one_version(make_model: MakeModel, policy: Policy) -> None:
    uri = make_model()
    first, again = register(uri, "m", policy), register(uri, "m", policy)
    assert (again.version, again.created) == (first.version, False)
    assert len(MlflowClient().search_model_versions("name='m'")) == 1


def test_new_evidence_for_the_same_files_is_judged_anew(make_model: MakeModel, policy: Policy) -> None:
    uri = make_model(evaluate=False)
    assert not register(uri, "m", policy).passed
    with evaluation_of(uri):
        mlflow.log_metrics({"score": 0.9, "latency_ms": 5}, model_id=uri.removeprefix("models:/"))
    again = register(uri, "m", policy)
    assert (again.version, again.passed, again.semantic_version) == ("1", True, "1.0.0")
    version = MlflowClient().get_model_version_by_alias("m", "challenger")
    assert (version.tags["gates"], version.current_stage) == ("passed", "Staging")
    assert "Passed all 9 gates" in version.description


def test_a_challenger_that_no_longer_passes_stands_down(make_model: MakeModel, policy: Policy) -> None:
    uri = make_model()
    register(uri, "m", policy)
    stricter = policy.model_copy(
        update={"quality": (policy.quality[0].model_copy(update={"min": 0.95}),)},
    )
    register(uri, "m", stricter)
    version = MlflowClient().get_model_version("m", "1")
    assert (version.current_stage, version.aliases, version.tags["gates"]) == ("None", [], "failed")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [(("text",), "1.1.0"), (("text", "place"), "2.0.0")],
    ids=["retrained", "another signature"],
)
def test_semantic_versions(make_model: MakeModel, policy: Policy, columns: tuple[str, ...], expected: str) -> None:
    register(make_model(1), "m", policy)
    assert register(make_model(2, columns=columns), "m", policy).semantic_version == expected


def test_a_newer_challenger_takes_the_place_of_the_older(make_model: MakeModel, policy: Policy) -> None:
    register(make_model(1), "m", policy)
    register(make_model(2), "m", policy)
    client = MlflowClient()
    assert str(client.get_model_version_by_alias("m", "challenger").version) == "2"
    assert [client.get_model_version("m", n).current_stage for n in ("1", "2")] == ["None", "Staging"]


def test_a_worse_model_than_the_champion_fails(make_model: MakeModel, policy: Policy) -> None:
    register(make_model(1, metrics={"score": 0.9, "latency_ms": 9}), "m", policy)
    promote("m", 1, "Ann", "good")
    done = register(make_model(2, metrics={"score": 0.84, "latency_ms": 9}), "m", policy)
    (row,) = done.verdict.failures
    assert (row.expected, row.got) == ("at least 0.85 (champion 0.9)", "0.84")


def test_files_changed_after_the_evaluation_fail(
    make_model: MakeModel, policy: Policy, model_folder: Callable[[str], Path]
) -> None:
    uri = make_model()
    (model_folder(uri) / "requirements.txt").write_text("surprise\n")
    done = register(uri, "m", policy)
    assert [row.gate for row in done.verdict.failures] == ["files unchanged since evaluation"]


def test_files_that_change_during_the_evaluation_are_not_vouched_for(
    make_model: MakeModel, model_folder: Callable[[str], Path]
) -> None:
    uri = make_model(evaluate=False)
    with pytest.raises(TamperError, match="changed during the evaluation"), evaluation_of(uri):
        (model_folder(uri) / "requirements.txt").write_text("surprise\n")
    assert collect(uri).evaluated_digest is None


def test_old_figures_fail(make_model: MakeModel, policy: Policy) -> None:
    done = register(make_model(), "m", policy, now=datetime.now(UTC) + timedelta(days=31))
    assert [row.gate for row in done.verdict.failures] == ["age of metrics"]


@pytest.mark.parametrize("uri", ["models:/m-nowhere", "runs:/nowhere/model", "models:/absent/1", "nonsense"])
def test_where_there_is_no_model_nothing_is_registered(store: str, policy: Policy, uri: str) -> None:
    with pytest.raises(EvidenceError, match="no model at"):
        register(uri, "m", policy)
    with pytest.raises(MlflowException):
        MlflowClient().get_registered_model("m")


def test_a_model_without_a_run_shows_nothing(store: str, policy: Policy) -> None:
    logged = mlflow.initialize_logged_model(name="orphan")
    with pytest.raises(EvidenceError, match="has no source run"):
        register(f"models:/{logged.model_id}", "m", policy)


def test_a_runs_uri_finds_the_same_model(make_model: MakeModel, policy: Policy) -> None:
    uri = make_model()
    first = register(uri, "m", policy)
    again = register(f"runs:/{first.evidence.run_id}/model", "m", policy)
    assert (again.version, again.created) == ("1", False)


def test_metrics_of_a_run_with_two_models_belong_to_neither(make_model: MakeModel, tmp_path: Path) -> None:
    uri = make_model()
    run_id = collect(uri).run_id
    MlflowClient().log_metric(run_id, "loose", 1.0)
    assert "loose" in collect(uri).metrics
    with mlflow.start_run(run_id=run_id):
        mlflow.pyfunc.log_model(name="second", python_model=str(tmp_path / "model_1.0.py"), pip_requirements=[])
    assert "loose" not in collect(uri).metrics
    assert "score" in collect(uri).metrics


def test_a_figure_logged_by_hand_is_no_measurement(make_model: MakeModel, policy: Policy) -> None:
    """No evaluation measured `loose`; whoever may edit the run wrote it there."""
    uri = make_model()
    rule = policy.quality[0].model_copy(update={"metric": "loose"})
    more = policy.model_copy(update={"quality": (*policy.quality, rule)})
    run_id = collect(uri).run_id
    MlflowClient().log_metric(run_id, "loose", 1.0)
    (row,) = register(uri, "m", more).verdict.failures
    assert (row.section, row.gate) == ("freshness", "figures from evaluations")
    assert "logged outside of one: loose" in row.got
    with mlflow.start_run(run_id=run_id), evaluation_of(uri):
        mlflow.log_metric("loose", 1.0)
        mlflow.log_metrics({"score": 0.8, "latency_ms": 20.0}, model_id=uri.removeprefix("models:/"))
    assert register(uri, "m", more).passed


def test_the_description_lets_a_reviewer_decide(make_model: MakeModel, policy: Policy) -> None:
    register(make_model(1), "m", policy)
    promote("m", 1, "Ann", "good")
    metrics = {"score": 0.9, "latency_ms": 9, **{f"slice/{n:03}": n / 7 for n in range(300)}}
    done = register(make_model(2, metrics=metrics), "m", policy)
    text = MlflowClient().get_model_version("m", done.version).description
    assert len(text) < 5000
    for part in (
        "# m 1.1.0",
        "| score | 0.9 | 0.8 |",
        "champion (version 1)",
        done.evidence.run_id,
        "mlflow models serve",
    ):
        assert part in text
    assert "more in the evidence)" in text


def test_the_description_says_slices_differences_and_costs_at_a_glance(make_model: MakeModel) -> None:
    rules: dict[str, Any] = {
        "format_version": 1,
        "slices": [{"metric": "slice/light/*/score", "min": 0.5, "min_samples": 9, "reason": "each light"}],
        "champion": [{"metric": "score", "better": "higher", "worse_by_at_most": 0.1, "reason": "no step back"}],
        "business": [
            {"cost": "wrong counts", "unit": "EUR", "terms": [{"metric": "score", "weight": 2}], "max": 3,
             "reason": "money"}
        ],
    }  # fmt: skip
    figures = {"score": 0.8, "slice/light/day/score": 0.9, "slice/light/day/n": 9, "slice/light/night/score": 0.4}
    done = register(make_model(metrics={**figures, "slice/light/night/n": 30}), "m", Policy.model_validate(rules))
    text = MlflowClient().get_model_version("m", done.version).description
    for line in (
        "- Slices: slice/light/night/score: 0.4 (30 samples) **(failed)**",
        "- Cost: wrong counts: 1.6 EUR",
    ):
        assert line in text
    assert "- Champion" not in text, "there is none to be held against"


def test_a_description_cannot_be_broken_by_what_it_tells_of(make_model: MakeModel, policy: Policy) -> None:
    uri = make_model(evaluate=False)
    run_id = collect(uri).run_id
    MlflowClient().set_tag(run_id, "team", "a | b\n# not a heading " + "x" * 9000)
    text = MlflowClient().get_model_version("m", register(uri, "m", policy).version).description
    assert len(text) < 5000
    assert "\n# not a heading" not in text
    assert "a \\| b" in text


def test_a_description_holds_no_html_and_no_picture_of_others(make_model: MakeModel, policy: Policy) -> None:
    uri = make_model()
    run_id = collect(uri).run_id
    MlflowClient().set_tag(run_id, "team", "<img src=x> ![seen](https://example.org/p.png) \\|")
    MlflowClient().set_tag(run_id, "lineage.git_commit", "abc`\n\n# Approved by Ann")
    rule = policy.records[0].model_copy(update={"equals": "us"})
    text = (
        MlflowClient()
        .get_model_version("m", register(uri, "m", policy.model_copy(update={"records": (rule,)})).version)
        .description
    )
    assert "<img" not in text
    assert "![" not in text
    assert "\n# Approved" not in text


def test_the_bundle_is_kept_with_the_run_and_never_overwritten(make_model: MakeModel, policy: Policy) -> None:
    uri = make_model()
    first = register(uri, "m", policy)
    stricter = policy.model_copy(update={"quality": (policy.quality[0].model_copy(update={"min": 0.6}),)})
    register(uri, "m", stricter)
    folders = MlflowClient().list_artifacts(first.evidence.run_id, "governance")
    assert len(folders) == 2
    bundle = read_bundle(MlflowClient().get_model_version("m", "1"))
    assert (bundle.policy, bundle.evidence.artifact) == (stricter, first.evidence.artifact)


def test_a_no_holds_for_the_files_whatever_is_measured_later(
    make_model: MakeModel, policy: Policy, registry_state: Callable[[str], dict[str, Any]]
) -> None:
    uri = make_model()
    register(uri, "m", policy)
    reject("m", 1, "Ann", "counts shadows")
    before = registry_state("m")
    with evaluation_of(uri), mlflow.start_run():
        mlflow.log_metrics({"score": 0.99, "latency_ms": 5.0}, model_id=uri.removeprefix("models:/"))
    day = datetime.now(UTC).date().isoformat()
    with pytest.raises(
        TransitionError, match=f"version 1 of 'm' holds these files and was rejected by Ann on {day}"
    ):
        register(uri, "m", policy)
    assert registry_state("m") == before


def _measure_and_fail(model_id: str) -> None:
    mlflow.log_metric("score", 0.98, model_id=model_id)
    raise ZeroDivisionError


def _measure_in_two_runs(model_id: str) -> None:
    for name in ("score", "latency_ms"):
        with mlflow.start_run():
            mlflow.log_metric(name, 1.0, model_id=model_id)


def test_evidence_is_one_evaluation_and_no_mixture(make_model: MakeModel) -> None:
    uri = make_model(metrics={"score": 0.8, "latency_ms": 20.0, "clips": 3.0})
    model_id = uri.removeprefix("models:/")
    with evaluation_of(uri), mlflow.start_run():
        mlflow.log_metrics({"score": 0.7, "latency_ms": 30.0}, model_id=model_id)
    # Neither what the evaluation before measured, nor what somebody tries out afterwards.
    with mlflow.start_run():
        mlflow.log_metrics({"score": 0.99, "latency_ms": 1.0}, model_id=model_id)
    with pytest.raises(ZeroDivisionError), evaluation_of(uri), mlflow.start_run():
        _measure_and_fail(model_id)
    shown = {name: measured.value for name, measured in collect(uri).metrics.items()}
    assert shown == {"score": 0.7, "latency_ms": 30.0}


def test_an_evaluation_spread_over_runs_is_no_evidence(make_model: MakeModel) -> None:
    uri = make_model(evaluate=False)
    with pytest.raises(EvidenceError, match="logged its metrics to 2 runs"), evaluation_of(uri):
        _measure_in_two_runs(uri.removeprefix("models:/"))
    assert collect(uri).evaluated_digest is None


def test_the_champion_is_compared_by_its_figures_on_the_same_data(make_model: MakeModel, policy: Policy) -> None:
    same = policy.model_copy(update={"champion": (policy.champion[0].model_copy(update={"same_data": True}),)})
    spring, autumn = (
        mlflow.data.from_pandas(pd.DataFrame({"day": [day]}), name=day) for day in ("may", "october")
    )

    def measure(uri: str, score: float, data: Any) -> None:
        with evaluation_of(uri), mlflow.start_run():
            figures = {"score": score, "latency_ms": 9.0}
            mlflow.log_metrics(figures, dataset=data, model_id=uri.removeprefix("models:/"))

    first, second = make_model(1, evaluate=False), make_model(2, evaluate=False)
    measure(first, 0.9, spring)
    assert register(first, "m", same).passed
    promote("m", 1, "Ann", "good")
    measure(second, 0.8, autumn)
    (row,) = register(second, "m", same).verdict.failures
    assert row.got.endswith("evaluate both on one data set")
    measure(first, 0.82, autumn)
    measure(first, 0.95, spring)
    again = register(second, "m", same)
    assert again.passed, "the champion's newest figures are of other data, but it has some of these"
    assert again.verdict.champion_digest is not None


def test_nobody_s_name_is_in_the_evidence(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "a-persons-name")
    assert "a-persons-name" not in collect(make_model()).model_dump_json()


def test_a_comment_in_a_change_log_is_text(make_model: MakeModel, policy: Policy) -> None:
    register(make_model(1), "m", policy)
    picture = "![seen](http://example.org/p.png)\n\n# Approved <img src=x> [go](http://example.org)"
    reject("m", 1, f"Ann {picture}", picture)
    text = change_log("m")
    page = MarkdownIt("commonmark").render(text)
    assert not [tag for tag in ("<img", "<a", "<h1>Approved") if tag in page]
    assert not re.search(r"\w://", text), "GitHub and MLflow make a link of a bare address"
    assert r"!\[seen\](http\://example.org/p.png) # Approved &lt;img src=x> \[go\]" in text

"""Evidence is the newest evaluation of each kind; what was registered before there were kinds keeps its digest."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from plain_policy import POLICY
from test_gates import evidence, policy

from model_governance import Evidence, Policy, assess, collect, evaluation_of, promote, register
from model_governance.policy import load_policy
from model_governance.rules import PairedTest

MakeModel = Callable[..., str]


def measure(uri: str, kind: str, **metrics: float) -> str:
    time.sleep(0.002)  # evaluations are told apart by their milliseconds
    with evaluation_of(uri, kind=kind), mlflow.start_run() as active:
        mlflow.log_metrics(metrics, model_id=uri.removeprefix("models:/"))
    time.sleep(0.002)
    return str(active.info.run_id)


def test_the_newest_of_each_kind_is_evidence(make_model: MakeModel) -> None:
    uri = make_model(metrics={"score": 0.8, "latency_ms": 20, "old": 1})
    measure(uri, "infrastructure", cold_start=9)
    newest = measure(uri, "infrastructure", cold_start=3)
    quality = measure(uri, "quality", score=0.9, latency_ms=20)
    robust = measure(uri, "robustness", score=0.1, night=0.5)
    shown = collect(uri)
    assert {name: each.value for name, each in shown.metrics.items()} == {
        "score": 0.9,  # of the quality, though another kind measured it later
        "latency_ms": 20,
        "cold_start": 3,
        "night": 0.5,
    }
    assert [(each.kind, each.run_id) for each in shown.evaluations] == [
        ("quality", quality),
        ("robustness", robust),
        ("infrastructure", newest),
    ]
    assert shown.evaluation_run_id == quality


def test_a_kind_alone_is_not_the_quality(make_model: MakeModel, policy: Policy) -> None:
    uri = make_model(evaluate=False)
    measure(uri, "infrastructure", latency_ms=5)
    done = register(uri, "m", policy)
    assert {row.gate: row.got for row in done.verdict.failures} == {
        "score": "not measured",
        "score against the champion": "not measured",
    }


def test_files_that_changed_after_any_kind_are_refused(
    make_model: MakeModel, policy: Policy, model_folder: Callable[[str], Any]
) -> None:
    uri = make_model()
    measure(uri, "infrastructure", cold_start=9)
    (model_folder(uri) / "notes.txt").write_text("one more file")
    measure(uri, "quality", score=0.9, latency_ms=20)
    (row,) = register(uri, "m", policy).verdict.failures
    assert row.gate == "files unchanged since evaluation (infrastructure)"


@pytest.mark.parametrize("kind", ["", "Quality", "a-b", "a.b", "1st", "x" * 41])
def test_a_kind_is_a_word(make_model: MakeModel, kind: str) -> None:
    with (
        pytest.raises(ValueError, match="expected a kind of lower-case letters"),
        evaluation_of("models:/m-1", kind),
    ):
        pass


TABLE = {"columns": ["digest", "error"], "data": [[f"d{number}", number % 3] for number in range(40)]}


def table(uri: str, worse: float = 0) -> None:
    """A quality evaluation that keeps its table, as an evaluator does."""
    rows = [[key, value + worse] for key, value in TABLE["data"]]
    time.sleep(0.002)
    with evaluation_of(uri), mlflow.start_run():
        mlflow.log_dict({"columns": TABLE["columns"], "data": rows}, "evaluation_table.json")
        mlflow.log_metrics({"score": 0.8, "latency_ms": 20}, model_id=uri.removeprefix("models:/"))


def test_the_champion_is_compared_sample_by_sample(make_model: MakeModel) -> None:
    rule = {**POLICY["champion"][0], "better": "lower", "paired": {"key": "digest", "value": "error"}}
    paired = Policy.model_validate({**POLICY, "champion": [rule]})
    first, same, worse = make_model(1), make_model(2), make_model(3)
    table(first)
    assert register(first, "m", paired).passed
    promote("m", 1, "Ann", "the first")
    (row,) = register(same, "m", paired).verdict.failures
    assert row.got == "this: no table evaluation_table.json; evaluate it again"
    table(same)
    done = register(same, "m", paired)
    assert done.passed
    table(worse, 1.0)
    (row,) = register(worse, "m", paired).verdict.failures
    assert row.got == "worse by +1 [+1, +1] over 40 pairs"
    kept = done.evidence.samples[PairedTest(key="digest", value="error").columns]
    assert len(kept.keys) == 40
    assert assess(worse, paired, "m").verdict.failures == (row,)


def test_the_champion_is_told_to_be_the_champion(two: tuple[str, str], policy: Policy) -> None:
    itself, other = (assess(uri, policy, "m") for uri in two)
    assert (itself.is_champion, itself.champion_version) == (True, None)
    assert (other.is_champion, other.champion_version) == (False, "1")
    (row,) = (each for each in itself.verdict.rows if each.section == "champion")
    assert row.got == "0.8; there is no other champion to compare with"


def test_an_assessment_lets_nothing_through(make_model: MakeModel, policy: Policy) -> None:
    found = assess(make_model(), policy, "m")
    assert found.verdict.passed
    assert (found.champion, found.champion_version) == (None, None)
    assert MlflowClient().search_registered_models() == []


def test_what_was_written_before_keeps_its_digests(root: Any) -> None:
    """Recorded with the release before slices, costs, kinds and signatures: versions stay promotable."""
    assert evidence({"mae": 1.0}).digest == "0a9ea623f80399fd7321a6becb17bad42d4a5dae14833f9a633c90dbc9cb8733"
    rule = policy("champion", metric="mae", better="lower", worse_by_at_most=0.5)
    assert rule.digest == "53b99842e137fd361b392d859dc4c853065e5dc6574558ff8e870b60341484f5"
    for value in (evidence({"mae": 1.0}), rule):
        kind = type(value)
        assert kind.model_validate_json(value.model_dump_json()).digest == value.digest


def test_evidence_comes_back_as_it_was_written(make_model: MakeModel, root: Any) -> None:
    shown = collect(make_model(), load_policy(root / "pipelines" / "policy.yaml"))
    again = Evidence.model_validate_json(json.dumps(json.loads(shown.model_dump_json())))
    assert (again, again.digest) == (shown, shown.digest)

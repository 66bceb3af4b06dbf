"""What an evaluation wrote is bound to its record: whoever changes a table or a figure afterwards is found out."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from plain_policy import POLICY

from model_governance import Policy, TamperError, assess, collect, evaluation_of, promote, register
from model_governance.binding import MOST_TABLES, table_digests
from model_governance.evaluation import EVALUATION_TAG

MakeModel = Callable[..., str]

TABLE = "evaluation_table.json"
PAIRED = {"key": "digest", "value": "error"}


@pytest.fixture
def paired() -> Policy:
    rule = {**POLICY["champion"][0], "better": "lower", "paired": PAIRED}
    return Policy.model_validate({**POLICY, "champion": [rule]})


def content(error: float) -> dict[str, Any]:
    return {"columns": ["digest", "error"], "data": [[f"d{n}", error + n % 3] for n in range(40)]}


def measure(uri: str, error: float = 0.0, **metrics: float) -> str:
    """A quality evaluation that keeps its table, as an evaluator does; gives its run."""
    time.sleep(0.002)  # evaluations are told apart by their milliseconds
    with evaluation_of(uri), mlflow.start_run() as active:
        mlflow.log_dict(content(error), TABLE)
        mlflow.log_metrics({"score": 0.8, "latency_ms": 20, **metrics}, model_id=uri.removeprefix("models:/"))
    return str(active.info.run_id)


def digest_of(value: object) -> str:
    return hashlib.sha256(json.dumps(value, indent=2).encode()).hexdigest()


@pytest.fixture
def rivals(make_model: MakeModel, paired: Policy) -> tuple[tuple[str, str], tuple[str, str]]:
    """A champion and a candidate that errs more by one on each sample: URI and measuring run of each."""
    champion, candidate = make_model(1), make_model(2)
    runs = measure(champion), measure(candidate, 1.0)
    assert register(champion, "m", paired).passed
    promote("m", 1, "Ann", "the first")
    (row,) = assess(candidate, paired, "m").verdict.failures
    assert row.got == "worse by +1 [+1, +1] over 40 pairs"
    return (champion, runs[0]), (candidate, runs[1])


@pytest.mark.parametrize("whose", ["the candidate's", "the champion's"])
def test_a_table_that_was_exchanged_is_refused(
    rivals: tuple[tuple[str, str], tuple[str, str]], paired: Policy, whose: str
) -> None:
    (_, theirs), (candidate, mine) = rivals
    run_id, error = (mine, 0.0) if whose == "the candidate's" else (theirs, 1.0)
    MlflowClient().log_dict(run_id, content(error), TABLE)  # the two would now be equal
    with pytest.raises(TamperError) as caught:
        register(candidate, "m", paired)
    recorded = json.loads(MlflowClient().get_run(run_id).data.tags[record_tag(run_id)])["tables"][TABLE]
    for part in (TABLE, run_id, recorded[:16], "somebody changed it since: evaluate the model again"):
        assert part in str(caught.value)
    assert len(MlflowClient().search_model_versions("name='m'")) == 1
    uri = candidate if whose == "the candidate's" else "models:/m/1"
    measure(collect(uri).model_uri, 1.0 if whose == "the candidate's" else 0.0)
    assert assess(candidate, paired, "m").verdict.failures, "measured again it is refused for what it is"


def record_tag(run_id: str) -> str:
    (tag,) = [name for name in MlflowClient().get_run(run_id).data.tags if name.startswith(EVALUATION_TAG)]
    return tag


def test_a_table_that_came_after_the_evaluation_is_no_evidence(make_model: MakeModel, paired: Policy) -> None:
    champion, candidate = make_model(1), make_model(2)
    measure(champion)
    register(champion, "m", paired)
    promote("m", 1, "Ann", "the first")
    run_id = collect(candidate).evaluation_run_id
    assert run_id is not None
    MlflowClient().log_dict(run_id, content(-5.0), TABLE)
    (row,) = register(candidate, "m", paired).verdict.failures
    assert f"{TABLE} of run {run_id} is not among the 0 tables that its evaluation left" in row.got
    assert row.got.endswith("; evaluate it again")


def test_a_record_from_before_tables_were_recorded_still_reads_but_vouches_for_no_table(
    rivals: tuple[tuple[str, str], tuple[str, str]], paired: Policy, policy: Policy
) -> None:
    _, (candidate, run_id) = rivals
    client, tag = MlflowClient(), record_tag(run_id)
    record = json.loads(client.get_run(run_id).data.tags[tag])
    client.set_tag(run_id, tag, json.dumps({key: record[key] for key in ("began", "ended", "digest")}))
    shown = collect(candidate, policy)
    assert (shown.evaluation_run_id, shown.metrics["score"].value) == (run_id, 0.8)
    assert not shown.evaluations[0].bound
    (row,) = register(candidate, "m", paired).verdict.failures
    assert "was recorded without a digest, so nobody can say who wrote it; evaluate it again" in row.got


def test_which_tables_are_recorded(store: str, tmp_path: Path) -> None:
    with mlflow.start_run() as active:
        mlflow.log_dict({"a": 1}, "root.json")
        mlflow.log_dict({"a": 1}, "plots/deeper.json")
        mlflow.log_text("a", "notes.txt")
        mlflow.log_table(pd.DataFrame({"n": [1]}), "tables/logged.json")
    found = table_digests(MlflowClient(), active.info.run_id)
    assert list(found) == ["tables/logged.json", "root.json"]
    assert found["root.json"] == digest_of({"a": 1})


@pytest.mark.parametrize(
    ("stem", "fitting"), [("a-rather-long-name" * 2, MOST_TABLES), ("n" * 240, 18), ("ä" * 110, 8)]
)
def test_the_record_of_many_tables_fits_into_its_tag(make_model: MakeModel, stem: str, fitting: int) -> None:
    uri = make_model(evaluate=False)
    with evaluation_of(uri), mlflow.start_run() as active:
        for number in range(MOST_TABLES + 3):
            mlflow.log_dict({"n": number}, f"{stem}-{number:03}.json")
        mlflow.log_metric("score", 1.0, model_id=uri.removeprefix("models:/"))
    record = MlflowClient().get_run(active.info.run_id).data.tags[record_tag(active.info.run_id)]
    assert len(json.loads(record)["tables"]) == fitting
    assert len(record) < 8000, "MLflow cuts longer ones"
    assert re.search(rf"-{fitting - 1:03}\.json", record)
    assert collect(uri).evaluation_run_id == active.info.run_id


def _value(uri: str, name: str = "score") -> float:
    return collect(uri).metrics[name].value


def _times(run_id: str) -> tuple[int, int]:
    record = json.loads(MlflowClient().get_run(run_id).data.tags[record_tag(run_id)])
    return record["began"], record["ended"]


@pytest.mark.parametrize("name", ["score", "another"])
@pytest.mark.parametrize("end", [0, 1], ids=["as it began", "as it ended"])
def test_a_figure_with_a_time_of_an_evaluation_is_found_out(
    make_model: MakeModel, policy: Policy, name: str, end: int
) -> None:
    uri = make_model(evaluate=False)
    run_id = measure(uri)
    assert register(uri, "m", policy).passed
    forged = {"timestamp": _times(run_id)[end], "model_id": uri.removeprefix("models:/"), "step": 7}
    MlflowClient().log_metric(run_id, name, 0.99, **forged)
    with pytest.raises(TamperError, match=f"metrics that run {run_id} logged for {uri} have digest"):
        register(uri, "m", policy)
    measure(uri)
    assert _value(uri) == 0.8, "measured again, the forged one counts no more"


def test_a_figure_of_the_run_alone_with_a_time_of_an_evaluation_is_found_out(make_model: MakeModel) -> None:
    """The run measured `loose` within its evaluation, though not for the model: it is evidence, and bound."""
    uri = make_model(evaluate=False)
    run_id, model_id = collect(uri).run_id, uri.removeprefix("models:/")
    with mlflow.start_run(run_id=run_id), evaluation_of(uri):
        # past MLflow's client, which would log it for the model that is measured
        MlflowClient()._tracking_client.store.log_metric(run_id, Metric("loose", 1.0, int(time.time() * 1000), 0))
        mlflow.log_metric("score", 0.8, model_id=model_id)
    MlflowClient().log_metric(run_id, "loose", 2.0)
    MlflowClient().log_metric(run_id, "later", 2.0)
    assert (_value(uri, "score"), collect(uri).metrics["loose"].outside) == (0.8, True)
    MlflowClient().log_metric(run_id, "loose", 3.0, timestamp=_times(run_id)[0])
    with pytest.raises(TamperError, match=f"metrics that run {run_id}"):
        collect(uri)


def test_what_is_logged_right_after_an_evaluation_is_none_of_it(make_model: MakeModel) -> None:
    uri = make_model(evaluate=False)
    for _ in range(5):
        with mlflow.start_run() as active:
            with evaluation_of(uri):
                mlflow.log_metric("score", 0.5, model_id=uri.removeprefix("models:/"))
            mlflow.log_metric("score", 0.9, model_id=uri.removeprefix("models:/"))
        assert (_value(uri), collect(uri).evaluation_run_id) == (0.5, active.info.run_id)


def test_figures_that_were_logged_in_the_background_are_of_the_evaluation(make_model: MakeModel) -> None:
    uri = make_model(evaluate=False)
    with evaluation_of(uri), mlflow.start_run():
        for n in range(20):
            mlflow.log_metric("score", n / 20, step=n, model_id=uri.removeprefix("models:/"), synchronous=False)
    assert _value(uri) == 0.95


def test_no_number_is_no_number_whatever_the_database_keeps(make_model: MakeModel, policy: Policy) -> None:
    """MLflow's databases keep 0 for a model's metric that is NaN: an error of nothing would pass every `max`."""
    uri = make_model(metrics={"score": 0.8, "latency_ms": float("nan")})
    (kept,) = (m for m in MlflowClient().get_logged_model(uri[8:]).metrics if m.key == "latency_ms")
    assert kept.value == 0
    (row,) = register(uri, "m", policy).verdict.failures
    assert (row.gate, row.got) == ("latency_ms", "nan")
    # And it stays none, whatever the run says from now on.
    MlflowClient().log_metric(collect(uri).run_id, "latency_ms", 5.0)
    (row,) = assess(uri, policy, "m").verdict.failures
    assert (row.gate, row.got) == ("latency_ms", "nan")


def test_of_two_models_that_one_run_measured_each_keeps_its_own_figures(make_model: MakeModel) -> None:
    """Where the second one's figure is no number, the first one's zero is still a zero, and nobody changed it."""
    first, second = make_model(1, evaluate=False), make_model(2, evaluate=False)
    with mlflow.start_run() as active:
        for uri, score in ((first, 0.0), (second, float("nan"))):
            with evaluation_of(uri):
                mlflow.log_metric("score", score, model_id=uri.removeprefix("models:/"))
    assert collect(first).evaluation_run_id == collect(second).evaluation_run_id == active.info.run_id
    assert _value(first) == 0
    assert math.isnan(_value(second))


@pytest.mark.parametrize("value", [1e-320, 0.1 + 0.2, -0.0, float("inf"), float("-inf"), 1.7976931348623157e308])
def test_every_number_comes_back_as_it_was_recorded(make_model: MakeModel, value: float) -> None:
    collect(make_model(metrics={"score": value}))

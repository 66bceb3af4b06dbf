"""What an evaluation wrote is bound to its record: whoever changes a table or a figure afterwards is found out."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
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


def test_the_record_of_many_tables_fits_into_its_tag(make_model: MakeModel) -> None:
    uri = make_model(evaluate=False)
    with evaluation_of(uri), mlflow.start_run() as active:
        for number in range(MOST_TABLES + 3):
            mlflow.log_dict({"n": number}, f"{'a-rather-long-name' * 2}-{number:03}.json")
        mlflow.log_metric("score", 1.0, model_id=uri.removeprefix("models:/"))
    record = MlflowClient().get_run(active.info.run_id).data.tags[record_tag(active.info.run_id)]
    assert len(json.loads(record)["tables"]) == MOST_TABLES
    assert len(record) < 8000, "MLflow cuts longer ones"
    assert re.search(r"-031\.json", record)

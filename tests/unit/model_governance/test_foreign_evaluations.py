"""What others write of a model displaces nothing on a governed server that was measured by whose figures count."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import mlflow
import pytest
from governed_models import log_constant, measure
from governed_office import Office, open_office
from mlflow import MlflowClient
from plain_policy import POLICY

from model_governance import Policy, TamperError, collect, evaluation_of, register
from model_governance.evaluation import EVALUATION_TAG
from model_governance.governed.records import RUN
from model_governance.governing import MOST_RUNS

FIGURES = {"score": 0.8, "latency_ms": 20.0}
LATE = 10**14
FOREVER = {"began": LATE, "ended": LATE + 1, "digest": 64 * "0"}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with open_office(tmp_path_factory.mktemp("office")) as opened:
        yield opened


@pytest.fixture
def model(office: Office) -> str:
    """A model of Ann's, that the validator measured once."""
    with office.as_("ann"):
        uri = log_constant(round(1000 * time.time()) / 7)  # other files each time
        office.store.record_creator("logged_model", uri.removeprefix("models:/"))
    measured(office, uri)
    return uri


def measured(office: Office, uri: str, by: str = "val", score: float = 0.8) -> str:
    with office.as_(by):
        with mlflow.start_run() as run:
            office.store.record_creator(RUN, run.info.run_id)
            with evaluation_of(uri):
                mlflow.log_metrics({**FIGURES, "score": score})
        return str(run.info.run_id)


def marked(office: Office, uri: str, record: str, at: int | None = None) -> str:
    """Eve logs a figure of the model into a run of her own, and says that it was measured there."""
    client, model_id = MlflowClient(), uri.removeprefix("models:/")
    with office.as_("eve"):
        run_id = str(client.create_run("0").info.run_id)
        office.store.record_creator(RUN, run_id)
        client.log_metric(run_id, "score", 0.1, timestamp=at or round(time.time() * 1000), model_id=model_id)
        client.set_tag(run_id, f"{EVALUATION_TAG}.{model_id}", record)
        client.set_tag(run_id, f"{EVALUATION_TAG}.{model_id}.robustness", record)
    return run_id


def now() -> str:
    began = round(time.time() * 1000)
    return json.dumps(FOREVER | {"began": began, "ended": began + 10_000})


@pytest.mark.parametrize(
    "record", [json.dumps(FOREVER), now(), "nonsense"], ids=["of the future", "newer", "nonsense"]
)
def test_what_others_recorded_displaces_no_evaluation_that_counts(office: Office, model: str, record: str) -> None:
    marked(office, model, record)
    again = measured(office, model, score=0.7)
    marked(office, model, record)
    shown = collect(model)
    assert (shown.evaluation_run_id, shown.metrics["score"].value) == (again, 0.7)
    assert [each.kind for each in shown.evaluations] == ["quality"]
    with office.as_("val"):
        assert register(model, f"m{again}", Policy.model_validate(POLICY)).passed


def test_figures_of_others_stop_no_evaluation(office: Office, model: str) -> None:
    marked(office, model, "nonsense", at=LATE)
    soon = round(time.time() * 1000)
    client, run_id = MlflowClient(), marked(office, model, "nonsense")
    for each in range(40):
        client.log_metric(run_id, "score", 0.1, timestamp=soon + 100 * each, step=each, model_id=model[8:])
    assert collect(model).evaluation_run_id != (again := measured(office, model))
    assert collect(model).evaluation_run_id == again


def test_whoever_makes_a_model_measures_it_for_themselves(office: Office) -> None:
    with office.as_("ann"):
        uri = log_constant(0.25)
    mine = measured(office, uri, "ann")
    marked(office, uri, "nonsense")
    marked(office, uri, json.dumps(FOREVER))
    assert collect(uri).evaluation_run_id == mine
    theirs = measured(office, uri)
    assert measured(office, uri, "ann") != theirs
    assert collect(uri).evaluation_run_id == theirs


def test_the_server_says_whose_figures_count(office: Office, model: str) -> None:
    theirs, hers = measured(office, model), measured(office, model, "ann")
    asked = office.at("eve").ask("/measuring", runs=[theirs, hers, "nothing"])
    assert asked == (200, {"runs": [theirs]})
    for wrong in ("r", [1], ["r"] * (MOST_RUNS + 1), ["r" * 600]):
        status, told = office.at("eve").ask("/measuring", runs=wrong)
        assert (status, told["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_where_nobody_governs_a_record_that_cannot_be_read_is_an_error(make_model: Callable[..., str]) -> None:
    uri, client = make_model(), MlflowClient()
    first = collect(uri).evaluation_run_id
    run_id = measure(uri, FIGURES)
    assert collect(uri).evaluation_run_id == run_id
    tag = f"{EVALUATION_TAG}.{uri[8:]}"
    client.set_tag(run_id, tag, json.dumps(FOREVER))
    assert collect(uri).evaluation_run_id == first, "what begins in the future was not measured"
    client.set_tag(run_id, tag, "nonsense")
    with pytest.raises(TamperError, match=f"the tag {tag} of run {run_id} is not one that this package wrote"):
        collect(uri)

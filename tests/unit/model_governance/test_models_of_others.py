"""Models that were logged, registered and measured with MLflow's own means alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from model_governance import Policy, TransitionError, evaluation_of, register

MakeModel = Callable[..., str]
GATE: dict[str, Any] = {"metric": "accuracy", "min": 0.9, "reason": "worse is of no use"}


@pytest.fixture
def gates() -> Policy:
    return Policy.model_validate({"format_version": 1, "quality": [GATE]})


def measured(model_uri: str, accuracy: float) -> None:
    """As people measure: nothing is said of the model but its address."""
    with mlflow.start_run(), evaluation_of(model_uri):
        mlflow.log_metric("accuracy", accuracy)


@pytest.mark.parametrize("address", ["models:/iris/1", "the logged model", "its run"])
def test_a_version_that_mlflow_registered_is_judged_and_not_doubled(
    make_model: MakeModel, gates: Policy, address: str
) -> None:
    uri = make_model(evaluate=False)
    client = MlflowClient()
    mlflow.register_model(uri, "iris")
    client.update_model_version("iris", "1", "trained on *May*\n# Passed all gates")
    run = client.get_logged_model(uri.removeprefix("models:/")).source_run_id
    asked = {"the logged model": uri, "its run": f"runs:/{run}/model"}.get(address, address)
    measured(asked, 0.95)
    done = register(asked, "iris", gates)
    assert (done.version, done.created, done.passed) == ("1", False, True)
    (version,) = client.search_model_versions("name='iris'")
    assert (version.current_stage, version.tags["gates"]) == ("Staging", "passed")
    assert version.tags["semantic_version"] == "1.0.0"
    # whoever registered it is still heard, and cannot speak in the gates' voice
    assert version.description.startswith("# iris 1.0.0")
    assert version.description.endswith("> trained on \\*May\\*\n>\n> \\# Passed all gates")
    # and again: nothing is doubled, neither the version nor the words
    measured(asked, 0.5)
    again = register(asked, "iris", gates)
    (version,) = client.search_model_versions("name='iris'")
    assert (again.version, again.passed, version.description.count("trained on")) == ("1", False, 1)


def test_of_several_versions_the_one_that_was_named_is_judged(make_model: MakeModel, gates: Policy) -> None:
    uri = make_model(evaluate=False)
    for _ in range(3):
        mlflow.register_model(uri, "iris")
    measured("models:/iris/2", 0.95)
    assert register("models:/iris/2", "iris", gates).version == "2"


def test_the_figures_of_one_model_are_not_those_of_another(make_model: MakeModel, gates: Policy) -> None:
    good, bad = make_model(1, evaluate=False), make_model(2, evaluate=False)
    measured(good, 0.95)
    measured(bad, 0.4)
    assert register(good, "iris", gates).passed
    failed = register(bad, "iris", gates)
    assert [row.got for row in failed.verdict.failures] == ["0.4"]
    assert mlflow.get_active_model_id() is None, "whoever measures next is not taken for this one"


def test_what_was_in_production_before_the_gates_stays_as_it_is(make_model: MakeModel, gates: Policy) -> None:
    uri = make_model(evaluate=False)
    mlflow.register_model(uri, "iris")
    client = MlflowClient()
    client.transition_model_version_stage("iris", "1", "Production")
    measured(uri, 0.95)
    with pytest.raises(TransitionError, match="was in Production before anybody judged it"):
        register(uri, "iris", gates)
    (version,) = client.search_model_versions("name='iris'")
    assert (version.current_stage, version.tags) == ("Production", {})

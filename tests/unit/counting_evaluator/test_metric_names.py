"""Classes may be called anything; MLflow takes few letters in the names of metrics."""

from __future__ import annotations

import mlflow
import pytest

from counting_evaluator.errors import EvaluationError
from counting_evaluator.evaluator import loggable


def test_mlflow_takes_the_figures_of_any_class(tracking: str) -> None:
    names = ("count/mae", "count/mae/person (child)", "detection/ap50/car+trailer", "count/mae/Fußgänger")
    with mlflow.start_run() as active:
        mlflow.log_metrics(loggable(dict.fromkeys(names, 0.5)))
    logged = mlflow.get_run(active.info.run_id).data.metrics
    assert {"count/mae", "count/mae/person _child_", "count/mae/Fußgänger"} <= logged.keys()
    assert len(logged) == 4


def test_two_classes_that_would_share_a_name_are_told_apart_by_nobody() -> None:
    with pytest.raises(EvaluationError, match="both be called count/mae/car_: give one of the classes"):
        loggable({"count/mae/car+": 1.0, "count/mae/car!": 2.0})

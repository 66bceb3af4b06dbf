"""Parameters of a step's run, also of one that `mlflow run` began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlflow
from mlflow import MlflowClient

__all__ = ["log_params"]


def log_params(params: Mapping[str, Any]) -> None:
    """As `mlflow.log_params`, but what stands there already stays as it is.

    `mlflow run -P tolerance=0` writes down what was typed before the step begins. The step reads it as 0.0, and a
    parameter cannot be written twice with different letters, though both mean the same.
    """
    active = mlflow.active_run()
    known = MlflowClient().get_run(active.info.run_id).data.params if active else {}
    mlflow.log_params({name: value for name, value in params.items() if name not in known})

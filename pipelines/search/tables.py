"""A table of a run as MLflow shows it, written anew each time."""

from __future__ import annotations

import json

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

__all__ = ["log_whole_table"]


def log_whole_table(run_id: str, table: pd.DataFrame, file: str) -> None:
    """Log `table` as `file` of a run, in MLflow's JSON split format, in place of the one before.

    `mlflow.log_table` would append to that.
    """
    client = MlflowClient()
    content = json.loads(table.to_json(orient="split", index=False))
    client.log_dict(run_id, content, file)
    entry = {"path": file, "type": "table"}
    # By this tag MLflow's UI and `load_table` find the run's tables.
    known = json.loads(mlflow.get_run(run_id).data.tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
    if entry not in known:
        client.set_tag(run_id, MLFLOW_LOGGED_ARTIFACTS, json.dumps([*known, entry]))

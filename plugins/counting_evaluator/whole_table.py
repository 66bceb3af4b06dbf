"""A table of a run as MLflow shows it, written anew each time."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

__all__ = ["log_whole_table"]


def log_whole_table(run_id: str, table: pd.DataFrame, file: str) -> dict[str, Any]:
    """Log `table` as `file` of a run, in MLflow's JSON split format, in place of the one before.

    `MlflowClient.log_table` would append to that: a second evaluation into the same run would mix the two.

    Returns
    -------
    dict
        What stands in the file: ``columns`` and ``data``.
    """
    client = MlflowClient()
    # pandas makes NaN of what is missing, which JSON does not know and a browser does not read.
    content = table.astype(object).where(table.notna(), None).to_dict(orient="split", index=False)
    client.log_dict(run_id, content, file)
    entry = {"path": file, "type": "table"}
    # By this tag MLflow's UI and `load_table` find the run's tables.
    known = json.loads(client.get_run(run_id).data.tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
    if entry not in known:
        client.set_tag(run_id, MLFLOW_LOGGED_ARTIFACTS, json.dumps([*known, entry]))
    return content

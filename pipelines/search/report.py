"""What a search shows of itself after each trial: the table of trials, and the front they form."""

from __future__ import annotations

import mlflow
import optuna
import pandas as pd
from mlflow import MlflowClient
from optuna.trial import TrialState

from counting_evaluator.whole_table import log_whole_table
from pipelines.search.front import Point, pareto_front, plot_front
from pipelines.search.study import attempt_of, counted

__all__ = ["PLOT", "TABLE", "report", "trials_table"]

TABLE, PLOT = "trials.json", "pareto.png"
_ERROR_AXIS = "count error on the validation split\n(mean over pictures of |counted - true|, by class)"

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}

_COLUMNS = [
    "trial", "state", "front", "count_error", "latency_ms", "trainer", "model", "image_size", "batch", "options",
    "epochs", "map50_95", "attempt", "reason", "model_uri", "run_id",
]  # fmt: skip


def report(study: optuna.Study, run_id: str) -> pd.DataFrame:
    """Table and plot, renewed after each trial: also a search that is killed can be looked at."""
    table = trials_table(study)
    log_whole_table(run_id, table, TABLE)
    complete = [row for row in table.to_dict("records") if row["state"] == "complete"]
    if complete:
        points = [
            Point(row["latency_ms"], row["count_error"], f"{row['trainer']} {row['model']}", str(row["trial"]))
            for row in complete
        ]
        mlflow.log_figure(plot_front(points, error=_ERROR_AXIS), PLOT)
        best = min(point.count_error for point in points)
        mlflow.log_metrics({"trials": len(table), "complete": len(complete), "best/count_error": best})
    client = MlflowClient()
    for row in table.to_dict("records"):
        if row["run_id"]:
            client.set_tag(row["run_id"], "tune.state", row["state"])
            client.set_tag(row["run_id"], "tune.front", str(row["front"]).lower())
    return table


def trials_table(study: optuna.Study) -> pd.DataFrame:
    """One row per trial: what was trained, how it ended and why, and whether nothing beats it."""
    trials = counted(study)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    front = {complete[number].number for number in pareto_front([tuple(trial.values) for trial in complete])}
    rows = []
    for trial in trials:
        trainer, _, model = str(trial.params.get("architecture", "")).partition(" ")
        done = trial.state == TrialState.COMPLETE
        rows.append(
            {
                "trial": trial.number,
                "state": _STATES[trial.state],
                "front": trial.number in front,
                "count_error": trial.values[0] if done else None,
                "latency_ms": trial.values[1] if done else trial.user_attrs.get("latency_ms"),
                "trainer": trainer,
                "model": model,
                "image_size": trial.params.get("image_size"),
                "batch": trial.params.get("batch"),
                "options": {name.partition(".")[2]: value for name, value in trial.params.items() if "." in name},
                "epochs": len(trial.user_attrs.get("curve", ())),
                "map50_95": (trial.user_attrs.get("curve") or [None])[-1],
                "attempt": attempt_of(trial),
                "reason": trial.user_attrs.get("reason", ""),
                "model_uri": trial.user_attrs.get("model_uri", ""),
                "run_id": trial.user_attrs.get("run_id", ""),
            }
        )
    return pd.DataFrame(rows, columns=_COLUMNS)

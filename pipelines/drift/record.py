"""What the drift step reads from the tracking server, and what it leaves there."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipelines.current_champion import current_champion
from pipelines.drift.decision import Decision
from pipelines.drift.performance import Performance
from pipelines.drift.report import DriftReport
from pipelines.drift.settings import DriftSettings
from pipelines.run_params import log_params

__all__ = ["evaluated_mae", "last_decision", "last_training", "record", "versions_in"]

_log = logging.getLogger(__name__)


def evaluated_mae(name: str, columns: Sequence[str]) -> float | None:
    """The champion's count error per picture over what is labelled: `total`, or `count_<class>` columns.

    For some of its classes it is the sum of their errors, which the error of their sum does not exceed.
    """
    try:
        champion = current_champion(name)
        run_id = champion.run_id if champion else None
        metrics = MlflowClient().get_run(run_id).data.metrics if run_id else {}
    except MlflowException:
        metrics = {}
    of_class = {
        key.removeprefix("count/mae/"): mae for key, mae in metrics.items() if key.startswith("count/mae/")
    }
    labelled = {column.removeprefix("count_") for column in columns}
    found: float | None = None
    if labelled == {"total"} or labelled == set(of_class):
        found = metrics.get("count/mae")
    elif labelled <= set(of_class):
        found = sum(of_class[one] for one in labelled)
    if found is None:
        _log.info("%s has no champion with a count/mae; labels have nothing to be held against", name)
    return found


def last_training(name: str) -> datetime | None:
    """When the newest registered version was made."""
    versions = MlflowClient().search_model_versions(
        f"name='{name}'", order_by=["creation_timestamp DESC"], max_results=1
    )
    return datetime.fromtimestamp(versions[0].creation_timestamp / 1000, UTC) if versions else None


def last_decision(name: str, experiment: str) -> datetime | None:
    """When a pass last said that the model is to be trained again."""
    runs = MlflowClient().search_runs(
        [experiment],
        f"tags.`drift.model` = '{name}' and tags.`retrain.decision` = 'retrain'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return datetime.fromtimestamp(runs[0].info.start_time / 1000, UTC) if runs else None


def versions_in(predictions: pd.DataFrame) -> list[str]:
    """The versions that some predictions are of, as ``name/version``, sorted; none where the rows do not say."""
    if not {"model_name", "model_version"} <= set(predictions):
        return []
    pairs = predictions[["model_name", "model_version"]].fillna("").astype(str).drop_duplicates()
    return sorted(f"{name}/{version}" for name, version in pairs.itertuples(index=False) if name and version)


def record(
    settings: DriftSettings,
    report: DriftReport,
    decision: Decision,
    performance: Performance | None,
    folder: Path,
    versions: Sequence[str] = (),
) -> None:
    """Everything that the pass found, in its MLflow run: artefacts, metrics over time, tags to search by."""
    content = {
        **report.to_dict(),
        "decision": decision.to_dict(),
        "rules": settings.retrain.model_dump(),
        "performance": performance.to_dict() if performance else None,
    }
    (folder / "drift-report.json").write_text(json.dumps(content, indent=2, allow_nan=False), encoding="utf-8")
    mlflow.log_artifacts(str(folder), "drift")
    # The password is not among the settings; recipients are addresses of people and stay out of the record.
    log_params(settings.model_dump(mode="json", exclude={"mail_to", "mail_from", "smtp", "retrain"}))
    mlflow.set_tags(
        {
            "step": "drift",
            "drift.model": settings.name,
            "drift.verdict": report.verdict,
            "drift.cameras": ", ".join(report.cameras)[:5000],
            "retrain.decision": "retrain" if decision.retrain else "keep",
            "retrain.reasons": decision.sentence[:5000],
            **({"drift.versions": "\n".join(versions)[:5000]} if versions else {}),
        }
    )
    mlflow.log_metrics(dict(_metrics(report, performance)))


def _metrics(report: DriftReport, performance: Performance | None) -> Iterator[tuple[str, float]]:
    yield "drift/share", report.share
    yield "drift/drifted_columns", len(report.drifted)
    yield "drift/judged_columns", len(report.judged)
    yield "drift/drifted_cameras", len(report.cameras)
    yield "drift/rows", report.current.rows
    for column in report.judged:
        # MLflow takes letters, digits and _-. :/ in a metric's name; a camera's id may hold anything.
        camera = "".join(letter if letter.isalnum() or letter in "_-. :" else "_" for letter in column.camera)
        if column.score is not None and column.threshold is not None:
            yield f"drift/score/{camera}/{column.column}", column.score
            yield f"drift/threshold/{camera}/{column.column}", column.threshold
    if performance:
        yield "performance/labels", performance.matched
        if performance.mae is not None and performance.bias is not None:
            yield "performance/count_mae", performance.mae
            yield "performance/count_bias", performance.bias

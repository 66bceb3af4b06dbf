"""A team's history on a real tracking server, without a single training: what the steps would have left there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
from mlflow import MlflowClient

from camera_counting.prediction_log import Prediction, write_batch
from pipelines.datasets.mlflow_dataset import StoredSource

__all__ = ["TeamHistory", "make_history"]

DIGESTS = ("a" * 64, "b" * 64)


@dataclass(frozen=True, slots=True)
class TeamHistory:
    """Ids of what was made: two trainings and versions, the second asked for by a drift report over the first."""

    name: str
    trainings: tuple[str, str]
    models: tuple[str, str]
    evaluations: tuple[str, str]
    drift: str
    log: str


def make_history(folder: Path, name: str = "camera-counter", approver: str = "Ada") -> TeamHistory:
    """Two rounds of the lifecycle, in the store that is set."""
    client = MlflowClient()
    log = str(folder / "predictions")
    client.create_registered_model(name)
    trainings, models, evaluations = [], [], []
    drift = ""
    for number, digest in enumerate(DIGESTS, start=1):
        _run("prepare", {"dataset_digest": digest, "reused": "false"}, digest, ("train", "test"))
        tags = {"lineage.git_commit": str(number) * 40}
        if drift:
            tags |= {"lineage.triggered_by": drift, "lineage.parent_version": f"{name}/1"}
        training = _run("train", tags, digest, ("training",), {"dataset_digest": digest}, {"val/map50": 0.8})
        model = client.create_logged_model(
            client.get_run(training).info.experiment_id, name="model", source_run_id=training
        )
        client.finalize_logged_model(model.model_id, "READY")
        client.log_outputs(training, [mlflow.entities.LoggedModelOutput(model.model_id, 0)])
        measured = {"model_uri": f"models:/{model.model_id}"}
        evaluations.append(_run("evaluate", measured, digest, ("test",), {}, {"count/mae": 0.5 / number}))
        version = client.create_model_version(
            name,
            source=f"models:/{model.model_id}",
            run_id=training,
            tags={
                "semantic_version": f"1.{number - 1}.0",
                "gates": "passed",
                "approved_by": approver,
                "approved_at": f"2026-11-0{number}T12:00:00+00:00",
                "approval_comment": "clips looked at",
            },
        )
        for alias in ("champion", "serving"):
            client.set_registered_model_alias(name, alias, version.version)
        _predict(log, name, number)
        told = {"drift.model": name, "drift.verdict": "drift", "drift.versions": f"{name}/{number}"}
        drift = drift or _run("drift", {**told, "retrain.decision": "retrain"}, None, (), {"log": log})
        trainings.append(training)
        models.append(model.model_id)
    return TeamHistory(name, tuple(trainings), tuple(models), tuple(evaluations), drift, log)  # type: ignore[arg-type]


def _run(
    step: str,
    tags: dict[str, str],
    digest: str | None,
    contexts: tuple[str, ...],
    params: dict[str, str] | None = None,
    metrics: dict[str, float] | None = None,
) -> str:
    with mlflow.start_run(run_name=step) as run:
        mlflow.set_tags({"step": step, **tags})
        mlflow.log_params(params or {})
        mlflow.log_metrics(metrics or {})
        for context in contexts:
            source = StoredSource("/data/store", str(digest), "generated")
            mlflow.log_input(_Stored(source, f"street-{context}", str(digest)[:16]), context=context)
    return str(run.info.run_id)


class _Stored(mlflow.data.dataset.Dataset):
    """A data set of which only name, digest and source are known."""

    def __init__(self, source: StoredSource, name: str, digest: str) -> None:
        self._given = digest
        super().__init__(source=source, name=name)

    def _compute_digest(self) -> str:
        return self._given

    profile = None
    schema = None


def _predict(log: str, name: str, number: int) -> None:
    now = datetime.now(UTC)
    rows = [
        Prediction.now(
            time=now - timedelta(minutes=minute),
            camera_id=camera,
            model_name=name,
            model_version=str(number),
            counts={"person": 2},
        )
        for minute in range(3)
        for camera in ("gate", "yard")
    ]
    write_batch(log, rows, f"version-{number}")

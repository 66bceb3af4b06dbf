"""The evaluation step: measures a logged model on the test split and its clips."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import mlflow
from mlflow import MlflowClient
from pydantic import Field

from counting_evaluator import MODEL_TYPE, EvaluationError
from model_governance import GovernanceError, evaluation_of
from pipelines.datasets.manifest import PreparedDataset, load_dataset
from pipelines.labelled_table import labelled_dataset
from pipelines.settings import StepSettings

__all__ = ["EvaluateResult", "EvaluateSettings", "main", "run"]

EVALUATOR = "camera-counting"


class EvaluateSettings(StepSettings):
    """Which model, on which data."""

    model_uri: str = Field(description="models:/m-..., models:/<name>/<version>, models:/<name>@<alias>")
    data: Path = Field(description="folder of a prepared data set; its test split and its clips are used")
    confidence: float | None = Field(None, ge=0, le=1, description="score that counts; without it the model's own")
    clips: bool = Field(True, description="count the data set's clips as well")
    worst: int = Field(12, ge=0, le=100, description="how many of the worst pictures are drawn")


@dataclass(frozen=True, slots=True)
class EvaluateResult:
    """The figures, and the run in which they and the plots stand."""

    run_id: str
    model_id: str
    metrics: dict[str, float]
    digest: str


def run(settings: EvaluateSettings) -> EvaluateResult:
    """Evaluate into the run that made the model; the figures are tied to the model and to the data.

    Raises
    ------
    EvaluationError
        Where the test split or a clip shares pictures with the others, or model and labels do not fit together.
    model_governance.GovernanceError
        Where there is no such model, or its files changed meanwhile.
    """
    dataset = load_dataset(settings.data)
    _refuse_leaks(dataset, clips=settings.clips)
    model_id, source_run = _source(settings.model_uri)
    with _run(source_run) as run_id, evaluation_of(settings.model_uri) as digest:
        table = labelled_dataset(dataset, "test")
        # Beside what MLflow logs by itself, so that the run says what the data was used for.
        mlflow.log_input(table, context="test")
        result = mlflow.models.evaluate(
            f"models:/{model_id}",
            table,
            model_type=MODEL_TYPE,
            evaluators=EVALUATOR,
            evaluator_config=_config(settings, dataset),
        )
        mlflow.set_tags({"evaluated_dataset": dataset.name, "evaluated_dataset_digest": dataset.digest})
    return EvaluateResult(run_id, model_id, dict(result.metrics), digest)


def _config(settings: EvaluateSettings, dataset: PreparedDataset) -> dict[str, Any]:
    config: dict[str, Any] = {"classes": list(dataset.classes), "worst": settings.worst}
    if settings.confidence is not None:
        config["confidence"] = settings.confidence
    if settings.clips:
        # A clip without a scene or without its truth cannot be judged.
        config["clips"] = [
            {"name": clip.name, "video": str(clip.video), "scene": str(clip.scene), "truth": str(clip.truth)}
            for clip in dataset.clips
            if clip.scene is not None and clip.truth is not None
        ]
    return config


def _refuse_leaks(dataset: PreparedDataset, *, clips: bool) -> None:
    """A picture or a clip that the model may have learnt from says nothing about the next one."""
    splits = dataset.manifest.splits
    learnt = {entry.sha256: entry.file for split in splits if split != "test" for entry in splits[split]}
    for entry in splits.get("test", ()):
        if entry.sha256 in learnt:
            raise EvaluationError(
                f"the test picture {entry.file} is also {learnt[entry.sha256]}: "
                "prepare the data again, its splits leak"
            )
    # Frames are named after their clip, also in sets that do not say the clip's split.
    frames = {named[1]: file for file in learnt.values() if (named := re.fullmatch(r"(.+)__\d+", Path(file).stem))}
    for clip in dataset.clips if clips else ():
        if clip.name in frames or clip.split in ("train", "val"):
            raise EvaluationError(
                f"the clip {clip.name} was learnt from, {frames.get(clip.name, clip.split)} is of it, so its "
                "counts say nothing: prepare the data again, or leave the clips out with --clips false"
            )


def _source(model_uri: str) -> tuple[str, str | None]:
    """The logged model's id and the run that made it."""
    info = mlflow.models.get_model_info(model_uri)
    if info.model_id is None:
        raise EvaluationError(
            f"expected a logged model, {model_uri} has no model id: log it with camera_counting.log_model"
        )
    return info.model_id, MlflowClient().get_logged_model(info.model_id).source_run_id


@contextmanager
def _run(source_run: str | None) -> Iterator[str]:
    """The model's own run, opened again; a new one where it has none."""
    nested = mlflow.active_run() is not None
    with mlflow.start_run(run_id=source_run, nested=nested, log_system_metrics=False) as active:
        yield active.info.run_id


def main() -> None:
    """Evaluate from the command line; prints the figures."""
    try:
        result = run(EvaluateSettings.from_command_line())
    except (EvaluationError, GovernanceError) as error:
        raise SystemExit(f"error: {error}") from error
    for name, value in sorted(result.metrics.items()):
        if not name.startswith("slice/"):
            click.echo(f"{name:32} {value:.4g}")
    click.echo(f"run {result.run_id}")


if __name__ == "__main__":
    main()

"""The evaluation step: measures a logged model on the test split and its clips.

Every evaluation is a run of its own: one that fails or is killed spoils neither the training's run nor the figures
of the evaluation before it. The model's own run shows the figures as well, written there when all is done.
"""

from __future__ import annotations

import re
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import mlflow
from mlflow import MlflowClient
from mlflow.data.pandas_dataset import PandasDataset
from mlflow.entities import Metric, RunTag
from pydantic import Field

from counting_evaluator import MODEL_TYPE, EvaluationError
from model_governance import evaluation_of
from model_governance.source import locate
from pipelines.datasets.manifest import PreparedDataset, load_dataset
from pipelines.labelled_table import labelled_dataset
from pipelines.settings import StepSettings, explained

__all__ = ["EvaluateResult", "EvaluateSettings", "main", "run"]

EVALUATOR = "camera-counting"


class EvaluateSettings(StepSettings):
    """Which model, on which data."""

    model_uri: str = Field(description="models:/m-..., models:/<name>/<version>, models:/<name>@<alias>")
    data: Path = Field(description="folder of a prepared data set; its test split and its clips are used")
    confidence: float | None = Field(
        None,
        ge=0,
        le=1,
        description="score that counts, to try one out: without it the model's own, and only that is evidence",
    )
    clips: bool = Field(True, description="count the data set's clips as well")
    worst: int = Field(12, ge=0, le=100, description="how many of the worst pictures are drawn")


@dataclass(frozen=True, slots=True)
class EvaluateResult:
    """The figures, and the run in which they and the plots stand.

    Attributes
    ----------
    evidence : bool
        Whether a policy's gates may read them: not those of a confidence other than the one the model serves at.
    """

    run_id: str
    model_id: str
    metrics: dict[str, float]
    evidence: bool


def run(settings: EvaluateSettings, *, show_at_training: bool = True) -> EvaluateResult:
    """Evaluate in a run of its own; the figures are tied to the model and to the data.

    Parameters
    ----------
    show_at_training : bool
        Whether the run that made the model shows the figures too; no for one that is measured again only to be
        compared with another.

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
    nested = mlflow.active_run() is not None
    evidence = settings.confidence is None
    with mlflow.start_run(
        run_name=f"evaluate {model_id}",
        nested=nested,
        parent_run_id=None if nested else source_run,
        log_system_metrics=False,
    ) as active:
        mlflow.set_tags(
            {"step": "evaluate", "model_uri": f"models:/{model_id}", "evidence": str(evidence).lower()}
        )
        mlflow.log_params({"confidence": settings.confidence, "clips": settings.clips})
        table = labelled_dataset(dataset, "test")
        # Beside what MLflow logs by itself, so that the run says what the data was used for.
        mlflow.log_input(table, context="test")
        recording: AbstractContextManager[Any] = evaluation_of(settings.model_uri) if evidence else nullcontext()
        with recording:
            result = mlflow.models.evaluate(
                f"models:/{model_id}",
                table,
                model_type=MODEL_TYPE,
                evaluators=EVALUATOR,
                evaluator_config=_config(settings, dataset),
            )
        tags = {"evaluated_dataset": dataset.name, "evaluated_dataset_digest": dataset.digest}
        mlflow.set_tags(tags)
    metrics = {name: float(value) for name, value in result.metrics.items()}
    if evidence and show_at_training:
        _show(source_run, metrics, table, tags)
    return EvaluateResult(active.info.run_id, model_id, metrics, evidence)


def _show(run_id: str, metrics: dict[str, float], data: PandasDataset, tags: dict[str, str]) -> None:
    """Let the training's run show the figures beside its parameters; by the client, which leaves it closed."""
    now = int(time.time() * 1000)
    shown = [
        Metric(name, value, now, 0, dataset_name=data.name, dataset_digest=data.digest)
        for name, value in metrics.items()
    ]
    MlflowClient().log_batch(run_id, metrics=shown, tags=[RunTag(name, value) for name, value in tags.items()])


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


def _source(model_uri: str) -> tuple[str, str]:
    """The logged model's id and the run that made it."""
    source = locate(model_uri)
    if source.logged is None:
        raise EvaluationError(
            f"expected a logged model, {model_uri} has no model id: log it with camera_counting.log_model"
        )
    return source.logged.model_id, source.run_id


@explained
def main() -> None:
    """Evaluate from the command line; prints the figures."""
    result = run(EvaluateSettings.from_command_line())
    for name, value in sorted(result.metrics.items()):
        if not name.startswith("slice/"):
            click.echo(f"{name:32} {value:.4g}")
    if not result.evidence:
        click.echo("no evidence: the model serves at its own confidence, so no gate reads these figures")
    click.echo(f"run {result.run_id}")


if __name__ == "__main__":
    main()

"""The evaluation step: measures a logged model on the test split and its clips.

Every evaluation is a run of its own: one that fails or is killed spoils neither the training's run nor the figures
of the evaluation before it. The model's own run shows the figures as well, written there when all is done.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import mlflow
from mlflow import MlflowClient
from mlflow.data.pandas_dataset import PandasDataset
from mlflow.entities import Metric, RunTag
from mlflow.models import EvaluationResult
from pydantic import Field

from counting_evaluator import MODEL_TYPE, EvaluationError
from model_governance import evaluation_of
from model_governance.source import locate
from pipelines.against import (
    BASELINE,
    Other,
    Tables,
    as_table,
    baseline_metrics,
    compared,
    recorded_tables,
    tables_of_others,
)
from pipelines.ancestry import ancestry
from pipelines.datasets.manifest import PreparedDataset, load_dataset
from pipelines.labelled_table import labelled_dataset, require_pictures
from pipelines.leaks import refuse_leaking_splits, refuse_learnt
from pipelines.run_params import log_params
from pipelines.settings import StepSettings, explained
from pipelines.step_record import is_rerun, record_step

__all__ = ["EvaluateResult", "EvaluateSettings", "main", "run"]

EVALUATOR = "camera-counting"
LEARNT = "data/test_pictures_learnt"
"""0 where the model's run shows that it learnt from none of them; not there where nobody can tell."""
UNKNOWN = "data/unknown_weights"
"""Of how many weights that it goes back to no run is known, so that nobody can tell what they were learnt from."""


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
    worst: int = Field(
        12, ge=0, le=100, description="how many of the worst pictures are drawn; with 0 no picture is kept at all"
    )
    robustness: bool = Field(
        True, description="measure a sample under night, rain, a dirty lens and others as well"
    )
    behaviour: bool = Field(
        True, description="ask as well what must hold without a label: nothing on an empty scene"
    )
    sample: int | None = Field(
        None, ge=2, description="pictures for these two; without it a twelfth of the test split, no fewer than 24"
    )
    against: tuple[str, ...] = Field(
        (BASELINE,),
        description="with what to compare, by commas: baseline (mean of camera and hour), champion, v<N>, a URI",
    )
    name: str = Field("camera-counter", description="registered model whose champion or version v<N> is meant")


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
        Where the test split or a clip shares pictures with the others, the model's run learnt from it, model and
        labels do not fit together, or another model was not measured on the same pictures.
    model_governance.GovernanceError
        Where there is no such model, or its files changed meanwhile.
    """
    dataset = load_dataset(settings.data)
    require_pictures(dataset, "test")
    refuse_leaking_splits(dataset, clips=settings.clips)
    model_id, source_run = _source(settings.model_uri)
    all_known = refuse_learnt(dataset, source_run)
    unknown = ancestry(source_run).unknown
    for weights in unknown:
        click.echo(f"nobody can tell what {weights} were learnt from: no run here made them", err=True)
    others = _others(settings, dataset)
    nested = mlflow.active_run() is not None
    with mlflow.start_run(
        run_name=f"evaluate {model_id}",
        nested=nested,
        parent_run_id=None if nested else source_run,
        log_system_metrics=False,
    ) as active:
        # A repetition of an earlier evaluation is compared with that one; it does not take its place.
        evidence = settings.confidence is None and not is_rerun()
        mlflow.set_tags(
            {"step": "evaluate", "model_uri": f"models:/{model_id}", "evidence": str(evidence).lower()}
        )
        log_params({"confidence": settings.confidence, "clips": settings.clips})
        # An alias may stand on another version tomorrow: the record names the model itself.
        exact = settings.model_copy(update={"model_uri": f"models:/{model_id}"})
        record_step("evaluate", exact, data=(dataset.digest,))
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
            mine = _tables(result)
            more = ({LEARNT: 0.0} if all_known else {}) | {UNKNOWN: float(len(unknown))}
            if BASELINE in settings.against:
                more |= baseline_metrics(mine, dataset)
            for other, theirs in others:
                more |= compared(mine, theirs, other, f"models:/{model_id}", dataset)
            mlflow.log_metrics(more, dataset=table, model_id=model_id)
        tags = {"evaluated_dataset": dataset.name, "evaluated_dataset_digest": dataset.digest}
        mlflow.set_tags(tags)
    metrics = {name: float(value) for name, value in (result.metrics | more).items()}
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


def _others(settings: EvaluateSettings, dataset: PreparedDataset) -> list[tuple[Other, Tables]]:
    """Before this evaluation begins, since models without a record on these data are evaluated themselves."""

    def measure(uri: str) -> Tables:
        # As this one: it becomes the other's newest evidence, which may not tell less than the one before.
        same = {"model_uri": uri, "confidence": None, "against": tuple(set(settings.against) & {BASELINE})}
        with _not_in_this_run():
            run(settings.model_copy(update=same), show_at_training=False)
        tables = recorded_tables(uri, dataset, clips=False)
        if tables is None:
            raise EvaluationError(f"{uri} was evaluated, but its table cannot be found; evaluate it by itself")
        return tables

    clips = settings.clips and any(clip.scene and clip.truth for clip in dataset.clips)
    return tables_of_others(settings.against, settings.name, dataset, clips=clips, measure=measure)


@contextmanager
def _not_in_this_run() -> Iterator[None]:
    """Hide the run that whoever started this process made for the step: the first to begin a run would take it."""
    mine = os.environ.pop("MLFLOW_RUN_ID", None)
    try:
        yield
    finally:
        if mine is not None:
            os.environ["MLFLOW_RUN_ID"] = mine


def _tables(result: EvaluationResult) -> Tables:
    crossings = result.artifacts.get("line_counts")
    pictures = as_table(result.artifacts["evaluation_table"].content)
    return Tables(pictures, None if crossings is None else as_table(crossings.content))


def _config(settings: EvaluateSettings, dataset: PreparedDataset) -> dict[str, Any]:
    config: dict[str, Any] = {"classes": list(dataset.classes), "worst": settings.worst}
    if settings.robustness:
        config["robustness"] = {"pictures": settings.sample, "sheet": settings.worst > 0}
    if settings.behaviour:
        config["behaviour"] = {"pictures": settings.sample}
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
        if not name.startswith(("slice/", "robustness/")) or name.startswith("robustness/mean/"):
            click.echo(f"{name:32} {value:.4g}")
    if not result.evidence:
        click.echo("no evidence: the model serves at its own confidence, so no gate reads these figures")
    click.echo(f"run {result.run_id}")


if __name__ == "__main__":
    main()

"""All steps in a row: data to a registered, judged version. ``mlflow run .`` or ``python -m pipelines.main``.

Every step is a run of its own below one parent run. A training that was finished with the same settings on the
same data is not repeated: its model is taken up again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import click
import mlflow
from mlflow import MlflowClient
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from model_governance import load_policy
from pipelines import evaluate, prepare, register, train
from pipelines.champion import evaluate_champion
from pipelines.datasets.manifest import load_dataset
from pipelines.prepare import PrepareResult, PrepareSettings
from pipelines.settings import StepSettings, explained
from pipelines.step_record import champion_of, note_trigger, record_step, require_trigger
from pipelines.train import TrainSettings
from pipelines.trainers import make_trainer, weights_digest
from pipelines.validate import measure_infrastructure, reads_serving

__all__ = [
    "PLAN_TAG",
    "Lifecycle",
    "MainSettings",
    "evaluate_champion",
    "finished_training",
    "main",
    "plan_of",
    "run",
]

PLAN_TAG = "main.plan"
"""Tag of a finished training, written last of all: what decided how it turned out, as `plan_of` gives it."""


class MainSettings(StepSettings):
    """Where to work, and the settings of each step as dotted options: `--train.epochs 20`."""

    model_config = SettingsConfigDict(nested_model_default_partial_update=True)

    workspace: Path = Field(Path("workspace"), description="folder for data, trainings and the content store")
    name: str = Field("camera-counter", description="name of the registered model")
    policy: Path = Field(Path(__file__).with_name("policy.yaml"), description="policy file")
    reuse: bool = Field(True, description="take up a finished training of the same settings and data")
    prepare: PrepareSettings = Field(default=PrepareSettings(), description="the prepare step")
    train: TrainSettings = Field(
        default=TrainSettings(data=Path("data")),
        description="the train step; its data are the prepared ones",
    )


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What the steps gave, from the data to the version."""

    prepared: PrepareResult
    model_uri: str
    training_run_id: str
    trained_anew: bool
    evaluated: evaluate.EvaluateResult
    registered: register.RegisterResult


def run(settings: MainSettings) -> Lifecycle:
    """Prepare, train, evaluate, serve where the policy asks how that goes, register with a model card.

    Raises
    ------
    DatasetError, TrainingError, EvaluationError, model_governance.GovernanceError
        Whatever stopped a step; what earlier steps made stays and is taken up again by the next call.
    """
    policy = load_policy(settings.policy)  # before hours of training, not after them
    if settings.train.triggered_by is not None:
        require_trigger(settings.train.triggered_by)
    with mlflow.start_run(run_name="main", nested=mlflow.active_run() is not None):
        mlflow.set_tag("step", "main")
        record_step("main", settings, parent=champion_of(settings.name))
        if settings.train.triggered_by is not None:
            note_trigger(settings.train.triggered_by)  # also where a finished training is taken up
        prepared = prepare.run(prepare_settings(settings))
        model_uri, run_id, anew = train_or_take_up(train_settings(settings), prepared.digest, reuse=settings.reuse)
        evaluated = evaluate.run(evaluate.EvaluateSettings(model_uri=model_uri, data=prepared.folder))
        if policy.compares:
            evaluate_champion(settings.name, model_uri, prepared.folder)
        if reads_serving(policy):
            measure_infrastructure(model_uri, load_dataset(prepared.folder))
        registered = register.run(
            register.RegisterSettings(model_uri=model_uri, name=settings.name, policy=settings.policy)
        )
        mlflow.set_tags({"model_uri": model_uri, "version": registered.version})
    return Lifecycle(prepared, model_uri, run_id, anew, evaluated, registered)


def prepare_settings(settings: MainSettings) -> PrepareSettings:
    """The prepare step's settings, in this workspace."""
    return settings.prepare.model_copy(update={"out": settings.workspace / "data"})


def train_settings(settings: MainSettings) -> TrainSettings:
    """The train step's settings, in this workspace."""
    places = {"data": settings.workspace / "data", "work": settings.workspace / "training"}
    return settings.train.model_copy(update={**places, "follows": settings.name})


def train_or_take_up(settings: TrainSettings, digest: str, *, reuse: bool = True) -> tuple[str, str, bool]:
    """Train, unless the same training is finished already: (model URI, run id, whether trained anew)."""
    plan = plan_of(settings, digest)
    found = finished_training(plan) if reuse else None
    if found is not None:
        return *found, False
    result = train.run(settings)
    # Last of all: a run without it is an unfinished one, whatever killed it.
    MlflowClient().set_tag(result.run_id, PLAN_TAG, plan)
    return result.model_uri, result.run_id, True


def finished_training(plan: str) -> tuple[str, str] | None:
    """Model URI and run id of the newest finished training of this plan in the active experiment."""
    active = mlflow.active_run()
    # The tag is written last, so it alone tells; the status is whatever happened to the run since.
    runs = mlflow.search_runs(
        experiment_ids=[active.info.experiment_id] if active else None,
        filter_string=f"tags.`{PLAN_TAG}` = '{plan}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
        output_format="list",
    )
    if not runs:
        return None
    run = runs[0]
    models = MlflowClient().search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'"
    )
    return (models[0].model_uri, run.info.run_id) if models else None


def plan_of(settings: TrainSettings, digest: str) -> str:
    """What decides how a training turns out: data, settings, weights, library; where it is done does not."""
    decisive = settings.model_dump(
        mode="json", exclude={"data", "work", "resume", "name", "follows", "triggered_by"}
    )
    made_of = [digest, decisive, weights_digest(settings.weights), make_trainer(settings.trainer).library()]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


@explained
def main() -> None:
    """Exit code 1, with the reason, where a step stops or the gates say no."""
    result = run(MainSettings.from_command_line())
    for row in result.registered.verdict.rows:
        click.echo(row.sentence(), err=not row.passed)
    click.echo(
        f"{result.registered.name} version {result.registered.version} ({result.registered.semantic_version}): "
        f"gates {'passed' if result.registered.passed else 'failed'}"
    )
    if not result.registered.passed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

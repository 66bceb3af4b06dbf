"""The search step: many trainings, and which of them nothing beats in count error and latency.

``python -m pipelines.tune``. Every trial is trained, exported, and measured on the validation split; the test
split is not looked at. A search that was killed goes on where it was with the same command: finished trials stay,
the one that was being trained goes on from its last epoch, in the same run, and what failed is tried again.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import mlflow
import optuna
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field

from pipelines.datasets.manifest import PreparedDataset, load_dataset
from pipelines.datasets.mlflow_dataset import CameraDataset
from pipelines.labelled_table import require_pictures, stored_source
from pipelines.run_params import log_params
from pipelines.search.report import report
from pipelines.search.space import DEFAULT_SPACE, SearchError, SearchSpace, load_space
from pipelines.search.study import (
    MOST_ATTEMPTS,
    alone,
    counted,
    next_trial,
    open_study,
    place_of,
    queued,
    try_again,
)
from pipelines.search.trial import Pruner, run_trial
from pipelines.settings import StepSettings, explained
from pipelines.step_record import record_step
from pipelines.train import TrainSettings
from pipelines.trainers import TrainingStoppedError, make_trainer

__all__ = ["TuneResult", "TuneSettings", "main", "run"]


class TuneSettings(StepSettings):
    """What to search, on which data, and for how long."""

    data: Path = Field(description="folder of a prepared data set; its train and val splits are used")
    space: Path = Field(DEFAULT_SPACE, description="search space, YAML or JSON")
    trials: int = Field(12, ge=1, description="how many, those of earlier calls included")
    timeout: float | None = Field(None, gt=0, description="begin no trial after so many seconds")
    study: str = Field(
        "tune", pattern=r"^[\w.-]+$", description="name of the study; the same name goes on with it"
    )
    storage: str | None = Field(None, description="the study's database, an SQLAlchemy URL; else a file in work")
    epochs: int = Field(12, ge=1, description="of every trial")
    patience: int = Field(
        0, ge=0, description="stop a trial after so many epochs without a better one; 0 never does"
    )
    seed: int = Field(0, ge=0)
    device: str = Field("auto", description="auto, cpu, or a GPU's number")
    prune: bool = Field(True, description="stop trials that see less than half of those that are no slower")
    warmup: int = Field(2, ge=0, description="epochs after which a trial may be stopped")
    startup: int = Field(3, ge=1, description="how many trials must have come as far before one is stopped")
    latency_limit_ms: float | None = Field(None, gt=0, description="stop what takes longer for a picture")
    failures: int = Field(3, ge=1, description="give up after so many failed trials in a row")
    work: Path = Field(Path(".tuning"), description="where studies are kept, to be gone on with")


@dataclass(frozen=True, slots=True)
class TuneResult:
    """The search's run, all trials as a table, and the models that nothing beats, lowest count error first."""

    run_id: str
    table: pd.DataFrame
    front: tuple[str, ...]


def run(settings: TuneSettings) -> TuneResult:
    """Search until there are as many trials as wished, or the time is over.

    Raises
    ------
    SearchError
        Where the space or the study cannot be used, another process holds the study, trials fail in a row, or all.
    """
    dataset, space = load_dataset(settings.data), load_space(settings.space)
    for split in ("train", "val"):
        require_pictures(dataset, split)
    for trainer in {each.trainer for each in space.architectures}:
        make_trainer(trainer)  # before hours of work, not in the middle
    folder = (settings.work / settings.study).resolve()
    with alone(folder):
        study = open_study(
            settings.storage or f"sqlite:///{folder / 'study.db'}",
            settings.study,
            seed=settings.seed,
            trials=settings.trials,
            bound_to={
                "data": dataset.digest,
                "space": space.digest,
                "epochs": settings.epochs,
                "patience": settings.patience,
                "seed": settings.seed,
            },
        )
        with _search_run(study, settings) as run_id:
            _log_start(run_id, settings, dataset, space)
            _search(study, settings, dataset, space, folder, run_id)
            table = report(study, run_id)
    front = table[table["front"].astype(bool)].sort_values("count_error")
    if front.empty:
        raise SearchError(f"none of {len(table)} trials was finished: {_last_reason(study)}")
    return TuneResult(run_id, table, tuple(front["model_uri"]))


def _search(
    study: optuna.Study,
    settings: TuneSettings,
    dataset: PreparedDataset,
    space: SearchSpace,
    folder: Path,
    run_id: str,
) -> None:
    place, began, failed = place_of(folder), time.monotonic(), 0
    if again := try_again(study, place):
        click.echo(f"{again} trials that failed are tried again", err=True)
    while _unfinished_here(study, place) or queued(study) or len(_over(study)) < settings.trials:
        if settings.timeout is not None and time.monotonic() - began >= settings.timeout:
            click.echo(f"the time is over after {len(_over(study))} trials; the same command goes on", err=True)
            return
        trial = next_trial(study, space, place)
        if trial is None:
            click.echo(f"the space holds no more than these {len(_over(study))} trials", err=True)
            return
        name = f"trial-{trial.number:04d}"
        pruner = Pruner(settings.prune, settings.warmup, settings.startup, settings.latency_limit_ms)
        try:
            measured = run_trial(study, trial, _training(settings, space.propose(trial).settings(), folder, name),
                                 dataset, pruner)  # fmt: skip
        except TrainingStoppedError as stopped:
            trial.set_user_attr("reason", str(stopped))
            study.tell(trial, state=TrialState.PRUNED)
            failed = 0
        except (RuntimeError, ValueError, OSError, MemoryError, MlflowException) as error:
            # Another one may well work: this network did not fit into memory, at this rate the loss exploded.
            trial.set_user_attr("reason", f"{type(error).__name__}: {error}"[:2000])
            study.tell(trial, state=TrialState.FAIL)
            failed += 1
        else:
            study.tell(trial, [measured.count_error, measured.latency_ms])
            failed = 0
        over = study.trials[trial.number]
        if over.state != TrialState.FAIL:  # what failed is left for whoever wants to know why
            shutil.rmtree(folder / name, ignore_errors=True)
        _tell(over)
        report(study, run_id)
        if failed >= settings.failures:
            raise SearchError(
                f"{failed} trials in a row failed, the last one with: {_last_reason(study)}; mend that, and give "
                f"the same command, which tries each of them again, {MOST_ATTEMPTS} times in all; where they fail "
                f"for good they count: go on with --trials {settings.trials + failed}, or begin another --study"
            )


def _training(settings: TuneSettings, proposed: dict[str, Any], folder: Path, name: str) -> TrainSettings:
    return TrainSettings.model_validate(
        {
            **proposed,
            "data": settings.data,
            "epochs": settings.epochs,
            "patience": settings.patience,
            "seed": settings.seed,
            "device": settings.device,
            "name": name,
            "work": folder,
            "resume": True,
        }
    )


@contextmanager
def _search_run(study: optuna.Study, settings: TuneSettings) -> Iterator[str]:
    """The one run of a study, however often it is gone on with; its trials' runs lie below it."""
    known = study.user_attrs.get("run_id")
    try:
        if known is not None:
            os.environ.pop("MLFLOW_RUN_ID", None)  # the first trial would take it for its own
        active = mlflow.start_run(
            run_id=known,
            run_name=None if known else settings.study,
            nested=mlflow.active_run() is not None,
            log_system_metrics=False,
        )
    except MlflowException as error:
        if known is None:
            raise
        raise SearchError(
            f"the study {settings.study!r} belongs to the run {known}, which {mlflow.get_tracking_uri()} does not "
            f"give: {error}. Set the tracking URI that it began with, or give another --study"
        ) from error
    run_id = str(active.info.run_id)
    study.set_user_attr("run_id", run_id)
    status = "FAILED"
    try:
        yield run_id
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        mlflow.end_run(status)


def _log_start(run_id: str, settings: TuneSettings, dataset: PreparedDataset, space: SearchSpace) -> None:
    client = MlflowClient()
    # An address of a database may hold a password.
    record_step("tune", settings, data=(dataset.digest,), files={"space": settings.space}, secret=("storage",))
    if client.get_run(run_id).data.tags.get("step") == "tune":
        return  # gone on with
    log_params(
        {
            "study": settings.study, "epochs": settings.epochs, "seed": settings.seed, "prune": settings.prune,
            "space_digest": space.digest, "dataset_digest": dataset.digest,
        }
    )  # fmt: skip
    mlflow.log_dict(space.model_dump(mode="json"), "search_space.json")
    source = stored_source(dataset)
    for split, context in (("train", "training"), ("val", "validation")):
        mlflow.log_input(CameraDataset(dataset, source, split), context=context)
    mlflow.set_tag("step", "tune")


def _over(study: optuna.Study) -> list[FrozenTrial]:
    return [trial for trial in counted(study) if trial.state.is_finished()]


def _unfinished_here(study: optuna.Study, place: str) -> bool:
    return any(
        trial.state == TrialState.RUNNING and trial.user_attrs.get("place") == place for trial in counted(study)
    )


def _last_reason(study: optuna.Study) -> str:
    reasons = [trial.user_attrs["reason"] for trial in counted(study) if "reason" in trial.user_attrs]
    return str(reasons[-1]) if reasons else "nothing was tried"


def _tell(trial: FrozenTrial) -> None:
    what = {
        TrialState.COMPLETE: lambda: f"count error {trial.values[0]:.3f}, {trial.values[1]:.1f} ms",
        TrialState.PRUNED: lambda: f"stopped: {trial.user_attrs['reason']}",
    }.get(trial.state, lambda: f"failed: {trial.user_attrs.get('reason')}")
    name, size = trial.params["architecture"], trial.params["image_size"]
    click.echo(f"trial {trial.number}: {name} at {size}: {what()}", err=True)


@explained
def main() -> None:
    """Search from the command line; prints the front."""
    result = run(TuneSettings.from_command_line())
    for row in result.table[result.table["front"]].sort_values("latency_ms").itertuples():
        click.echo(
            f"{row.model_uri}  count error {row.count_error:.3f}  {row.latency_ms:.1f} ms  "
            f"{row.model} at {row.image_size}"
        )
    click.echo(f"run {result.run_id}")


if __name__ == "__main__":
    main()

"""The folder and the MLflow run of a training: begun anew, or those that an interrupted process left behind."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from pipelines.trainers.interruption import Interruption
from pipelines.trainers.trainer import TrainingError, TrainingPlan, TrainingStoppedError
from pipelines.trainers.training_folder import write_whole

__all__ = ["choose_folder", "mark_done", "training_run"]


def choose_folder(parent: Path, plan: TrainingPlan, *, resume: bool) -> Path:
    """The folder of the newest unfinished training of this plan when resuming, else a new one.

    Raises
    ------
    TrainingError
        Where there are unfinished trainings, but none of this plan.
    """
    begun = [path for path in parent.glob("*") if (path / "plan.json").exists()]
    unfinished = [path for path in begun if not (path / "done.json").exists()]
    if resume and unfinished:
        wanted = json.loads(json.dumps(plan.to_dict()))
        for path in sorted(unfinished, reverse=True):
            if json.loads((path / "plan.json").read_text(encoding="utf-8")) == wanted:
                return path
        raise TrainingError(
            f"{parent} holds {len(unfinished)} unfinished training(s), none with these settings and this data: "
            "give the settings it began with, or leave resume out to start anew"
        )
    number = 1 + max((int(path.name) for path in parent.glob("*") if path.name.isdigit()), default=0)
    return parent / f"{number:04d}"


def mark_done(folder: Path, model_uri: str) -> None:
    """From now on there is nothing to resume here."""
    write_whole(folder / "done.json", json.dumps({"model_uri": model_uri}))


@contextmanager
def training_run(folder: Path, name: str, interruption: Interruption) -> Iterator[str]:
    """The MLflow run of the training in `folder`; gives its id.

    A run that `interruption` or a listener ends is KILLED, one that fails FAILED; ``kill -9`` leaves it RUNNING.
    All of them go on in the same run when they are resumed.

    Raises
    ------
    TrainingError
        Where another process is training in this folder, or the tracking server does not know its run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        run_id = _start(folder, name)
        status = "FAILED"
        try:
            with interruption.listening():
                yield run_id
            status = "FINISHED"
        except (KeyboardInterrupt, TrainingStoppedError):
            status = "KILLED"
            raise
        finally:
            mlflow.end_run(status)


def _start(folder: Path, name: str) -> str:
    state = folder / "run.json"
    known = json.loads(state.read_text(encoding="utf-8"))["run_id"] if state.exists() else None
    try:
        active = mlflow.start_run(
            run_id=known,
            run_name=None if known else name,
            nested=mlflow.active_run() is not None,
            log_system_metrics=True,
        )
    except MlflowException as error:
        if known is None:
            raise
        raise TrainingError(
            f"{folder} belongs to the run {known}, which {mlflow.get_tracking_uri()} does not give: {error}. "
            "Set the tracking URI that it began with, or leave resume out to start anew"
        ) from error
    write_whole(state, json.dumps({"run_id": active.info.run_id}))
    return str(active.info.run_id)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel lets go of when the process dies."""
    with (folder / "lock").open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TrainingError(f"another process is training in {folder}: wait for it, or stop it") from error
        yield

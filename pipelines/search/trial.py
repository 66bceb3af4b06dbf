"""One trial of a search: trained, exported, and measured on the validation split."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from mlflow import MlflowClient
from mlflow.entities import Metric
from optuna.trial import Trial, TrialState

import camera_counting
from camera_counting.detectors import open_detector
from counting_evaluator import LabelledPicture, detect_all, read_table
from counting_evaluator.counting import count_errors, count_table, true_counts
from pipelines import train
from pipelines.datasets.manifest import PreparedDataset
from pipelines.labelled_table import labelled_table
from pipelines.search.pruning import Progress, reason_to_stop
from pipelines.train import TrainSettings
from pipelines.trainers import Epoch, TrainingListener, TrainingStoppedError, make_trainer
from pipelines.trainers.checked_export import input_shape

__all__ = ["Measured", "Pruner", "progress_of", "run_trial"]

_CURVE, _LATENCY, _RUN, _MODEL = "curve", "latency_ms", "run_id", "model_uri"
_TIMED = 24


@dataclass(frozen=True, slots=True)
class Measured:
    """What a finished trial shows on the validation split.

    Parameters
    ----------
    run_id, model_uri : str
        Its training's run, and the model that it logged.
    count_error : float
        Mean over pictures of the sum over classes of |counted - true|: a car taken for a truck is wrong twice.
    latency_ms : float
        Median time of one picture, detection alone, with the runtime that would serve it here.
    """

    run_id: str
    model_uri: str
    count_error: float
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Pruner:
    """When trials are stopped; see `pipelines.search.pruning`."""

    enabled: bool = True
    warmup: int = 2
    startup: int = 3
    latency_limit_ms: float | None = None


def run_trial(
    study: optuna.Study, trial: Trial, settings: TrainSettings, dataset: PreparedDataset, pruner: Pruner
) -> Measured:
    """Train the trial in `settings.work`, or go on with it there, and measure it.

    Raises
    ------
    TrainingStoppedError
        Where it was not worth going on.
    TrainingError, CountingError, EvaluationError
        Where it cannot be trained or measured.
    """
    folder = settings.work / settings.name
    done = next(iter(sorted(folder.glob("*/done.json"))), None)
    if done is None:
        try:
            model_uri = train.run(settings, listener=_Watch(study, trial, settings, dataset, pruner)).model_uri
        finally:  # also of one that was stopped or failed there is a run to look at
            for state in sorted(folder.glob("*/run.json")):
                trial.set_user_attr(_RUN, _read(state)["run_id"])
    else:  # killed between its training and its measurement
        model_uri = _read(done)["model_uri"]
        trial.set_user_attr(_RUN, _read(done.with_name("run.json"))["run_id"])
    run_id = trial.user_attrs[_RUN]
    trial.set_user_attr(_MODEL, model_uri)
    measured = _measure(run_id, model_uri, dataset)
    trial.set_user_attr(_LATENCY, measured.latency_ms)
    return measured


def _read(path: Path) -> dict[str, str]:
    content: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return content


def progress_of(trial: optuna.trial.FrozenTrial) -> Progress:
    """How far a trial has come, as it was written down while it was trained."""
    return Progress(tuple(trial.user_attrs.get(_CURVE, ())), trial.user_attrs.get(_LATENCY))


class _Watch(TrainingListener):
    """Writes down how a trial gets on, and ends it where that is hopeless."""

    def __init__(
        self,
        study: optuna.Study,
        trial: Trial,
        settings: TrainSettings,
        dataset: PreparedDataset,
        pruner: Pruner,
    ) -> None:
        self.study, self.trial, self.settings, self.dataset, self.pruner = study, trial, settings, dataset, pruner
        self.curve: list[float] = []

    def on_epoch(self, epoch: Epoch) -> None:
        seen = float(epoch.metrics.get("val/map50_95", 0.0))
        self.curve.append(max([seen, *self.curve[-1:]]))
        self.trial.set_user_attr(_CURVE, self.curve)
        if not self.pruner.enabled or epoch.last:
            return  # there is nothing to be saved any more
        mine = self.trial.user_attrs
        if _LATENCY not in mine:
            self.trial.set_user_attr(_LATENCY, self._latency())
        others = [
            progress_of(other)
            for other in self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        ]
        reason = reason_to_stop(
            Progress(tuple(self.curve), self.trial.user_attrs[_LATENCY]),
            others,
            warmup=self.pruner.warmup,
            startup=self.pruner.startup,
            latency_limit_ms=self.pruner.latency_limit_ms,
        )
        if reason is not None:
            raise TrainingStoppedError(reason)

    def _latency(self) -> float:
        """Of the first checkpoint, exported as the last one will be."""
        trainer = make_trainer(self.settings.trainer)
        [checkpoint, *_] = sorted(self.settings.work.glob(f"{self.settings.name}/*/best-*.pt"))
        samples = {split: self.dataset.samples(split) for split in ("train", "val")}
        sizes = [(sample.width, sample.height) for split in samples.values() for sample in split]
        shape = input_shape(sizes, self.settings.image_size)
        exported = trainer.export(checkpoint, checkpoint.parent / "first-export", shape)
        detector = open_detector(exported, classes=self.dataset.classes, iou=trainer.suppression)
        pictures = read_table(labelled_table(self.dataset, "val"))
        return _median_ms(lambda some: detect_all(detector, some, 0.25).seconds.tolist(), pictures)


def _measure(run_id: str, model_uri: str, dataset: PreparedDataset) -> Measured:
    model = camera_counting.load_model(model_uri)
    pictures = read_table(labelled_table(dataset, "val"))
    found = detect_all(model, pictures, model.confidence).found
    counted = count_table(found, dataset.classes, model.confidence)
    true = true_counts(pictures, dataset.classes)
    errors = count_errors(counted.sum(axis=1), true.sum(axis=1))
    by_class = float(np.abs(counted - true).sum(axis=1).mean())
    latency = _median_ms(lambda some: detect_all(model, some, model.confidence).seconds.tolist(), pictures)
    figures = {f"val/count_{name}": errors[name] for name in ("mae", "nae", "bias") if name in errors}
    figures |= {"val/count_mae_by_class": by_class, "val/latency_p50_ms": latency}
    now = int(time.time() * 1000)
    MlflowClient().log_batch(run_id, metrics=[Metric(name, value, now, 0) for name, value in figures.items()])
    return Measured(run_id, model_uri, by_class, latency)


def _median_ms(
    time_them: Callable[[list[LabelledPicture]], list[float]], pictures: list[LabelledPicture]
) -> float:
    """Median milliseconds of one picture, of at least `_TIMED` measurements however few pictures there are."""
    repeated = (pictures * (1 + _TIMED // len(pictures)))[:_TIMED]
    return float(np.median(time_them(repeated))) * 1000

"""The training step: a prepared data set becomes a run with a logged model. ``python -m pipelines.train``"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import mlflow
from pydantic import Field

import camera_counting
from camera_counting.detectors import Detector, open_detector
from counting_evaluator import best_confidence, detect_all, read_table
from pipelines.ancestry import CHECKPOINT_TAG, LAST_CHECKPOINT_TAG
from pipelines.datasets.manifest import PreparedDataset, load_dataset
from pipelines.datasets.mlflow_dataset import CameraDataset
from pipelines.labelled_table import labelled_table, stored_source
from pipelines.run_params import log_params
from pipelines.settings import StepSettings, explained
from pipelines.step_record import champion_of, note_trigger, record_step, require_trigger
from pipelines.trainers import (
    Trained,
    Trainer,
    TrainingError,
    TrainingListener,
    TrainingPlan,
    make_trainer,
    weights_digest,
)
from pipelines.trainers.agreement import Agreement, require_agreement
from pipelines.trainers.checked_export import agreement_of, input_shape
from pipelines.trainers.interruption import Interruption
from pipelines.trainers.report import Listeners, TrainingReport, plot_epochs
from pipelines.trainers.training_run import choose_folder, mark_done, training_run

__all__ = ["TrainResult", "TrainSettings", "main", "run"]


class TrainSettings(StepSettings):
    """What to train, on what, and for how long."""

    data: Path = Field(description="folder of a prepared data set")
    trainer: str = Field("ultralytics", description="which trainer")
    model: str = Field("yolo11n.yaml", description="architecture, in the trainer's words")
    weights: Path | None = Field(None, description="checkpoint to start from; without it from scratch")
    epochs: int = Field(16, ge=1)
    image_size: int = Field(224, ge=32, description="longer side of the network's input, in pixels")
    batch: int = Field(8, ge=1)
    seed: int = Field(0, ge=0)
    patience: int = Field(0, ge=0, description="stop after so many epochs without a better one; 0 never does")
    device: str = Field("auto", description="auto, cpu, or a GPU's number")
    options: dict[str, Any] = Field(default_factory=dict, description="the trainer's own settings, as JSON")
    confidence: float | None = Field(
        None, gt=0, lt=1, description="score that counts; without it the one that counts best on the val split"
    )
    name: str = Field("detector", pattern=r"^[\w.-]+$", description="name of run and folder")
    work: Path = Field(Path(".training"), description="where trainings are kept, to be resumed")
    follows: str | None = Field(
        None, description="registered model that this is a candidate for; its champion is recorded as the parent"
    )
    triggered_by: str | None = Field(None, description="run of the drift report that asked for this training")
    resume: bool = Field(False, description="go on with the newest unfinished training of the same settings")


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training gave: a finished run with a logged model, and the folder that can be deleted."""

    run_id: str
    model_uri: str
    confidence: float
    folder: Path
    trained: Trained
    agreement: Agreement


def run(settings: TrainSettings, *, listener: TrainingListener | None = None) -> TrainResult:
    """Train, export, hold the export against what was trained, choose the confidence, log the model.

    The confidence is chosen on the validation split; the test split is not looked at.

    Parameters
    ----------
    listener : TrainingListener, optional
        Also told of the progress, each epoch after it was logged; may end the training.

    Raises
    ------
    TrainingError
        Where the training cannot start or go on, or the export sees other things than what was trained.
    """
    if settings.triggered_by is not None:
        require_trigger(settings.triggered_by)
    dataset = load_dataset(settings.data)
    trainer = make_trainer(settings.trainer)
    plan = _plan(settings, dataset, trainer)
    folder = choose_folder(settings.work / settings.name, plan, resume=settings.resume)
    interruption = Interruption()
    with training_run(folder, settings.name, interruption) as run_id:
        _log_start(settings, plan, dataset)
        with TrainingReport(run_id, plan.epochs, interruption) as report:
            trained = trainer.train(plan, folder, report if listener is None else Listeners(report, listener))
        interruption.check()
        result = _ship(settings, dataset, trainer, trained, folder, run_id)
        mark_done(folder, result.model_uri)
    interruption.check()  # what came too late to spare the work still ends whatever called it
    return result


def _plan(settings: TrainSettings, dataset: PreparedDataset, trainer: Trainer) -> TrainingPlan:
    return TrainingPlan(
        data=settings.data,
        digest=dataset.digest,
        classes=tuple(dataset.classes),
        model=settings.model,
        weights=settings.weights,
        weights_digest=weights_digest(settings.weights),
        library=trainer.library(),
        epochs=settings.epochs,
        image_size=settings.image_size,
        batch=settings.batch,
        seed=settings.seed,
        patience=settings.patience,
        device=settings.device,
        options=settings.options,
    )


def _log_start(settings: TrainSettings, plan: TrainingPlan, dataset: PreparedDataset) -> None:
    params = plan.to_dict()
    for name in ("options", "classes", "digest"):
        del params[name]
    params |= {"trainer": settings.trainer, "classes": ",".join(plan.classes), "dataset_digest": plan.digest}
    params |= {f"option.{name}": value for name, value in plan.options.items()}
    log_params(params)
    mlflow.set_tags({"step": "train", "trainer": settings.trainer})
    record_step(
        "train",
        settings,
        data=(dataset.digest,),
        files={"weights": settings.weights, "model": Path(settings.model)},
        parent=champion_of(settings.follows) if settings.follows else None,
    )
    if settings.triggered_by is not None:
        note_trigger(settings.triggered_by)
    source = stored_source(dataset)
    for split, context in (("train", "training"), ("val", "validation")):
        mlflow.log_input(CameraDataset(dataset, source, split), context=context)


def _ship(
    settings: TrainSettings,
    dataset: PreparedDataset,
    trainer: Trainer,
    trained: Trained,
    folder: Path,
    run_id: str,
) -> TrainResult:
    """From the best checkpoint to a logged model; a wrong export stops here and nothing is logged as a model."""
    samples = {split: dataset.samples(split) for split in ("train", "val")}
    sizes = [(sample.width, sample.height) for split in samples.values() for sample in split]
    shape = input_shape(sizes, settings.image_size)
    exported = trainer.export(trained.checkpoint, folder / "export", shape)
    detector = open_detector(exported, classes=dataset.classes, iou=trainer.suppression)
    agreement = agreement_of(trainer, trained, detector, [sample.path for sample in samples["val"]], shape)
    mlflow.log_metrics(agreement.metrics())
    require_agreement(agreement)
    confidence = settings.confidence or _choose_confidence(detector, dataset)
    log_params({"confidence": confidence, "input_shape": f"{shape[0]}x{shape[1]}"})
    mlflow.log_figure(plot_epochs(trained.epochs), "training/curves.png")
    for plot in trained.plots:
        mlflow.log_artifact(str(plot), "training")
    # By it a training that begins with this checkpoint is known to have learnt from these data, too.
    mlflow.set_tag(CHECKPOINT_TAG, weights_digest(trained.checkpoint))
    # The last one lies in the work folder, for whoever wants to go on from it.
    for last in trained.checkpoint.parent.glob("last-*.pt"):
        mlflow.set_tag(LAST_CHECKPOINT_TAG, weights_digest(last))
    mlflow.log_artifact(str(trained.checkpoint), "checkpoint")
    info = camera_counting.log_model(
        exported,
        name="model",
        classes=tuple(dataset.classes),
        confidence=confidence,
        iou=trainer.suppression,
    )
    return TrainResult(run_id, info.model_uri, confidence, folder, trained, agreement)


def _choose_confidence(detector: Detector, dataset: PreparedDataset) -> float:
    """The score that counts best on the validation split; the default where that split shows nothing to count."""
    pictures = read_table(labelled_table(dataset, "val"))
    if not any(picture.labels for picture in pictures):
        raise TrainingError(
            "the validation split shows no object to choose the confidence by: prepare a larger one, "
            "or give the confidence"
        )
    found = detect_all(detector, pictures, 0.01).found
    return best_confidence(pictures, found, dataset.classes)


@explained
def main() -> None:
    """Train from the command line; prints the model's URI."""
    result = run(TrainSettings.from_command_line())
    best = result.trained.best
    click.echo(f"run {result.run_id}: best epoch {best.number}, mAP50 {best.metrics.get('val/map50', 0):.3f}")
    click.echo(f"model {result.model_uri} (confidence {result.confidence:.2f})")


if __name__ == "__main__":
    main()

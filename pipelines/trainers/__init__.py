"""Trainers: what turns a prepared data set into a detector. A new one is a file here and a line in `TRAINERS`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from pipelines.trainers.trainer import (
    Epoch,
    Trained,
    Trainer,
    TrainingError,
    TrainingListener,
    TrainingPlan,
    TrainingStoppedError,
    weights_digest,
)

__all__ = [
    "TRAINERS",
    "Epoch",
    "Trained",
    "Trainer",
    "TrainingError",
    "TrainingListener",
    "TrainingPlan",
    "TrainingStoppedError",
    "make_trainer",
    "weights_digest",
]

# name -> module:class. Named, not imported: torch takes seconds to import, and a trainer that nobody asks for
# need not be installed.
TRAINERS: Mapping[str, str] = MappingProxyType(
    {
        "ultralytics": "pipelines.trainers.ultralytics:UltralyticsTrainer",
        "torchvision": "pipelines.trainers.torchvision:TorchvisionTrainer",
    }
)


def make_trainer(name: str) -> Trainer:
    """The trainer of this name.

    Parameters
    ----------
    name : str
        A key of `TRAINERS`.

    Raises
    ------
    TrainingError
        Where there is no such trainer, or what it needs is not installed.

    Examples
    --------
    >>> make_trainer("abacus")
    Traceback (most recent call last):
    pipelines.trainers.trainer.TrainingError: expected a trainer out of ultralytics, torchvision, got 'abacus'
    """
    try:
        module, attribute = TRAINERS[name].split(":")
    except KeyError:
        raise TrainingError(f"expected a trainer out of {', '.join(TRAINERS)}, got {name!r}") from None
    try:
        trainer = getattr(import_module(module), attribute)()
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"the trainer {name!r} needs the package {error.name!r}: install mlflow-camera-counting[train]"
        ) from error
    if not isinstance(trainer, Trainer):
        raise TypeError(f"{TRAINERS[name]} is no Trainer")
    return trainer

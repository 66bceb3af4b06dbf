"""The seam between a training step and the library that trains: `Trainer`, and the values that pass through it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from camera_counting.detections import Detections

__all__ = [
    "Epoch",
    "Trained",
    "Trainer",
    "TrainingError",
    "TrainingListener",
    "TrainingPlan",
    "TrainingStoppedError",
    "weights_digest",
]


class TrainingError(RuntimeError):
    """A training that cannot start, go on or be exported; says what to do."""


class TrainingStoppedError(TrainingError):
    """A training that a listener ended, since it is not worth going on; says why."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What is to be trained, on what, and how; equal plans make equal trainings.

    Parameters
    ----------
    data : Path
        A prepared data set's folder (``data.yaml``, ``images/<split>``, ``labels/<split>``).
    digest : str
        The data set's digest: a training is never continued on other data.
    classes : tuple of str
        The data set's classes, in the order of the detector's outputs.
    model : str
        The architecture, in the trainer's own words (``yolo11n.yaml``).
    weights : Path or None
        A checkpoint to start from; None starts from random numbers.
    weights_digest : str or None
        Its SHA-256: the same path may hold another checkpoint next time.
    epochs, batch, seed : int
        As they say.
    image_size : int
        The longer side of the network's input, in pixels.
    patience : int
        Stop after so many epochs without a better detector; 0 never does.
    device : str
        ``auto`` (a GPU where there is one), ``cpu``, or a GPU's number.
    options : mapping
        The trainer's own settings, by its own names.
    library : str
        Name and version of what trains: another one trains otherwise.
    """

    data: Path
    digest: str
    classes: tuple[str, ...]
    model: str
    weights: Path | None = None
    epochs: int = 14
    image_size: int = 256
    batch: int = 8
    seed: int = 0
    patience: int = 0
    device: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    weights_digest: str | None = None
    library: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; the folder is left out, since data may move and its digest tells it apart."""
        plain = asdict(self)
        del plain["data"]
        plain["classes"] = list(self.classes)
        plain["weights"] = None if self.weights is None else str(self.weights)
        plain["options"] = dict(self.options)
        return plain


def weights_digest(weights: Path | None) -> str | None:
    """SHA-256 of a checkpoint; None without one, or where the file is absent, which the trainer refuses."""
    if weights is None or not weights.is_file():
        return None
    with weights.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Epoch:
    """One finished epoch, whose state is on disk.

    Parameters
    ----------
    number : int
        1 for the first.
    metrics : mapping of str to float
        ``train/...`` and ``val/...`` losses, ``val/precision``, ``val/recall``, ``val/map50``,
        ``val/map50_95``, ``lr``, ``seconds``.
    best : bool
        Whether its detector is the best so far.
    last : bool
        Whether training ends with it.
    """

    number: int
    metrics: Mapping[str, float]
    best: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training.

    Parameters
    ----------
    checkpoint : Path
        The best epoch's detector, in the trainer's own format.
    epochs : tuple of Epoch
        All of them, also those of before an interruption.
    plots : tuple of Path
        Pictures worth a look: curves, confusion, labelled and predicted samples.
    """

    checkpoint: Path
    epochs: tuple[Epoch, ...]
    plots: tuple[Path, ...] = ()

    @property
    def best(self) -> Epoch:
        """The epoch that `checkpoint` is of."""
        return [epoch for epoch in self.epochs if epoch.best][-1]


class TrainingListener:
    """Who wants to hear of a training's progress overrides these; here they do nothing."""

    def on_batch(self, epoch: int, done: int, total: int) -> None:
        """`done` of `total` batches of this epoch (1 for the first) have been learnt."""

    def on_epoch(self, epoch: Epoch) -> None:
        """An epoch is over and on disk. A continued training first tells of those of before, once each.

        Raises
        ------
        TrainingStoppedError
            To end the training.
        """


class Trainer(ABC):
    """Trains a detector and exports it to ONNX. Downloads nothing and sends nothing.

    A training lives in a folder, survives ``kill -9`` in it, and goes on where it was when `train` is called
    again with the same plan and folder.

    Attributes
    ----------
    suppression : float
        Boxes of one class that overlap by more are one object to what it trains: the served model's `iou`.
    """

    suppression: float = 0.7

    @abstractmethod
    def library(self) -> str:
        """Name and version of the library that trains, without importing it."""

    @abstractmethod
    def train(self, plan: TrainingPlan, folder: Path, listener: TrainingListener) -> Trained:
        """Train, or go on with the training that `folder` holds; returns at once where it is finished.

        Raises
        ------
        TrainingError
            Where the folder holds a training of another plan, or the plan names an unknown model, missing
            weights or an unknown option.
        """

    @abstractmethod
    def export(self, checkpoint: Path, folder: Path, shape: tuple[int, int]) -> Path:
        """Write the checkpoint's detector as ``folder/model.onnx`` for inputs of `shape` (height, width)."""

    @abstractmethod
    def detect(
        self,
        checkpoint: Path,
        pictures: Sequence[npt.NDArray[np.uint8]],
        shape: tuple[int, int],
        confidence: float,
    ) -> list[Detections]:
        """What the checkpoint itself sees, in the library that trained it: the yardstick for the export.

        Parameters
        ----------
        pictures : sequence of uint8 arrays of shape (H, W, 3), RGB
        shape : (height, width) of the network's input
        confidence : the least score
        """

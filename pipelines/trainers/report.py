"""A training as people follow it: a bar on the terminal, figures in MLflow per epoch, curves at the end."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import mlflow
from matplotlib.figure import Figure
from mlflow import MlflowClient
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipelines.trainers.interruption import Interruption
from pipelines.trainers.trainer import Epoch, TrainingListener

__all__ = ["Listeners", "TrainingReport", "plot_epochs"]


class TrainingReport(TrainingListener):
    """Shows and logs a training's progress; use it as a context.

    Parameters
    ----------
    run_id : str
        The active MLflow run. Epochs that it already knows are not logged again.
    epochs : int
        How many are planned.
    interruption : Interruption
        Asked after every batch and epoch.
    """

    def __init__(self, run_id: str, epochs: int, interruption: Interruption) -> None:
        history = MlflowClient().get_metric_history(run_id, "seconds")
        self._logged = {metric.step for metric in history}
        self._epochs = epochs
        self._interruption = interruption
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=Console(stderr=True),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        self._task = self._bar.add_task("training", total=self._epochs, figures="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def on_batch(self, epoch: int, done: int, total: int) -> None:
        """Move the bar by a batch."""
        if self._task is not None:
            self._bar.update(self._task, completed=round(epoch - 1 + done / total, 2))
        self._interruption.check()

    def on_epoch(self, epoch: Epoch) -> None:
        """Log an epoch's figures, once."""
        if self._task is not None:
            found = epoch.metrics.get("val/map50")
            figures = "" if found is None else f"mAP50 {found:.3f}"
            self._bar.update(self._task, completed=epoch.number, figures=figures)
        if epoch.number not in self._logged:
            mlflow.log_metrics(dict(epoch.metrics), step=epoch.number)
            self._logged.add(epoch.number)
        self._interruption.check()


class Listeners(TrainingListener):
    """Several listeners as one, told in their order."""

    def __init__(self, *listeners: TrainingListener) -> None:
        self._listeners = listeners

    def on_batch(self, epoch: int, done: int, total: int) -> None:
        """Tell each."""
        for listener in self._listeners:
            listener.on_batch(epoch, done, total)

    def on_epoch(self, epoch: Epoch) -> None:
        """Tell each."""
        for listener in self._listeners:
            listener.on_epoch(epoch)


def plot_epochs(epochs: Sequence[Epoch]) -> Figure:
    """Losses of both splits and the validation figures over the epochs."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    numbers = [epoch.number for epoch in epochs]
    losses, quality = figure.subplots(1, 2)
    names = sorted({name for epoch in epochs for name in epoch.metrics})
    for name in names:
        values = [epoch.metrics.get(name, float("nan")) for epoch in epochs]
        if name.endswith("loss"):
            losses.plot(numbers, values, "--" if name.startswith("val/") else "-", label=name)
        elif name.startswith("val/"):
            quality.plot(numbers, values, marker=".", label=name)
    for axes, title in ((losses, "Loss (dashed: validation)"), (quality, "On the validation split")):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
    quality.set_ylim(0, 1.02)
    return figure

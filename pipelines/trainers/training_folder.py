"""The folder in which a training survives: its plan, its epochs and its checkpoints."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.trainers.trainer import Epoch, TrainingError, TrainingPlan

__all__ = ["TrainingFolder", "write_whole"]


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A path beside `path` that takes its place, once its bytes are on disk, when the block ends well."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield beside
        with beside.open("rb+") as stream:
            os.fsync(stream.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one, never half of one."""
    with _beside(path) as beside:
        beside.write_text(text, encoding="utf-8")


class TrainingFolder:
    """The durable state of one training: ``plan.json``, ``epochs.json``, ``last-N.pt``, ``best-M.pt``.

    ``epochs.json`` is the one point of truth: an epoch counts once its line stands there, and its checkpoints
    are written before that line and the older ones removed after it. So a kill at any moment leaves a state
    from which to go on.

    Raises
    ------
    TrainingError
        Where the folder holds a training of another plan.

    Examples
    --------
    >>> import tempfile
    >>> plan = TrainingPlan(Path("data"), "digest", ("car",), "tiny.yaml")
    >>> folder = TrainingFolder(Path(tempfile.mkdtemp()), plan)
    >>> folder.epochs, folder.finished
    ((), False)
    """

    def __init__(self, path: Path, plan: TrainingPlan) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._match(plan)
        self._epochs_file = path / "epochs.json"
        self.epochs: tuple[Epoch, ...] = ()
        if self._epochs_file.exists():
            entries = json.loads(self._epochs_file.read_text(encoding="utf-8"))
            self.epochs = tuple(Epoch(**entry) for entry in entries)

    @property
    def finished(self) -> bool:
        """Whether the last epoch has been trained."""
        return bool(self.epochs) and self.epochs[-1].last

    @property
    def last(self) -> Path:
        """The checkpoint from which to go on; there is one once there is an epoch."""
        return self.path / f"last-{self.epochs[-1].number}.pt"

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch so far."""
        return self.path / f"best-{[epoch.number for epoch in self.epochs if epoch.best][-1]}.pt"

    def keep(self, epoch: Epoch, last: Path, best: Path) -> None:
        """Make an epoch durable, with copies of the checkpoints that the library has just written."""
        self._copy(last, self.path / f"last-{epoch.number}.pt")
        if epoch.best:
            self._copy(best, self.path / f"best-{epoch.number}.pt")
        epochs = (*self.epochs, epoch)
        write_whole(self._epochs_file, json.dumps([asdict(each) for each in epochs], indent=1))
        self.epochs = epochs
        for old in (*self.path.glob("last-*.pt"), *self.path.glob("best-*.pt")):
            if old not in (self.last, self.best):
                old.unlink()

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        with _beside(target) as beside:
            shutil.copyfile(source, beside)

    def _match(self, plan: TrainingPlan) -> None:
        path = self.path / "plan.json"
        wanted: dict[str, Any] = json.loads(json.dumps(plan.to_dict()))
        if not path.exists():
            write_whole(path, json.dumps(wanted, indent=1))
            return
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        differing = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
        if differing:
            changes = "; ".join(f"{key} was {found.get(key)!r}, is {wanted.get(key)!r}" for key in differing)
            raise TrainingError(
                f"{self.path} holds a training of another plan ({changes}): "
                "continue it with its own settings, or start anew under another name"
            )

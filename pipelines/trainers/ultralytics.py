"""The trainer that stands on Ultralytics YOLO. Its AGPL-3.0 licence covers what it trains: see the README."""

from __future__ import annotations

import io
import logging
import math
import os
import shutil
import time
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from camera_counting.detections import Detections
from pipelines.trainers.offline_ultralytics import offline_ultralytics
from pipelines.trainers.trainer import (
    Epoch,
    Trained,
    Trainer,
    TrainingError,
    TrainingListener,
    TrainingPlan,
)
from pipelines.trainers.training_folder import TrainingFolder

__all__ = ["UltralyticsTrainer"]

# Found by trying on generated camera scenes with 12 to 20 epochs of a few hundred pictures. The library's own
# defaults are for hundreds of epochs of COCO: with `nbs` 64 it would step the optimiser four times an epoch.
DEFAULTS: dict[str, Any] = {
    "optimizer": "AdamW",
    "lr0": 0.002,
    "lrf": 0.05,
    "momentum": 0.9,
    "cos_lr": True,
    "warmup_epochs": 1.0,
    "warmup_bias_lr": 0.0,
    "cache": "ram",
    "plots": True,
}

# What the plan says, and what would send or fetch something: no option may change these.
_RESERVED = {
    "task", "mode", "model", "data", "epochs", "imgsz", "batch", "seed", "patience", "device", "project", "name",
    "exist_ok", "resume", "pretrained", "save", "save_dir", "val", "cfg", "nms",
}  # fmt: skip

_METRICS = {
    "metrics/precision(B)": "val/precision",
    "metrics/recall(B)": "val/recall",
    "metrics/mAP50(B)": "val/map50",
    "metrics/mAP50-95(B)": "val/map50_95",
}


# Of all that the library draws, what tells a person something.
_PLOTS = (
    "labels.jpg",
    "train_batch0.jpg",
    "val_batch0_labels.jpg",
    "val_batch0_pred.jpg",
    "confusion_matrix_normalized.png",
    "BoxPR_curve.png",
)


class UltralyticsTrainer(Trainer):
    """YOLO11 and YOLO26 of any size, from their yaml or from weights given as a path, on CPU or GPU.

    ``yolo11n.yaml`` to ``yolo11x.yaml`` and ``yolo26n.yaml`` to ``yolo26x.yaml`` come with the library. Of the two
    heads of YOLO26 the one that needs suppression is validated and exported, the library's own default since 8.4.
    """

    def library(self) -> str:
        """See `Trainer.library`."""
        return f"ultralytics {version('ultralytics')}"

    def train(self, plan: TrainingPlan, folder: Path, listener: TrainingListener) -> Trained:
        """See `Trainer.train`."""
        kept = TrainingFolder(folder, plan)
        for epoch in kept.epochs:
            listener.on_epoch(epoch)
        if not kept.finished:
            _Training(plan, kept, listener).run()
        plots = tuple(path for name in _PLOTS if (path := folder / "library" / name).exists())
        return Trained(_slim(kept.best, folder / "checkpoint.pt"), kept.epochs, plots)

    def export(self, checkpoint: Path, folder: Path, shape: tuple[int, int]) -> Path:
        """See `Trainer.export`. Raw outputs (1, 4 + classes, boxes), opset 20, batch of one."""
        offline_ultralytics(checkpoint.parent)
        import torch
        from ultralytics import YOLO

        folder.mkdir(parents=True, exist_ok=True)
        threads = torch.get_num_threads()
        copy = folder / "model.pt"
        shutil.copyfile(checkpoint, copy)  # it exports beside the checkpoint
        try:
            # Random numbers as before: it may be called in the middle of a training.
            with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
                warnings.simplefilter("ignore")  # torch warns of its own exporter's age; the export is checked
                path = YOLO(copy, task="detect").export(
                    format="onnx", imgsz=list(shape), simplify=True, device="cpu", verbose=False
                )
        finally:
            copy.unlink()
            torch.set_num_threads(threads)  # it takes one fewer; a training that this interrupts wants its own
        return Path(path)

    def detect(
        self,
        checkpoint: Path,
        pictures: Sequence[npt.NDArray[np.uint8]],
        shape: tuple[int, int],
        confidence: float,
    ) -> list[Detections]:
        """See `Trainer.detect`."""
        offline_ultralytics(checkpoint.parent)
        from ultralytics import YOLO

        model = YOLO(checkpoint, task="detect")
        found = []
        for picture in pictures:
            # BGR is the library's convention for arrays; rect=False letterboxes to exactly `shape`, as the
            # exported graph does.
            result = model.predict(
                np.ascontiguousarray(picture[..., ::-1]),
                imgsz=list(shape), rect=False, conf=confidence, iou=0.7, device="cpu", verbose=False,
            )[0]  # fmt: skip
            boxes = result.boxes
            found.append(
                Detections.of(
                    boxes.xyxy.cpu().numpy(),
                    boxes.conf.cpu().numpy(),
                    boxes.cls.cpu().numpy().astype(np.int64),
                    [result.names[number] for number in sorted(result.names)],
                )
            )
        return found


class _Training:
    """One call of the library's training loop, told to us by its callbacks."""

    def __init__(self, plan: TrainingPlan, kept: TrainingFolder, listener: TrainingListener) -> None:
        offline_ultralytics(kept.path)
        self.plan = plan
        self.kept = kept
        self.listener = listener
        self.done = 0
        self.began = time.monotonic()

    def run(self) -> None:
        import torch
        from ultralytics.models.yolo.detect import DetectionTrainer
        from ultralytics.utils import LOGGER

        level, threads = LOGGER.level, torch.get_num_threads()
        LOGGER.setLevel(logging.WARNING)
        try:
            arguments = self._arguments()
            # Its bars would tear ours apart; what it prints is kept beside the checkpoints.
            with (self.kept.path / "library.log").open("a", encoding="utf-8") as log, redirect_stdout(log):
                trainer = DetectionTrainer(overrides=arguments)
                trainer.add_callback("on_train_start", _use_all_cores)
                trainer.add_callback("on_train_epoch_start", self._epoch_start)
                trainer.add_callback("on_train_batch_end", self._batch_end)
                trainer.add_callback("on_fit_epoch_end", self._epoch_end)
                trainer.train()
        finally:
            torch.set_num_threads(threads)
            LOGGER.setLevel(level)
        if not self.kept.finished:
            raise TrainingError(f"training in {self.kept.path} broke off after {len(self.kept.epochs)} epochs")

    def _arguments(self) -> dict[str, Any]:
        from ultralytics.utils import DEFAULT_CFG_DICT

        plan = self.plan
        unknown = sorted(set(plan.options) - set(DEFAULT_CFG_DICT) | set(plan.options) & _RESERVED)
        if unknown:
            raise TrainingError(
                f"expected options that Ultralytics knows and the plan leaves open, got {', '.join(unknown)}"
            )
        if plan.weights is not None and not plan.weights.is_file():
            raise TrainingError(f"expected a checkpoint at {plan.weights}, there is none; nothing is downloaded")
        device = _device(plan.device)
        arguments = {
            "mode": "train",
            "task": "detect",
            "model": _architecture(plan.model),
            "data": str(_data_file(plan, self.kept.path)),
            "pretrained": False if plan.weights is None else str(plan.weights),
            "epochs": plan.epochs,
            "imgsz": plan.image_size,
            "batch": plan.batch,
            "nbs": plan.batch,
            "seed": plan.seed,
            "patience": plan.patience or plan.epochs + 1,
            "device": device,
            "amp": False if device == "cpu" else _gpu_precision(),
            "workers": 0 if device == "cpu" else min(8, _cores()),
            "project": str(self.kept.path.resolve()),
            "name": "library",
            "exist_ok": True,
            "verbose": False,
            "close_mosaic": max(1, round(plan.epochs * 0.3)),
            **DEFAULTS,
            **plan.options,
        }
        if self.kept.epochs:
            weights = self.kept.path / "library" / "weights"
            weights.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.kept.best, weights / "best.pt")
            shutil.copyfile(self.kept.last, weights / "last.pt")
            _cut_results(weights.parent / "results.csv", len(self.kept.epochs))
            arguments |= {"resume": str(weights / "last.pt"), "save_dir": str(weights.parent.resolve())}
        return arguments

    def _epoch_start(self, trainer: Any) -> None:
        self.done = 0
        self.began = time.monotonic()

    def _batch_end(self, trainer: Any) -> None:
        self.done += 1
        self.listener.on_batch(trainer.epoch + 1, self.done, len(trainer.train_loader))

    def _epoch_end(self, trainer: Any) -> None:
        number = trainer.epoch + 1
        if self.kept.finished or number <= len(self.kept.epochs):
            return  # the library calls once more after its last validation
        losses = {f"train/{name}": float(value) for name, value in trainer.tloss.items()}
        validated = {
            _METRICS.get(name, name): float(value)
            for name, value in trainer.metrics.items()
            if name in _METRICS or name.startswith("val/")
        }
        metrics = {
            **losses,
            **validated,
            "lr": float(trainer.optimizer.param_groups[0]["lr"]),
            "seconds": time.monotonic() - self.began,
        }
        epoch = Epoch(
            number,
            {name: value for name, value in metrics.items() if math.isfinite(value)},
            best=trainer.best_fitness == trainer.fitness,
            last=bool(trainer.stop),
        )
        self.kept.keep(epoch, trainer.last, trainer.best)
        self.listener.on_epoch(epoch)


def _slim(best: Path, target: Path) -> Path:
    """The best checkpoint without the optimiser's state, a fifth of the size: weights to start from some day."""
    if not target.exists():
        offline_ultralytics(best.parent)
        from ultralytics.utils.torch_utils import strip_optimizer

        beside = target.with_name(".checkpoint.pt")
        with redirect_stdout(io.StringIO()):
            strip_optimizer(best, str(beside))
        beside.replace(target)
    return target


def _use_all_cores(trainer: Any) -> None:
    """Undo the library's choice of one thread fewer than there are cores: on two cores that halves the speed."""
    import torch

    wished = os.environ.get("OMP_NUM_THREADS", "")
    torch.set_num_threads(int(wished) if wished.isdigit() and int(wished) else _cores())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _architecture(model: str) -> str:
    """A yaml that the library ships or a path to one; anything else it would try to download."""
    from ultralytics.nn.tasks import yaml_model_load

    if Path(model).suffix not in {".yaml", ".yml"}:
        raise TrainingError(
            f"expected an architecture's yaml such as yolo11n.yaml, got {model!r}; "
            "a checkpoint is given as weights"
        )
    try:
        yaml_model_load(model)
    except FileNotFoundError as error:
        raise TrainingError(f"Ultralytics knows no architecture {model!r}, and there is no such file") from error
    return model


def _data_file(plan: TrainingPlan, folder: Path) -> Path:
    """The data set's yaml with absolute paths, so that the library's own datasets folder plays no part."""
    import yaml

    for split in ("train", "val"):
        pictures = plan.data / "images" / split
        if not pictures.is_dir():
            raise TrainingError(f"expected the folder {pictures} of a prepared data set")
        if not any(pictures.iterdir()):
            raise TrainingError(
                f"expected pictures in {pictures}, found none: prepare a set with a share for {split}"
            )
    content = {
        "path": str(plan.data.resolve()),
        "train": "images/train",
        "val": "images/val",
        "names": dict(enumerate(plan.classes)),
    }
    path = folder / "data.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def _cut_results(path: Path, epochs: int) -> None:
    """Drop the row of an epoch that was broken off: the library appends, and draws its curves from this file."""
    if path.exists():
        rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(rows[: 1 + epochs]), encoding="utf-8")


def _device(wish: str) -> str:
    import torch

    if wish != "auto":
        return wish
    return "0" if torch.cuda.is_available() else "cpu"


def _gpu_precision() -> str | bool:
    """bfloat16 where the GPU has it: for float16 the library downloads a model to check it."""
    import torch

    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else False

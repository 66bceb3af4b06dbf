"""The trainer that stands on torchvision: SSD and FCOS. BSD-3-Clause: it asks nothing of what it trains."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from camera_counting.detections import Detections
from pipelines.trainers.cores import share_cores
from pipelines.trainers.trainer import Trained, Trainer, TrainingError, TrainingListener, TrainingPlan
from pipelines.trainers.training_folder import TrainingFolder

if TYPE_CHECKING:
    from pipelines.trainers.torchvision_networks import Network

__all__ = ["TorchvisionOptions", "TorchvisionTrainer"]

_OPSET = 17


class TorchvisionOptions(BaseModel):
    """The trainer's own settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lr0: float = Field(0.002, gt=0, description="AdamW's highest learning rate")
    lrf: float = Field(0.05, gt=0, le=1, description="the last learning rate, as a share of the highest")
    weight_decay: float = Field(0.0005, ge=0)
    warmup_epochs: float = Field(1.0, ge=0, description="the rate rises from zero for so long")
    clip: float = Field(10.0, gt=0, description="the most that the gradient's norm may be")
    flip: float = Field(0.5, ge=0, le=1, description="share of pictures that are mirrored")
    zoom: float = Field(0.4, ge=0, lt=1, description="pictures are scaled by up to this share")
    shift: float = Field(0.1, ge=0, lt=1, description="and moved by up to this share of their sides")
    colour: float = Field(0.4, ge=0, le=1, description="brightness, contrast and saturation change by up to this")
    smallest: float = Field(0.1, gt=0, lt=0.95, description="SSD's smallest default box, as a share of the input")
    plots: bool = Field(True, description="draw what is learnt and what is seen")


class TorchvisionTrainer(Trainer):
    """SSDlite and FCOS, from random numbers or from weights given as a path, on CPU or GPU.

    From random numbers they learn slower than YOLO11: after 12 epochs of 223 generated pictures the smallest FCOS
    had an mAP50 of 0.15 where YOLO11n had 0.57. Give them several times the epochs, or weights.
    """

    # SSD's default boxes lie so close that at 0.7 many objects are found twice; torchvision's own values are 0.55
    # for SSDlite and 0.6 for FCOS.
    suppression = 0.55

    def library(self) -> str:
        """See `Trainer.library`."""
        return f"torchvision {version('torchvision')}"

    def train(self, plan: TrainingPlan, folder: Path, listener: TrainingListener) -> Trained:
        """See `Trainer.train`."""
        kept = TrainingFolder(folder, plan)
        for epoch in kept.epochs:
            listener.on_epoch(epoch)
        if not kept.finished:
            share_cores()
            from pipelines.trainers.torchvision_training import Training

            Training(plan, _options(plan.options), kept, listener, self.suppression).run()
        return Trained(kept.best, kept.epochs, tuple(sorted((folder / "plots").glob("*.jpg"))))

    def export(self, checkpoint: Path, folder: Path, shape: tuple[int, int]) -> Path:
        """See `Trainer.export`. One output (1, 4 + classes, candidates) with its anchors in it, opset 17."""
        import onnx
        import onnxslim
        import torch

        from pipelines.trainers.torchvision_networks import PlainOutput

        network, classes = _restored(checkpoint, shape)
        folder.mkdir(parents=True, exist_ok=True)
        path, raw = folder / "model.onnx", folder / ".model.onnx"
        try:
            with warnings.catch_warnings():
                # torch warns of its own exporter's age and of each shape that becomes a constant; it is checked
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    PlainOutput(network, shape), (torch.zeros(1, 3, *shape),), str(raw), opset_version=_OPSET,
                    dynamo=False, input_names=["images"], output_names=["output"],
                )  # fmt: skip
            model: Any = onnxslim.slim(str(raw))
            # As Ultralytics writes them: whoever opens the file need not be told the classes.
            about = {"task": "detect", "names": repr(dict(enumerate(classes))), "imgsz": repr(list(shape))}
            onnx.helper.set_model_props(model, about | {"author": self.library()})
            onnx.save(model, str(path))
        finally:
            raw.unlink(missing_ok=True)
        return path

    def detect(
        self,
        checkpoint: Path,
        pictures: Sequence[npt.NDArray[np.uint8]],
        shape: tuple[int, int],
        confidence: float,
    ) -> list[Detections]:
        """See `Trainer.detect`. Suppression is torchvision's own."""
        from pipelines.trainers.torchvision_training import seen_by

        network, classes = _restored(checkpoint, shape)
        return seen_by(network, classes, pictures, shape, confidence, self.suppression)


def _options(given: Mapping[str, Any]) -> TorchvisionOptions:
    try:
        return TorchvisionOptions.model_validate(dict(given))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise TrainingError(
            f"expected options out of {', '.join(TorchvisionOptions.model_fields)}, got {wrong}"
        ) from error


def _restored(checkpoint: Path, shape: tuple[int, int]) -> tuple[Network, tuple[str, ...]]:
    """The checkpoint's network, ready to be asked, and its classes."""
    import torch

    from pipelines.trainers.torchvision_networks import build_network

    kept = torch.load(checkpoint, map_location="cpu", weights_only=True)
    classes = tuple(kept["classes"])
    network = build_network(kept["network"], len(classes), shape, smallest=kept["smallest"])
    network.load_state_dict(kept["model"])
    return network.eval(), classes

"""The loop in which a torchvision network learns: epochs that are on disk before they are told."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.models.detection.ssd import SSD
from torchvision.ops import batched_nms

from camera_counting.detections import Detections
from counting_evaluator import LabelledPicture
from counting_evaluator.detection import evaluate_detection
from pipelines.datasets.manifest import Sample, load_dataset
from pipelines.trainers.checked_export import input_shape
from pipelines.trainers.torchvision import TorchvisionOptions
from pipelines.trainers.torchvision_networks import Network, build_network, candidates
from pipelines.trainers.torchvision_pictures import (
    TrainingPictures,
    Variation,
    drawn_seed,
    fitted,
    read_picture,
    together,
)
from pipelines.trainers.trainer import Epoch, TrainingError, TrainingListener, TrainingPlan
from pipelines.trainers.training_folder import TrainingFolder

__all__ = ["Training", "seen_by"]

_LOSSES = {"bbox_regression": "box_loss", "classification": "cls_loss", "bbox_ctrness": "centre_loss"}
# Down to this score boxes count for the average precision; precision and recall are those at _CONFIDENCE.
_FLOOR, _CONFIDENCE = 0.01, 0.25
_AT_MOST = 300


class Training:
    """One training, from the beginning or from the last epoch on disk.

    Everything random is drawn from the plan's seed and the epoch's number, so that a training that was killed ends
    with the very weights of one that was not (on the CPU; GPUs add up in an order of their own).
    """

    def __init__(
        self,
        plan: TrainingPlan,
        options: TorchvisionOptions,
        kept: TrainingFolder,
        listener: TrainingListener,
        iou: float,
    ) -> None:
        self.plan, self.options, self.kept, self.listener, self.iou = plan, options, kept, listener, iou
        dataset = load_dataset(plan.data)
        self.splits = {split: _pictures_of(dataset.samples, split, plan) for split in ("train", "val")}
        sizes = [(sample.width, sample.height) for split in self.splits.values() for sample in split]
        self.shape = input_shape(sizes, plan.image_size)
        self.device = _device(plan.device)
        if plan.batch < 2:
            raise TrainingError(f"expected a batch of at least 2 pictures to normalise by, got {plan.batch}")
        if len(self.splits["train"]) < 2:
            raise TrainingError("expected at least 2 training pictures, got 1: prepare a larger set")

    def run(self) -> None:
        """Train until the last epoch is on disk."""
        network = self._network()
        optimiser = torch.optim.AdamW(
            [each for each in network.parameters() if each.requires_grad],
            lr=self.options.lr0, weight_decay=self.options.weight_decay,
        )  # fmt: skip
        pictures = self._pictures(network)
        loader = self._loader(pictures)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._rate(len(loader)))
        if self.kept.epochs:
            state = torch.load(self.kept.last, map_location="cpu", weights_only=True)
            network.load_state_dict(state["model"])
            optimiser.load_state_dict(state["optimiser"])
            schedule.load_state_dict(state["schedule"])
        best = max((epoch.metrics["val/map50_95"] for epoch in self.kept.epochs), default=-1.0)
        since = len(self.kept.epochs) - max((each.number for each in self.kept.epochs if each.best), default=0)
        for number in range(1 + len(self.kept.epochs), self.plan.epochs + 1):
            began = time.monotonic()
            pictures.epoch = number
            metrics = self._learn(network, optimiser, schedule, loader, number)
            metrics |= self._validate(network)
            better = metrics["val/map50_95"] > best
            best, since = (metrics["val/map50_95"], 0) if better else (best, since + 1)
            last = number == self.plan.epochs or bool(self.plan.patience and since >= self.plan.patience)
            epoch = Epoch(number, metrics | {"seconds": time.monotonic() - began}, best=better, last=last)
            if last and self.options.plots:
                self._draw(network, pictures)
            self._keep(epoch, network, optimiser, schedule)
            self.listener.on_epoch(epoch)
            if last:
                break

    def _network(self) -> Network:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.plan.seed)
            network = build_network(
                self.plan.model, len(self.plan.classes), self.shape, smallest=self.options.smallest
            )
        if self.plan.weights is not None:
            _start_from(network, self.plan.weights)
        return network.to(self.device)

    def _pictures(self, network: Network) -> TrainingPictures:
        how = Variation(self.options.flip, self.options.zoom, self.options.shift, self.options.colour)
        first = int(isinstance(network, SSD))  # SSD keeps 0 for the background
        return TrainingPictures(self.splits["train"], self.plan.classes, self.shape, first, how, self.plan.seed)

    def _loader(self, pictures: TrainingPictures) -> DataLoader[tuple[Tensor, dict[str, Tensor]]]:
        gpu = self.device.type == "cuda"
        return DataLoader(
            pictures, batch_size=min(self.plan.batch, len(pictures)), shuffle=True, collate_fn=together,
            # A last picture by itself cannot be normalised by its batch.
            drop_last=len(pictures) % min(self.plan.batch, len(pictures)) == 1,
            num_workers=min(8, os.cpu_count() or 1) if gpu else 0, pin_memory=gpu,
        )  # fmt: skip

    def _rate(self, batches: int) -> Any:
        """The share of the highest learning rate after so many batches: a ramp, then half a cosine."""
        warm, whole = self.options.warmup_epochs * batches, self.plan.epochs * batches

        def share(done: int) -> float:
            if done < warm:
                return (done + 1) / (warm + 1)
            way = min((done - warm) / max(whole - warm, 1), 1.0)
            return self.options.lrf + (1 - self.options.lrf) * (1 + math.cos(math.pi * way)) / 2

        return share

    def _learn(
        self, network: Network, optimiser: Any, schedule: Any, loader: Any, number: int
    ) -> dict[str, float]:
        network.train()
        sums: dict[str, float] = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(drawn_seed(self.plan.seed, number))
            for done, (pictures, targets) in enumerate(loader, 1):
                optimiser.zero_grad(set_to_none=True)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=_half(self.device)):
                    losses = network(
                        [each.to(self.device, non_blocking=True) for each in pictures],
                        [{name: value.to(self.device) for name, value in target.items()} for target in targets],
                    )
                loss = sum(losses.values())
                if not torch.isfinite(loss):
                    raise TrainingError(
                        f"the loss of epoch {number} is no number any more: train with a smaller lr0 than "
                        f"{self.options.lr0:g}"
                    )
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), self.options.clip)
                rate = float(optimiser.param_groups[0]["lr"])
                optimiser.step()
                schedule.step()
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + float(value.detach())
                self.listener.on_batch(number, done, len(loader))
        return {f"train/{_LOSSES.get(name, name)}": value / len(loader) for name, value in sums.items()} | {
            "lr": rate
        }

    def _validate(self, network: Network) -> dict[str, float]:
        samples = self.splits["val"]
        pictures = (read_picture(sample.path) for sample in samples)
        found = seen_by(network.eval(), self.plan.classes, pictures, self.shape, _FLOOR, self.iou)
        truth = [LabelledPicture(sample.path, sample.boxes, sample.labels) for sample in samples]
        figures = evaluate_detection(truth, found, self.plan.classes, _CONFIDENCE).metrics
        # Where nothing was seen there is no precision, and nothing to be had of it.
        return {f"val/{name}": figures.get(name, 0.0) for name in ("map50", "map50_95", "precision", "recall")}

    def _keep(self, epoch: Epoch, network: Network, optimiser: Any, schedule: Any) -> None:
        model = {
            "model": network.state_dict(),
            "network": self.plan.model,
            "classes": list(self.plan.classes),
            "smallest": self.options.smallest,
        }
        best, last = self.kept.path / ".written-best.pt", self.kept.path / ".written-last.pt"
        if epoch.best:
            torch.save(model, best)
        torch.save(model | {"optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}, last)
        self.kept.keep(epoch, last, best)
        best.unlink(missing_ok=True)
        last.unlink()

    def _draw(self, network: Network, learnt: TrainingPictures) -> None:
        from pipelines.trainers.torchvision_plots import draw_learnt, draw_seen

        folder = self.kept.path / "plots"
        folder.mkdir(exist_ok=True)
        draw_learnt(learnt, folder / "train_pictures.jpg")
        some = [read_picture(sample.path) for sample in self.splits["val"][:9]]
        found = seen_by(network, self.plan.classes, some, self.shape, _CONFIDENCE, self.iou)
        draw_seen(some, found, self.shape, folder / "val_predictions.jpg")


def seen_by(
    network: Network,
    classes: tuple[str, ...],
    pictures: Iterable[npt.NDArray[np.uint8]],
    shape: tuple[int, int],
    confidence: float,
    iou: float,
) -> list[Detections]:
    """What a network sees in RGB pictures of any size, from a score of `confidence` on.

    Each candidate is of its best class; boxes of one class that overlap by more than `iou` are one object.
    """
    device = next(network.parameters()).device
    found = []
    for picture in pictures:
        canvas, placement = fitted(picture, shape)
        with torch.no_grad():
            values = torch.from_numpy(canvas).to(device).permute(2, 0, 1)[None].float() / 255
            boxes, by_class = (each[0].cpu() for each in candidates(network, values))
        best, ids = by_class.max(dim=1)
        enough = best >= confidence
        boxes, best, ids = boxes[enough], best[enough], ids[enough]
        kept = batched_nms(boxes, best, ids, iou)[:_AT_MOST]
        corners = placement.to_picture(boxes[kept].numpy())
        inside = (corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])
        found.append(
            Detections.of(corners[inside], best[kept].numpy()[inside], ids[kept].numpy()[inside], classes)
        )
    return found


def _pictures_of(samples: Any, split: str, plan: TrainingPlan) -> list[Sample]:
    try:
        found: list[Sample] = samples(split)
    except KeyError:
        found = []
    if not found:
        raise TrainingError(
            f"expected pictures of the split {split} in {plan.data}, found none: "
            f"prepare a set with a share for {split}"
        )
    return found


def _start_from(network: Network, weights: Path) -> None:
    """Take over every tensor whose name and shape fit; other classes need another last layer."""
    if not weights.is_file():
        raise TrainingError(f"expected a checkpoint at {weights}, there is none; nothing is downloaded")
    try:
        given = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TrainingError(
            f"expected a checkpoint of tensors at {weights}, it cannot be read as one: "
            f"{str(error).splitlines()[0]}"
        ) from error
    given = given.get("model", given) if isinstance(given, dict) else {}
    own = network.state_dict()
    fitting = {
        name: value
        for name, value in given.items()
        if name in own and isinstance(value, Tensor) and value.shape == own[name].shape
    }
    bodies = [name for name in own if name.startswith("backbone.")]
    if not any(name in fitting for name in bodies):
        raise TrainingError(
            f"expected weights of this network at {weights}, none of the {len(bodies)} tensors of its backbone "
            "is there: give weights of the same model"
        )
    network.load_state_dict({**own, **fitting})


def _device(wish: str) -> torch.device:
    if wish == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    device = torch.device(f"cuda:{wish}" if wish.isdigit() else wish)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise TrainingError(f"expected a GPU as the device {wish!r}, torch sees none here: give auto or cpu")
    return device


def _half(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)

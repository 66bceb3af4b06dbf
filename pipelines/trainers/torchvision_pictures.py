"""Prepared pictures as torchvision's networks learn from them: fitted into the input as served, and varied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from camera_counting.detectors import InputSpec
from camera_counting.detectors.letterbox import Placement, letterbox
from pipelines.datasets.manifest import Sample
from pipelines.trainers.trainer import TrainingError

__all__ = ["TrainingPictures", "Variation", "drawn_seed", "fitted", "read_picture", "together"]

Target = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Variation:
    """How pictures are varied while they are learnt, each a strength from 0 (not at all) on.

    Parameters
    ----------
    flip : float
        Share of pictures that are mirrored.
    zoom, shift : float
        Scaled by a factor from 1 - zoom to 1 + zoom; moved by up to this share of the sides.
    colour : float
        Change of brightness, contrast and saturation; the hue changes by a tenth of it.
    """

    flip: float = 0.5
    zoom: float = 0.4
    shift: float = 0.1
    colour: float = 0.4


class TrainingPictures(Dataset[tuple[Tensor, Target]]):
    """One split: (float picture (3, H, W) from 0 to 1, boxes and labels in pixels of the input).

    Each picture's variation is drawn from seed, epoch and its own number. So a training that was killed and went
    on has seen the very same pictures as one that was not, however many processes read them.

    Parameters
    ----------
    samples : sequence of Sample
    classes : tuple of str
        In the order of the detector's outputs.
    shape : (height, width)
        Of the network's input.
    first_label : int
        The number of the first class: 1 for a network that keeps 0 for the background.
    variation : Variation
    seed : int
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        classes: tuple[str, ...],
        shape: tuple[int, int],
        first_label: int,
        variation: Variation,
        seed: int,
    ) -> None:
        self.samples, self.shape, self.seed = samples, shape, seed
        self.labels = {name: number for number, name in enumerate(classes, first_label)}
        self.epoch = 0
        self._vary = _variation(variation)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> tuple[Tensor, Target]:
        sample = self.samples[number]
        canvas, placement = fitted(read_picture(sample.path), self.shape)
        moved = sample.boxes * np.float32(placement.scale) + np.tile(
            np.array([placement.left, placement.top], np.float32), 2
        )
        boxes = tv_tensors.BoundingBoxes(torch.from_numpy(moved), format="XYXY", canvas_size=self.shape)
        labels = torch.tensor([self.labels[name] for name in sample.labels], dtype=torch.int64)
        picture = tv_tensors.Image(torch.from_numpy(canvas).permute(2, 0, 1).contiguous())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(drawn_seed(self.seed, self.epoch, number))
            picture, target = self._vary(picture, {"boxes": boxes, "labels": labels})
        return picture.as_subclass(Tensor).float() / 255, {
            "boxes": target["boxes"].as_subclass(Tensor),
            "labels": target["labels"],
        }


def together(batch: list[tuple[Tensor, Target]]) -> tuple[list[Tensor], list[Target]]:
    """A batch as torchvision's detectors take it: a list of pictures and one of targets."""
    pictures, targets = zip(*batch, strict=True)
    return list(pictures), list(targets)


def drawn_seed(*numbers: int) -> int:
    """A seed that these numbers alone decide; neighbours give seeds that have nothing to do with each other."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def fitted(picture: npt.NDArray[np.uint8], shape: tuple[int, int]) -> tuple[npt.NDArray[np.uint8], Placement]:
    """A picture in an input of (height, width), laid out as the flavour lays it out when it serves."""
    spec = InputSpec(width=shape[1], height=shape[0])
    canvas = np.empty((*shape, 3), np.uint8)
    return canvas, letterbox(picture, spec, canvas)


def read_picture(path: Path) -> npt.NDArray[np.uint8]:
    """RGB, uint8 (H, W, 3); a `TrainingError` where it cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) if path.is_file() else None
    if image is None:
        raise TrainingError(f"expected a picture in {path}, it cannot be read: prepare the data again")
    return np.asarray(image, np.uint8)


def _variation(how: Variation) -> Any:
    grey = (114.0, 114.0, 114.0)  # as the letterbox fills
    steps: list[Any] = []
    if how.colour:
        steps.append(v2.ColorJitter(how.colour, how.colour, how.colour, min(how.colour / 10, 0.5)))
    if how.zoom or how.shift:
        steps.append(
            v2.RandomAffine(
                degrees=0,
                translate=(how.shift, how.shift),
                scale=(1 - how.zoom, 1 + how.zoom),
                interpolation=v2.InterpolationMode.BILINEAR,
                fill={tv_tensors.Image: grey, "others": 0},
            )
        )
    if how.flip:
        steps.append(v2.RandomHorizontalFlip(how.flip))
    # What was moved out of the picture, or is a sliver of it, is no object to learn.
    return v2.Compose([*steps, v2.ClampBoundingBoxes(), v2.SanitizeBoundingBoxes(min_size=2)])

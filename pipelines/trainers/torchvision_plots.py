"""Pictures to look at: what a network learns from, and what it sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.io import write_jpeg
from torchvision.utils import draw_bounding_boxes, make_grid

from camera_counting.detections import Detections
from pipelines.trainers.torchvision_pictures import TrainingPictures, fitted

__all__ = ["draw_learnt", "draw_seen"]

_ACROSS, _MOST = 3, 9
_SCALE = 2  # inputs are small; at their own size a box's name covers the box


def draw_learnt(pictures: TrainingPictures, path: Path) -> None:
    """The first training pictures as they were varied in the last epoch, with their labels."""
    names = {number: name for name, number in pictures.labels.items()}
    drawn = []
    for number in range(min(_MOST, len(pictures))):
        picture, target = pictures[number]
        labels = [names[int(label)] for label in target["labels"]]
        drawn.append(_with_boxes((picture * 255).to(torch.uint8), target["boxes"], labels))
    _write(drawn, path)


def draw_seen(
    pictures: Sequence[npt.NDArray[np.uint8]], found: Sequence[Detections], shape: tuple[int, int], path: Path
) -> None:
    """Validation pictures with what is seen on them."""
    drawn = []
    for picture, seen in zip(pictures, found, strict=True):
        canvas, placement = fitted(picture, shape)
        corner = np.tile(np.array([placement.left, placement.top], np.float32), 2)
        boxes = torch.from_numpy(seen.boxes * np.float32(placement.scale) + corner)
        labels = [
            f"{seen.names[number]} {score:.2f}" for number, score in zip(seen.class_ids, seen.scores, strict=True)
        ]
        drawn.append(_with_boxes(torch.from_numpy(canvas).permute(2, 0, 1), boxes, labels))
    _write(drawn, path)


def _with_boxes(picture: Tensor, boxes: Tensor, labels: list[str]) -> Tensor:
    large = torch.nn.functional.interpolate(picture[None].float(), scale_factor=_SCALE)[0].to(torch.uint8)
    if not len(boxes):
        return large
    return draw_bounding_boxes(large, boxes * _SCALE, labels, colors="yellow", label_colors="yellow", width=1)


def _write(pictures: list[Tensor], path: Path) -> None:
    write_jpeg(make_grid(pictures, nrow=_ACROSS, padding=4), str(path), quality=88)

"""The one pass of the model over the pictures, timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from camera_counting.detections import Detections
from counting_evaluator.errors import EvaluationError
from counting_evaluator.truth import LabelledPicture

__all__ = ["Detecting", "DetectionPass", "detect_all", "read_picture"]


class Detecting(Protocol):
    """What a pass needs of a model; `camera_counting.CountingModel` has it."""

    def detect(self, images: Sequence[npt.NDArray[np.uint8]], confidence: float | None = None) -> list[Detections]:
        """Detections of RGB pictures (H, W, 3), from a score of `confidence` on."""


@dataclass(frozen=True, slots=True, eq=False)
class DetectionPass:
    """All that a model saw, and how long it took.

    Parameters
    ----------
    found : tuple of Detections
        One per picture, down to a low score.
    seconds : float64 array of shape (pictures,)
        Time of each picture's detection alone, one picture at a time.
    total_seconds : float
        Time of reading and detecting all of them.
    """

    found: tuple[Detections, ...]
    seconds: npt.NDArray[np.float64]
    total_seconds: float

    def metrics(self) -> dict[str, float]:
        """``latency/p50_ms``, ``latency/p95_ms``, ``throughput/pictures_per_second`` (reading included)."""
        return {
            "latency/p50_ms": float(np.percentile(self.seconds, 50)) * 1000,
            "latency/p95_ms": float(np.percentile(self.seconds, 95)) * 1000,
            "throughput/pictures_per_second": len(self.seconds) / self.total_seconds,
        }


def detect_all(model: Detecting, pictures: Sequence[LabelledPicture], floor: float) -> DetectionPass:
    """Detect on every picture once, one at a time, down to the score `floor`.

    Raises
    ------
    EvaluationError
        Where a picture cannot be read.
    """
    model.detect([np.full((64, 64, 3), 114, np.uint8)])  # the first call compiles and allocates
    found, seconds = [], []
    began = time.perf_counter()
    for picture in pictures:
        image = read_picture(picture)
        start = time.perf_counter()
        [seen] = model.detect([image], confidence=floor)
        seconds.append(time.perf_counter() - start)
        found.append(seen)
    return DetectionPass(tuple(found), np.array(seconds), time.perf_counter() - began)


def read_picture(picture: LabelledPicture) -> npt.NDArray[np.uint8]:
    """The picture in RGB, uint8 (H, W, 3); an `EvaluationError` where it cannot be read or a box lies outside."""
    image = cv2.imread(str(picture.path), cv2.IMREAD_COLOR_RGB) if picture.path.is_file() else None
    if image is None:
        raise EvaluationError(f"expected a picture in {picture.path}, it cannot be read")
    height, width = image.shape[:2]
    # A box may end on the edge, rounding included; beyond it, the labels belong to another picture.
    if len(picture.boxes) and (
        picture.boxes.min() < -1 or picture.boxes[:, 2].max() > width + 1 or picture.boxes[:, 3].max() > height + 1
    ):
        raise EvaluationError(f"{picture.path}: a box lies outside the picture of {width}x{height} pixels")
    return np.asarray(image, np.uint8)

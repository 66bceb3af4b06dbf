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
from counting_evaluator.peak_memory import watch_memory
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
    sizes : int64 array of shape (pictures, 2)
        Width and height of each.
    peak_bytes : int or None
        The most resident memory of this process meanwhile.
    """

    found: tuple[Detections, ...]
    seconds: npt.NDArray[np.float64]
    total_seconds: float
    sizes: npt.NDArray[np.int64]
    peak_bytes: int | None = None

    def metrics(self) -> dict[str, float]:
        """Latency, throughput (reading included), and memory.

        ``memory/peak_mb`` is the most that this process held (10^6 bytes of resident memory, Python, MLflow and
        whatever else it has loaded included) while it read and detected: comparable between models that are
        evaluated in the same way, and more than a server of the model needs.
        """
        p50, p95, p99 = (float(value) * 1000 for value in np.percentile(self.seconds, [50, 95, 99]))
        metrics = {
            "latency/p50_ms": p50,
            "latency/p95_ms": p95,
            "latency/p99_ms": p99,
            "throughput/pictures_per_second": len(self.seconds) / self.total_seconds,
        }
        return metrics | ({} if self.peak_bytes is None else {"memory/peak_mb": self.peak_bytes / 1e6})


def detect_all(model: Detecting, pictures: Sequence[LabelledPicture], floor: float) -> DetectionPass:
    """Detect on every picture once, one at a time, down to the score `floor`.

    Raises
    ------
    EvaluationError
        Where a picture cannot be read, or the model gives boxes that are none.
    """
    model.detect([np.full((64, 64, 3), 114, np.uint8)])  # the first call compiles and allocates
    found, seconds, sizes = [], [], []
    began = time.perf_counter()
    with watch_memory() as memory:
        for picture in pictures:
            image = read_picture(picture)
            start = time.perf_counter()
            [seen] = model.detect([image], confidence=floor)
            seconds.append(time.perf_counter() - start)
            if not (np.isfinite(seen.boxes).all() and np.isfinite(seen.scores).all()):
                raise EvaluationError(
                    f"{picture.path}: the model gives a box or a score that is no finite number: nothing can be "
                    "measured of it; look at its weights and at how it was exported"
                )
            found.append(seen)
            sizes.append((image.shape[1], image.shape[0]))
    return DetectionPass(
        tuple(found),
        np.array(seconds),
        time.perf_counter() - began,
        np.array(sizes, np.int64).reshape(-1, 2),
        memory.most_bytes,
    )


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

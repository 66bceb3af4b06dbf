"""The exported detector, held against what was trained before anything is logged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from camera_counting.detectors import Detector
from pipelines.trainers.agreement import Agreement, compare_detections
from pipelines.trainers.trainer import Trained, Trainer, TrainingError

__all__ = ["agreement_of", "input_shape"]

_STRIDE = 32  # of the coarsest output of every YOLO
_LEAST = 1e-4  # a score below which nothing is seen: an untrained network gives a few thousandths


def input_shape(sizes: Sequence[tuple[int, int]], image_size: int) -> tuple[int, int]:
    """The network's input (height, width) for pictures of these sizes (width, height).

    A camera's pictures all have one shape: padding them to a square would waste up to half of the work. Where the
    pictures differ, the square serves them all.

    Examples
    --------
    >>> input_shape([(320, 240), (640, 480)], 256)
    (192, 256)
    >>> input_shape([(640, 360), (240, 320)], 256)
    (256, 256)
    """
    longer = math.ceil(image_size / _STRIDE) * _STRIDE
    shapes = Counter(
        (
            math.ceil(round(longer * height / max(width, height)) / _STRIDE) * _STRIDE,
            math.ceil(round(longer * width / max(width, height)) / _STRIDE) * _STRIDE,
        )
        for width, height in sizes
    )
    return next(iter(shapes)) if len(shapes) == 1 else (longer, longer)


def agreement_of(
    trainer: Trainer,
    trained: Trained,
    exported: Detector,
    paths: Sequence[Path],
    shape: tuple[int, int],
    *,
    confidence: float = 0.1,
    most: int = 16,
) -> Agreement:
    """What the trained and the exported detector see on the same pictures: `most` of `paths`, evenly picked.

    The exported one runs as it will be served: with this project's own letterbox, runtime and suppression. So
    swapped colours or a wrong scale show as well as a broken graph.

    A detector that is hardly trained may see nothing of a score of `confidence`. Then its strongest boxes are
    compared, however weak: a comparison without a box would pass whatever the export sees.
    """
    picked = np.linspace(0, len(paths) - 1, min(len(paths), most)).round().astype(int)
    pictures = [_read(paths[number]) for number in picked]

    def compared(confidence: float) -> Agreement:
        floor = confidence / 2  # a box just above the threshold may find its partner just below
        original = trainer.detect(trained.checkpoint, pictures, shape, floor)
        return compare_detections(original, exported.detect(pictures, floor), confidence)

    agreement = compared(confidence)
    if agreement.boxes or not pictures:
        return agreement
    seen = [*trainer.detect(trained.checkpoint, pictures, shape, _LEAST), *exported.detect(pictures, _LEAST)]
    strongest = max((float(one.scores.max()) for one in seen if len(one.scores)), default=0.0)
    # The few that come near the strongest: among many weak ones it is chance which of two suppresses the other.
    return compared(max(0.9 * strongest, _LEAST))


def _read(path: Path) -> npt.NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise TrainingError(f"expected a picture in {path}, it cannot be read")
    return np.asarray(image, np.uint8)

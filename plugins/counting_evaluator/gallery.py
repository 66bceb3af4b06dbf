"""The worst pictures, drawn: what was truly there beside what was found."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from camera_counting.detections import Detections
from counting_evaluator.passes import read_picture
from counting_evaluator.truth import LabelledPicture

__all__ = ["draw_boxes", "draw_worst"]

_TRUE, _FOUND = (64, 200, 64), (255, 96, 32)  # RGB


def draw_worst(
    pictures: Sequence[LabelledPicture],
    found: Sequence[Detections],
    confidence: float,
    errors: npt.NDArray[np.int64],
    most: int,
) -> Figure | None:
    """The `most` pictures with the largest errors, worst first; None where no picture has an error.

    Parameters
    ----------
    pictures, found : sequences of the same length
    confidence : float
        The score from which on a detection is drawn.
    errors : int64 array of shape (pictures,)
        Sum over classes of |counted - true|.
    """
    order = [int(number) for number in np.argsort(-errors, kind="stable") if errors[number] > 0][:most]
    if not order:
        return None
    columns = min(3, len(order))
    rows = -(-len(order) // columns)
    figure = Figure(layout="constrained")
    tallest = 0.0
    for place, number in enumerate(order):
        axes = figure.add_subplot(rows, columns, place + 1)
        seen = found[number].at_least(confidence)
        drawn = draw_boxes(read_picture(pictures[number]), pictures[number], seen)
        tallest = max(tallest, drawn.shape[0] / drawn.shape[1])
        axes.imshow(drawn)
        axes.set_title(
            f"{pictures[number].path.name}: {len(seen)} counted, {len(pictures[number].labels)} true", fontsize=9
        )
        axes.set_axis_off()
    # As high as the pictures are, up to a tall one; the rest is for the titles.
    figure.set_size_inches(5.2 * columns, (5.2 * min(tallest, 1.5) + 0.3) * rows + 0.4)
    figure.suptitle("Worst pictures (green: true, orange: found with its score)")
    return figure


def draw_boxes(image: npt.NDArray[np.uint8], picture: LabelledPicture, seen: Detections) -> npt.NDArray[np.uint8]:
    """The image with what is true of it in green, what was found in orange."""
    # Small pictures are enlarged so that a label can be read.
    scale = max(1.0, 640 / max(image.shape[:2]))
    image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
    for box, name in zip(picture.boxes * scale, picture.labels, strict=True):
        _box(image, box, name, _TRUE, below=True)
    for box, score, number in zip(seen.boxes * scale, seen.scores, seen.class_ids, strict=True):
        _box(image, box, f"{seen.names[number]} {score:.2f}", _FOUND, below=False)
    return image


def _box(
    image: npt.NDArray[np.uint8],
    box: npt.NDArray[np.float32],
    text: str,
    color: tuple[int, int, int],
    *,
    below: bool,
) -> None:
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    cv2.rectangle(image, (x1, y1), (x2, y2), color, 1 if below else 2)
    place = (x1, min(y2 + 15, image.shape[0] - 2)) if below else (x1, max(y1 - 3, 9))
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.48, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.48, color, 1, cv2.LINE_AA)

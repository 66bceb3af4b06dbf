"""A picture of any size fitted into a detector's input, and its boxes fitted back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from camera_counting.detectors.specification import InputSpec

__all__ = ["Placement", "letterbox", "scale_into"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture lies in the input: `input = picture * scale + (left, top)`.

    A part of a frame has its own corner `x`, `y` there, in whole pixels.
    """

    scale: float
    left: float
    top: float
    width: int
    height: int
    x: int = 0
    y: int = 0

    def to_picture(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Boxes (N, 4) in pixels of the input to pixels of the picture, clipped to it (or to the part shown)."""
        moved = (boxes - np.array([self.left, self.top, self.left, self.top], np.float32)) / np.float32(self.scale)
        np.clip(moved[:, 0::2], 0, self.width, out=moved[:, 0::2])
        np.clip(moved[:, 1::2], 0, self.height, out=moved[:, 1::2])
        if self.x or self.y:
            moved += np.array([self.x, self.y, self.x, self.y], np.float32)
        return moved.astype(np.float32, copy=False)


def scale_into(spec: InputSpec, width: int, height: int) -> float:
    """Pixels of the input per pixel of a picture of this size that fills it."""
    return min(spec.height / height, spec.width / width)


def letterbox(picture: npt.NDArray[np.uint8], spec: InputSpec, canvas: npt.NDArray[np.uint8]) -> Placement:
    """Scale `picture` (H, W, 3) into `canvas` (height, width, 3), in place, with its aspect kept.

    The rounding is that of the detectors' own code, so that their accuracy is kept: Ultralytics' `LetterBox`
    (centred, rounded) and YOLOX's `preproc` (top-left, rounded down).

    Examples
    --------
    >>> canvas = np.empty((64, 64, 3), np.uint8)
    >>> letterbox(np.zeros((50, 100, 3), np.uint8), InputSpec(width=64, height=64), canvas).top
    16
    >>> canvas[15, 0].tolist(), canvas[16, 0].tolist()
    ([114, 114, 114], [0, 0, 0])
    """
    height, width = picture.shape[:2]
    scale = scale_into(spec, width, height)
    if spec.anchor == "center":
        inner_width, inner_height = round(width * scale), round(height * scale)
        left = round((spec.width - inner_width) / 2 - 0.1)
        top = round((spec.height - inner_height) / 2 - 0.1)
    else:
        inner_width, inner_height = int(width * scale), int(height * scale)
        left = top = 0
    inner_width, inner_height = max(inner_width, 1), max(inner_height, 1)
    right, bottom = left + inner_width, top + inner_height
    inside = canvas[top:bottom, left:right]
    if (inner_width, inner_height) == (width, height):
        inside[:] = picture
    else:
        inside[:] = cv2.resize(picture, (inner_width, inner_height), interpolation=cv2.INTER_LINEAR)
    canvas[:top] = spec.pad
    canvas[bottom:] = spec.pad
    canvas[top:bottom, :left] = spec.pad
    canvas[top:bottom, right:] = spec.pad
    return Placement(scale, left, top, width, height)

"""Inputs that fit the frames: less padding to compute, and the proof that the detector stays the same.

A square input wastes nearly half of its pixels on the padding above and below a wide frame. The convolutions of
a detector take any size, so its graph can be given just the rows and columns that the frames need, at the same
scale: what Ultralytics calls rectangular inference. What is next to the padding changes a little, as it does
there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from camera_counting.detectors.heads import grid_cells
from camera_counting.detectors.letterbox import scale_into
from camera_counting.detectors.specification import InputSpec
from camera_counting.errors import RequestError

__all__ = ["Answer", "Region", "agree", "fitted_spec", "grown_region", "trial_picture"]

Region = tuple[int, int, int, int]

# an input's sides are multiples of the largest stride
_STEP = 32
# Boxes of the same cell may differ by so many of its strides, at each stride: the middle of each coordinate, and
# nine of ten. The same detector with another border differs by 0.02 to 0.4 and by 1.5 at most; with a constant
# gone wrong, by one and more.
_MEDIAN_APART, _MOST_APART = 0.5, 1.5
# And each class's scores by so much on average, at each stride, in logits: the same detector by 0.05 to 1.3, and
# unless that is next to nothing, by clearly less than from another class or another cell.
_LOGITS_APART, _NEXT_TO_NOTHING = 1.6, 0.6
_OF_ANOTHER_CLASS, _OF_ANOTHER_CELL = 0.9, 0.7
# below this a score tells nothing
_FAINTEST = 1e-6


@dataclass(frozen=True, slots=True)
class Answer:
    """What a detector says of every cell of a picture.

    Parameters
    ----------
    boxes : float32 array of shape (N, 4)
        x1, y1, x2, y2 in pixels of the input.
    scores : float32 array of shape (N, classes), or None
        0 to 1; None where the detector tells the best class alone.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32] | None


def fitted_spec(spec: InputSpec, width: int, height: int, scale: float | None = None) -> InputSpec:
    """The smallest input for pictures of this size, scaled as the detector would scale them.

    Parameters
    ----------
    spec : InputSpec
        The detector's own.
    width, height : int
        Of the pictures, in pixels.
    scale : float, optional
        Instead of the one that makes the picture fill the input: that of the frame of which it is a part.

    Examples
    --------
    >>> square = InputSpec(width=640, height=640)
    >>> fitted_spec(square, 1920, 1080).height, fitted_spec(square, 352, 640).width
    (384, 352)
    """
    scale = scale_into(spec, width, height) if scale is None else scale
    return spec.model_copy(
        update={
            "width": min(spec.width, _up(width * scale)),
            "height": min(spec.height, _up(height * scale)),
        }
    )


def grown_region(spec: InputSpec, size: tuple[int, int], region: Region) -> Region | None:
    """A part of frames, grown until it fills an input of the detector's own scale.

    Parameters
    ----------
    spec : InputSpec
    size : (width, height)
        Of the frames, in pixels.
    region : (x1, y1, x2, y2)
        In pixels of the frames.

    Returns
    -------
    (x1, y1, x2, y2) or None
        None where a part takes as large an input as the whole.

    Raises
    ------
    RequestError
        Where the region has no area within the frames.
    """
    x1, y1, x2, y2 = region
    if not (0 <= x1 < x2 <= size[0] and 0 <= y1 < y2 <= size[1]):
        raise RequestError(
            f"region: expected x1 < x2 and y1 < y2 within a frame of {size[0]}x{size[1]}, got {region}"
        )
    scale = scale_into(spec, *size)
    left, right = _grown(x1, x2, size[0], scale)
    top, bottom = _grown(y1, y2, size[1], scale)
    part = fitted_spec(spec, right - left, bottom - top, scale)
    whole = fitted_spec(spec, *size)
    return None if (part.width, part.height) == (whole.width, whole.height) else (left, top, right, bottom)


def _grown(low: int, high: int, most: int, scale: float) -> tuple[int, int]:
    """A span of a frame's side, as long as a whole number of steps of the input, where it has room for it."""
    length = min(most, math.ceil(_up((high - low) * scale) / scale))
    begin = min(max(0, (low + high - length) // 2), most - length)
    return begin, begin + length


def _up(number: float) -> int:
    return max(_STEP, math.ceil(round(number, 3) / _STEP) * _STEP)


def trial_picture(width: int, height: int) -> npt.NDArray[np.uint8]:
    """A picture (height, width, 3) with edges of all kinds in it, always the same one.

    Examples
    --------
    >>> trial_picture(64, 32).shape
    (32, 64, 3)
    """
    rng = np.random.default_rng(0)
    image = np.full((height, width, 3), (120, 140, 130), np.uint8)
    image[: height // 3] = (190, 200, 220)
    for _ in range(24):
        x, y = int(rng.integers(0, width)), int(rng.integers(height // 4, height))
        w, h = int(rng.integers(8, max(9, width // 4))), int(rng.integers(8, max(9, height // 3)))
        shade, other = rng.integers(0, 255, (2, 3)).tolist()
        cv2.rectangle(image, (x, y), (x + w, y + h), shade, -1)
        cv2.ellipse(image, (x + w // 2, y + h // 2), (w // 2 + 1, h // 2 + 1), 0, 0, 360, other, -1)
    return image


def agree(square: Answer, fitted: Answer, own: tuple[int, int], size: tuple[int, int]) -> bool | None:
    """Whether two answers to the same picture at the top left, of input `own` and of the smaller input `size`, are
    those of the same detector.

    What each cell says is compared with what the same cell says, stride by stride and class by class: a detector
    is another one where a single stride, with one cell in twenty, or a single class is wrong.

    Parameters
    ----------
    square, fitted : Answer
        Of every cell, in the order of `grid_cells`.
    own, size : (width, height)

    Returns
    -------
    bool or None
        None where the answers belong to no cells, so that nothing can be compared.
    """
    cells, near = grid_cells(*own), grid_cells(*size)
    if square.scores is None or fitted.scores is None:
        return None
    if len(square.boxes) != len(cells) or len(fitted.boxes) != len(near):
        return None
    rows = {tuple(cell): i for i, cell in enumerate(cells.tolist())}
    same = np.array([rows[tuple(cell)] for cell in near.tolist()])
    for stride in np.unique(near[:, 2]):
        level = near[:, 2] == stride
        apart = np.abs(square.boxes[same][level] - fitted.boxes[level]) / stride
        if not _boxes_agree(apart) or not _classes_agree(square.scores[same][level], fitted.scores[level]):
            return False
    return True


def _boxes_agree(apart: npt.NDArray[np.float32]) -> bool:
    return bool(
        np.isfinite(apart).all()
        and np.median(apart, axis=0).max() <= _MEDIAN_APART
        and np.quantile(apart, 0.9) <= _MOST_APART
    )


def _classes_agree(square: npt.NDArray[np.float32], fitted: npt.NDArray[np.float32]) -> bool:
    """Whether the scores (cells, classes) of one stride are the same, though with another border."""
    if not (np.isfinite(square).all() and np.isfinite(fitted).all()):
        return False
    expected, said = _logits(square), _logits(fitted)
    apart = np.abs(expected - said).mean(axis=0)
    if apart.max() > _LOGITS_APART:
        return False
    if apart.mean() > max(_NEXT_TO_NOTHING / 2, _OF_ANOTHER_CELL * np.abs(expected[::-1] - said).mean()):
        return False
    for index in np.flatnonzero(apart > _NEXT_TO_NOTHING):
        others = np.delete(expected, index, axis=1)
        if not others.size:
            continue
        from_others = np.median(np.abs(others - said[:, [index]]).mean(axis=0))
        if apart[index] > _OF_ANOTHER_CLASS * from_others:
            return False
    return True


def _logits(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    sure = np.clip(scores.astype(np.float64), _FAINTEST, 1 - _FAINTEST)
    return np.log(sure / (1 - sure))

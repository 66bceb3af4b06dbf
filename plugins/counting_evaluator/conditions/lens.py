"""What lens, sensor and line do to a picture: blur, noise, JPEG, dirt."""

from __future__ import annotations

import cv2
import numpy as np

from counting_evaluator.conditions.altered import Altered, Boxes, Picture, only_pixels

__all__ = ["BLUR", "DIRT", "JPEG", "NOISE", "blur", "dirt", "jpeg", "noise"]

_RADIUS = 0.005
BLUR = f"out of focus: a disc of {_RADIUS:.1%} of the picture's longer side in radius (3.2 pixels of 640)"

_SIGMA = 0.12
NOISE = (
    f"normal noise, standard deviation {_SIGMA * 255:.0f} of 255, in each channel (ImageNet-C's second of five)"
)

_QUALITY = 15
JPEG = f"saved as JPEG with a quality of {_QUALITY} of 100 (ImageNet-C's third of five)"

_DIRT, _DIRT_OPACITY = 0.12, 0.85
DIRT = f"spots over {_DIRT:.0%} of the picture, {_DIRT_OPACITY:.0%} opaque, with soft edges"


def blur(picture: Picture, boxes: Boxes, rng: np.random.Generator) -> Altered:
    """A point becomes a disc, as out of focus; relative to the picture's size, as a lens does it."""
    radius = max(1.0, max(picture.shape[:2]) * _RADIUS)
    reach = int(np.ceil(radius))
    steps = np.arange(-reach, reach + 1)
    distance = np.hypot(steps[:, None], steps[None, :])
    kernel = np.clip(radius + 0.5 - distance, 0, 1)  # the rim covers its pixels in part
    blurred = cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
    return only_pixels(np.asarray(blurred, np.uint8), boxes)


def noise(picture: Picture, boxes: Boxes, rng: np.random.Generator) -> Altered:
    """Noise of a sensor at its highest gain."""
    noisy = picture + rng.standard_normal(picture.shape, np.float32) * np.float32(_SIGMA * 255)
    return only_pixels(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), boxes)


def jpeg(picture: Picture, boxes: Boxes, rng: np.random.Generator) -> Altered:
    """Blocks and smeared colours of a thin line."""
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return only_pixels(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8), boxes)


def dirt(picture: Picture, boxes: Boxes, rng: np.random.Generator) -> Altered:
    """Spots close to the lens: far out of focus, so that edges are soft and nothing of a spot is sharp.

    They fall where they fall; objects behind them still count, as they do for whoever looks at a dirty camera.
    """
    height, width = picture.shape[:2]
    spots = np.zeros((height, width), np.float32)
    wanted, longer = _DIRT * height * width, max(height, width)
    covered = 0.0
    while covered < wanted:
        size = longer * rng.uniform(0.015, 0.05)
        centre = (round(rng.uniform(0, width)), round(rng.uniform(0, height)))
        axes = (max(1, round(size)), max(1, round(size * rng.uniform(0.6, 1))))
        cv2.ellipse(spots, centre, axes, rng.uniform(0, 180), 0, 360, 1.0, -1)
        covered = float(spots.sum())
    soft = cv2.GaussianBlur(spots, (0, 0), longer * 0.006)[..., None] * np.float32(_DIRT_OPACITY)
    # Dirt is lit by what is behind it, smeared beyond recognition, and darker than that.
    small = cv2.resize(picture, (max(1, width // 16), max(1, height // 16)), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), longer * 0.05 / 16)
    smeared = cv2.resize(blurred, (width, height)).astype(np.float32) * np.float32(0.6)
    return only_pixels(np.asarray(np.rint(picture * (1 - soft) + smeared * soft), np.uint8), boxes)

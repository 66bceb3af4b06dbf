"""Less light, rain, fog."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from counting_evaluator.conditions.altered import Altered, Boxes, Picture, only_pixels

__all__ = ["FOG", "NIGHT", "RAIN", "fog", "night", "rain"]

_STOPS = 4
_FULL_WELL = 1000  # electrons at white, at the gain of the darkened exposure
_READ_NOISE = 2.5  # electrons
NIGHT = (
    f"{_STOPS} stops less light, shot noise of {_FULL_WELL} electrons at white, {_READ_NOISE} electrons read noise"
)

_STREAKS = 2500  # per megapixel
_LENGTH, _OPACITY, _HAZE = 0.06, 0.6, 0.3
RAIN = (
    f"{_STREAKS} streaks per megapixel, up to {_LENGTH:.0%} of the picture's height long, {_OPACITY:.0%} opaque; "
    f"{_HAZE:.0%} haze"
)

_FAR, _NEAR, _AIRLIGHT = 0.05, 0.6, 200
FOG = (
    f"{_NEAR:.0%} of the contrast left at the lower edge, {_FAR:.0%} at the upper one, airlight {_AIRLIGHT} of 255"
)

_GAMMA = 2.2
_LEVELS = 4096


def night(picture: Picture, boxes: Boxes, rng: np.random.Generator) -> Altered:
    """A sixteenth of the light, and the noise of so few electrons.

    Light is taken away before the picture's gamma, where it is proportional to electrons: their number varies by
    its own root (shot noise; here as a normal number, close from some ten electrons on), to which comes the noise
    of reading them. Both are the camera noise of EMVA Standard 1288.
    """
    to_light = (np.arange(256) / 255) ** _GAMMA * (_FULL_WELL / 2**_STOPS)
    electrons = to_light.astype(np.float32)[picture]
    electrons += rng.standard_normal(picture.shape, np.float32) * np.sqrt(electrons + np.float32(_READ_NOISE**2))
    levels = np.clip(electrons * np.float32((_LEVELS - 1) / _FULL_WELL), 0, _LEVELS - 1).astype(np.int32)
    to_grey = np.rint((np.arange(_LEVELS) / (_LEVELS - 1)) ** (1 / _GAMMA) * 255).astype(np.uint8)
    return only_pixels(to_grey[levels], boxes)


def rain(picture: Picture, boxes: Boxes, rng: np.random.Generator) -> Altered:
    """Bright streaks, all slanted alike and of several lengths, and a little haze behind them.

    After Garg & Nayar, "Vision and Rain", IJCV 2007: within one exposure a falling drop becomes a streak that is
    brighter than what is behind it and lets some of it through.
    """
    height, width = picture.shape[:2]
    drops = round(_STREAKS * height * width / 1e6)
    slant = rng.uniform(-0.35, 0.35)  # of the length, to the side
    lengths = height * _LENGTH * rng.uniform(0.4, 1, drops)
    starts = rng.uniform((-0.1 * width, -0.1 * height), (1.1 * width, height), (drops, 2))
    veil = np.zeros((height, width), np.uint8)
    thickness = max(1, round(height / 480))
    for (x, y), length in zip(starts, lengths, strict=True):
        end = (round(x + slant * length), round(y + length))
        cv2.line(veil, (round(x), round(y)), end, 255, thickness, cv2.LINE_AA)
    opacity = cv2.GaussianBlur(veil, (3, 3), 0).astype(np.float32) * np.float32(_OPACITY / 255)
    hazy = picture * np.float32(1 - _HAZE) + np.float32(_HAZE * _AIRLIGHT)
    return only_pixels(_mixed(hazy, 225, opacity), boxes)


def fog(picture: Picture, boxes: Boxes, rng: np.random.Generator) -> Altered:
    """Contrast that is lost with the distance, and grey light in its place.

    Koschmieder's law, I = J t + A (1 - t), as in Sakaridis et al., "Semantic Foggy Scene Understanding with
    Synthetic Data", IJCV 2018, https://arxiv.org/abs/1708.07819. Distances are not known here: for a camera that
    looks down on a plane they grow as 1 / (row - horizon), and t = exp(-extinction * distance) is set to the
    stated contrasts at both edges, with slow patches of up to a fifth in between.
    """
    height, width = picture.shape[:2]
    rows = np.linspace(1, 0, height, dtype=np.float32)  # 1 at the upper edge, which is far
    near, far = -np.log(_NEAR), -np.log(_FAR)
    depth = near / (1 - rows * (1 - near / far))  # near at 0, far at 1, and 1 / row in between
    patches = cv2.resize(
        rng.uniform(0.8, 1.2, (3, 4)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    veil = 1 - np.exp(-depth[:, None] * patches)
    return only_pixels(_mixed(picture.astype(np.float32), _AIRLIGHT, veil), boxes)


def _mixed(picture: npt.NDArray[np.float32], grey: float, opacity: npt.NDArray[np.float32]) -> Picture:
    """The picture behind a veil of one grey; opacity (H, W) from 0 to 1."""
    veil = opacity[..., None]
    return np.asarray(np.clip(np.rint(picture * (1 - veil) + np.float32(grey) * veil), 0, 255), np.uint8)

"""What befalls outdoor cameras, done to a picture: each condition in one stated strength, the same every time.

The kinds are those of ImageNet-C and COCO-C, as far as cameras that count meet them (noise, blur, fog, JPEG), and
what those lack: night, rain, dirt on the lens, something in front of the objects, a camera that was knocked. Where
they have the same kind, the strength is one of their five.

Sources: Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
ICLR 2019, https://arxiv.org/abs/1903.12261; Michaelis et al., "Benchmarking Robustness in Object Detection:
Autonomous Driving when Winter is Coming", 2019, https://arxiv.org/abs/1907.07484.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from counting_evaluator.conditions import lens, view, weather
from counting_evaluator.conditions.altered import Altered, Boxes, Picture

__all__ = ["CONDITIONS", "Altered", "Condition", "alter"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that befalls a camera.

    Parameters
    ----------
    name : str
        As in ``robustness/<name>/count/mae``.
    severity : str
        How strong it is, in units.
    change : callable
        Picture, boxes and a random generator to what is left of them.
    """

    name: str
    severity: str
    change: Callable[[Picture, Boxes, np.random.Generator], Altered]


CONDITIONS = {
    each.name: each
    for each in (
        Condition("night", weather.NIGHT, weather.night),
        Condition("rain", weather.RAIN, weather.rain),
        Condition("fog", weather.FOG, weather.fog),
        Condition("blur", lens.BLUR, lens.blur),
        Condition("noise", lens.NOISE, lens.noise),
        Condition("jpeg", lens.JPEG, lens.jpeg),
        Condition("lens_dirt", lens.DIRT, lens.dirt),
        Condition("occlusion", view.OCCLUSION, view.occlusion),
        Condition("moved_camera", view.MOVED, view.moved_camera),
    )
}
"""All of them by name."""


def alter(name: str, picture: Picture, boxes: Boxes, *, seed: int, digest: str) -> Altered:
    """A picture under a condition.

    Parameters
    ----------
    name : str
        One of `CONDITIONS`.
    picture : uint8 array (H, W, 3)
        RGB; stays as it is.
    boxes : float32 array (N, 4)
        What is truly on it: x1, y1, x2, y2 in pixels.
    seed : int
        With the name and the digest it decides all that is random: two models are shown the very same pictures,
        in whatever order and whichever else are shown.
    digest : str
        That tells this picture from others.

    Examples
    --------
    >>> grey = np.full((90, 160, 3), 128, np.uint8)
    >>> seen = alter("night", grey, np.array([[10, 10, 50, 50]], np.float32), seed=0, digest="a")
    >>> bool(seen.picture.mean() < 64), seen.kept.tolist()
    (True, [True])
    """
    key = hashlib.sha256(f"{seed}:{name}:{digest}".encode()).digest()
    return CONDITIONS[name].change(picture, boxes, np.random.default_rng(int.from_bytes(key[:16], "big")))

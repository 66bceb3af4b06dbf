"""Which of the candidates take part, and which of what is seen is labelled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines.datasets.generator.projection import Projection
from pipelines.datasets.generator.rendering import Seen
from pipelines.datasets.generator.sites import SiteLine
from pipelines.datasets.generator.traffic import Actor
from pipelines.datasets.generator.truth import cuboid_boxes, is_plain

__all__ = ["accepted", "is_labelled"]

_LEAST_VISIBLE, _LEAST_INSIDE, _LARGE = 0.25, 0.15, 0.02


def is_labelled(seen: Seen, picture_area: float) -> bool:
    """Whether something in the picture gets a box.

    At least a quarter of its outline is not hidden by something nearer; at least 15 % of its full box lies in the
    picture, or what does fills 2 % of it; and that is at least 8 pixels high and 4 wide. The box is the full
    extent, hidden parts included, clipped to the picture: its bottom centre is where the thing stands, though a
    car hides its feet.
    """
    x1, y1, x2, y2 = seen.box
    width, height = x2 - x1, y2 - y1
    enough = seen.inside >= _LEAST_INSIDE or width * height >= _LARGE * picture_area
    return seen.visible >= _LEAST_VISIBLE and enough and height >= 8 and width >= 4


def _cover(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Share of the smaller box that the other covers, per instant; NaN boxes cover nothing."""
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    shared = np.clip(width, 0, None) * np.clip(height, 0, None)
    smaller = np.minimum(
        (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1]), (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    )
    return np.nan_to_num(shared / smaller)


def accepted(
    candidates: Sequence[Actor],
    view: Projection,
    lines: Sequence[SiteLine],
    frames: int,
    fps: float,
    overlap: float,
) -> list[Actor]:
    """Those candidates that are in the picture, whose crossings are beyond doubt, and that do not hide each other.

    Parameters
    ----------
    overlap : float
        Largest share of the smaller of two boxes that the other may cover at any time.
    """
    step = max(1, round(fps / 4))
    seconds = np.arange(0, frames, step) / fps
    taken: list[Actor] = []
    boxes: list[npt.NDArray[np.float64]] = []
    for actor in candidates:
        own = cuboid_boxes(actor, view, seconds)
        if not np.isfinite(own[:, 0]).any():
            continue
        if frames > 1 and not is_plain(actor, view, lines, frames, fps):
            continue
        if overlap < 1 and boxes and float(_cover(own[None], np.stack(boxes)).max()) > overlap:
            continue
        taken.append(actor)
        boxes.append(own)
    return taken

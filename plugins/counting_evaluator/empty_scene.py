"""The empty scene of a camera, put together from pictures on which something is always somewhere else.

Each of its pixels is one that this camera has shown while no labelled object was there; nothing is painted over by
guesswork. A camera whose pictures leave a part of the scene covered all the time has no such scene.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from counting_evaluator.conditions.altered import Picture
from counting_evaluator.passes import read_picture
from counting_evaluator.truth import LabelledPicture

__all__ = ["empty_scenes"]

_LEAST, _MOST = 5, 15  # pictures of one camera
_MARGIN = 0.1  # of a box: shadows, and boxes that were drawn too close
_ROWS = 64


def empty_scenes(pictures: Sequence[LabelledPicture], column: str = "camera_id") -> dict[str, Picture]:
    """The empty scene of each camera that shows all of it often enough.

    Parameters
    ----------
    pictures : sequence of LabelledPicture
    column : str
        The slice that names the camera; pictures without it are left out.

    Returns
    -------
    dict of camera to uint8 array (H, W, 3)
        The median of the pixels that no box covers, over the camera's pictures of one size, fifteen at most;
        cameras with fewer than five, or with a pixel that is always covered, are left out.
    """
    by_camera: dict[str, list[LabelledPicture]] = {}
    for picture in pictures:
        if camera := picture.slices.get(column):
            by_camera.setdefault(camera, []).append(picture)
    scenes = {}
    for camera, shown in sorted(by_camera.items()):
        # Spread over the whole, since neighbours often show the same moment.
        spread = np.unique(np.linspace(0, len(shown) - 1, min(len(shown), _MOST)).round().astype(int))
        scene = _scene([shown[place] for place in spread])
        if scene is not None:
            scenes[camera] = scene
    return scenes


def _scene(shown: Sequence[LabelledPicture]) -> Picture | None:
    images = [read_picture(picture) for picture in shown]
    shape = images[0].shape
    same = [place for place, image in enumerate(images) if image.shape == shape]
    if len(same) < _LEAST:
        return None
    stack = np.stack([images[place] for place in same])
    free = np.stack([_free(shown[place], shape[0], shape[1]) for place in same])
    often = free.sum(axis=0)
    if not often.all():
        return None
    scene = np.empty(shape, np.uint8)
    # Covered pixels sort behind all others; the middle one of the rest is the median. Strip by strip, for memory.
    for top in range(0, shape[0], _ROWS):
        rows = slice(top, top + _ROWS)
        ordered = np.sort(np.where(free[:, rows, :, None], stack[:, rows].astype(np.int16), np.int16(256)), axis=0)
        middle = ((often[rows] - 1) // 2)[None, ..., None]
        scene[rows] = np.take_along_axis(ordered, np.broadcast_to(middle, (1, *ordered.shape[1:])), axis=0)[0]
    return scene


def _free(picture: LabelledPicture, height: int, width: int) -> npt.NDArray[np.bool_]:
    """True where no box is."""
    free = np.ones((height, width), np.bool_)
    margin = (picture.boxes[:, 2:] - picture.boxes[:, :2]) * _MARGIN
    lower, upper = np.floor(picture.boxes[:, :2] - margin), np.ceil(picture.boxes[:, 2:] + margin)
    for (x1, y1), (x2, y2) in zip(np.maximum(lower, 0).astype(int), upper.astype(int), strict=True):
        free[y1:y2, x1:x2] = False
    return free

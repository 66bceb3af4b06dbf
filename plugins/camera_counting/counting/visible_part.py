"""The part of the frames that a scene's lines and zones can see."""

from __future__ import annotations

import numpy as np

from camera_counting.scene import Scene

__all__ = ["Part", "visible_part"]

# x1, y1, x2, y2 in whole pixels of the frames
Part = tuple[int, int, int, int]

# Room around lines and zones in which an object is met before it gets there, as a part of the frame's longer side:
# an object's size, and its way in half a second. With a third less, people whom the part cut off counted wrongly.
_MARGIN = 0.32


def visible_part(scene: Scene, size: tuple[int, int]) -> Part | None:
    """The rectangle that holds all lines and zones of a scene, with room around it.

    Parameters
    ----------
    scene : Scene
        In pixels of the frames (`Scene.for_size`).
    size : (width, height)
        Of the frames, in pixels.

    Returns
    -------
    (x1, y1, x2, y2) or None
        None where the scene has neither line nor zone, or needs the whole frame.

    Examples
    --------
    >>> gate = Scene.from_dict({"lines": [{"name": "gate", "from": [300, 500], "to": [900, 500]}]})
    >>> visible_part(gate.for_size(1000, 600), (1000, 600))
    (0, 180, 1000, 600)
    """
    points = [point for line in scene.lines for point in (line.start, line.end)]
    points += [point for zone in scene.zones for point in zone.polygon]
    if not points:
        return None
    width, height = size
    margin = _MARGIN * max(size)
    low, high = np.min(points, axis=0) - margin, np.max(points, axis=0) + margin
    part = (
        max(0, int(np.floor(low[0]))),
        max(0, int(np.floor(low[1]))),
        min(width, int(np.ceil(high[0]))),
        min(height, int(np.ceil(high[1]))),
    )
    if part[0] >= part[2] or part[1] >= part[3] or part == (0, 0, width, height):
        return None
    return part

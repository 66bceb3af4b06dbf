"""What a condition leaves of a picture and of its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Altered", "Boxes", "Picture", "only_pixels"]

Picture = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Altered:
    """A picture under a condition, and what can still be asked for on it.

    Parameters
    ----------
    picture : uint8 array (H, W, 3)
        RGB, of the size that it had.
    boxes : float32 array (N, 4)
        Where the N objects are now.
    kept : bool array (N,)
        Which of them are to be counted: not what left the picture or is hidden altogether.
    """

    picture: Picture
    boxes: Boxes
    kept: npt.NDArray[np.bool_]


def only_pixels(picture: Picture, boxes: Boxes) -> Altered:
    """Where every object is still there, in its place."""
    return Altered(picture, boxes, np.ones(len(boxes), np.bool_))

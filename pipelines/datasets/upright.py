"""Pictures as they are seen: turned upright by their EXIF orientation, as detectors and labelling tools show them.

Width, height and boxes of a data set are those of the upright picture; its file keeps its bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

__all__ = ["orientation_of", "turned_boxes", "upright_picture", "upright_size"]

_TURNED = frozenset({5, 6, 7, 8})  # orientations that swap width and height


def orientation_of(picture: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none."""
    if picture.format == "PNG" and "exif" not in picture.info:
        return 1  # asking Pillow would decode the whole picture
    value = picture.getexif().get(ExifTags.Base.Orientation, 1)
    return value if value in range(1, 9) else 1


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height once turned upright; reads the header alone."""
    width, height = picture.size
    return (height, width) if orientation_of(picture) in _TURNED else (width, height)


def upright_picture(path: Path) -> npt.NDArray[np.uint8]:
    """The upright picture, RGB (H, W, 3)."""
    with Image.open(path) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def turned_boxes(
    boxes: npt.NDArray[np.float64], size: tuple[int, int], orientation: int
) -> npt.NDArray[np.float64]:
    """Boxes (N, 4) of a picture as it is stored, (width, height) = `size`, in pixels of the upright one.

    Examples
    --------
    >>> turned_boxes(np.array([[0.0, 0.0, 10.0, 4.0]]), (64, 32), 6).tolist()  # a quarter turn clockwise
    [[28.0, 0.0, 32.0, 10.0]]
    """
    width, height = size
    x1, y1, x2, y2 = np.asarray(boxes, np.float64).reshape(-1, 4).T
    left, right = width - x2, width - x1
    above, below = height - y2, height - y1
    corners = {
        1: (x1, y1, x2, y2),
        2: (left, y1, right, y2),
        3: (left, above, right, below),
        4: (x1, above, x2, below),
        5: (y1, x1, y2, x2),
        6: (above, x1, below, x2),
        7: (above, left, below, right),
        8: (y1, left, y2, right),
    }
    return np.stack(corners[orientation], axis=1)

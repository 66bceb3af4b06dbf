"""What stands in the way, and a camera that looks elsewhere: the truth changes with the picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from counting_evaluator.conditions.altered import Altered, Boxes, Picture, only_pixels

__all__ = ["MOVED", "OCCLUSION", "moved_camera", "occlusion"]

_HIDDEN, _LEAST_SEEN = 0.4, 0.3
OCCLUSION = f"the lower {_HIDDEN:.0%} of every object hidden; who shows less than {_LEAST_SEEN:.0%} is not counted"

_ROLL, _SHIFT, _LEAST_INSIDE = 3.0, 0.05, 0.4
MOVED = (
    f"rolled by {_ROLL:g} degrees, shifted by {_SHIFT:.0%} of the picture, and enlarged to fill the frame; "
    f"who is less than {_LEAST_INSIDE:.0%} inside is not counted"
)


def occlusion(picture: Picture, boxes: Boxes, rng: np.random.Generator) -> Altered:
    """A hedge or a parked car before each object, in the colour of its surroundings."""
    height, width = picture.shape[:2]
    hidden = np.zeros((height, width), np.bool_)
    covered = picture.copy()
    for box in boxes:
        x1, y1, x2, y2 = (round(float(value)) for value in box)
        # Wider than the object by a tenth, so that no edge of it is left beside the patch.
        margin = max(1, round(0.1 * (x2 - x1)))
        top = round(y2 - _HIDDEN * (y2 - y1))
        rows, columns = slice(max(top, 0), max(y2, 0)), slice(max(x1 - margin, 0), max(x2 + margin, 0))
        patch = covered[rows, columns]
        if not patch.size:
            continue
        around = picture[max(y2 - 1, 0) : y2 + max(2, (y2 - y1) // 8), columns].reshape(-1, 3)
        colour = np.median(around if len(around) else picture.reshape(-1, 3), axis=0)
        grain = rng.normal(0, 6, (*patch.shape[:2], 1))
        covered[rows, columns] = np.clip(colour + grain, 0, 255).astype(np.uint8)
        hidden[rows, columns] = True
    kept = np.array([_seen(hidden, box) >= _LEAST_SEEN for box in boxes], np.bool_)
    return Altered(covered, boxes, kept) if len(boxes) else only_pixels(covered, boxes)


def _seen(hidden: npt.NDArray[np.bool_], box: npt.NDArray[np.float32]) -> float:
    """The share of a box that no patch hides."""
    x1, y1, x2, y2 = (max(0, round(float(value))) for value in box)
    part = hidden[y1:y2, x1:x2]
    return 1.0 - float(part.mean()) if part.size else 1.0


def moved_camera(picture: Picture, boxes: Boxes, rng: np.random.Generator) -> Altered:
    """A camera that the wind or a ladder has knocked: rolled and shifted.

    What comes in at the edges is not known, so the picture is enlarged until nothing of it is seen; no pixel is
    made up. A turned object's box is that of the ellipse in its old one, which is closer than that of the corners:
    Kalra et al., "Towards Rotation Invariance in Object Detection", ICCV 2021, https://arxiv.org/abs/2109.13488.
    """
    height, width = picture.shape[:2]
    angle = float(np.deg2rad(_ROLL * rng.choice((-1, 1))))
    shift = np.array([width, height]) * _SHIFT * rng.choice((-1, 1), 2)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    reach_x, reach_y = (width * cos + height * abs(sin)) / 2, (width * abs(sin) + height * cos) / 2
    zoom = max(reach_x / (width / 2 - abs(shift[0])), reach_y / (height / 2 - abs(shift[1])))
    turn = zoom * np.array([[cos, -sin], [sin, cos]])
    middle = np.array([width, height]) / 2
    move = middle - turn @ (middle + shift)
    # In OpenCV's pixels whole numbers are centres, in boxes they are edges: half a pixel on both sides.
    matrix = np.hstack([turn, (move + turn @ [0.5, 0.5] - 0.5)[:, None]])
    moved = cv2.warpAffine(
        picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    if not len(boxes):
        return only_pixels(np.asarray(moved, np.uint8), boxes)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 @ turn.T + move
    halves = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (turn**2).T)
    whole = np.hstack([centres - halves, centres + halves])
    inside = np.clip(whole, 0, [width, height, width, height])
    share = np.prod(inside[:, 2:] - inside[:, :2], axis=1) / np.prod(whole[:, 2:] - whole[:, :2], axis=1)
    return Altered(np.asarray(moved, np.uint8), inside.astype(np.float32), share >= _LEAST_INSIDE)

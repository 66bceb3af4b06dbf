"""Plates with letters on a picture: measured to its size, and put where they hide nothing that was said before."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

__all__ = [
    "INK",
    "PAPER",
    "Colour",
    "Image",
    "Pen",
    "Place",
    "draw_plate",
    "draw_table",
    "measure",
    "meet",
    "write",
]

Image = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
Place = tuple[int, int, int, int]  # left, top, right, bottom in pixels

INK: Colour = (20, 22, 26)
PAPER: Colour = (255, 255, 255)
_fonts = threading.local()


@dataclass(slots=True)
class Pen:
    """A picture being drawn on, with the measures that suit its size, and the places that plates take."""

    image: Image
    taken: list[Place] = field(default_factory=list)

    @property
    def text(self) -> int:
        """Height of the letters in pixels."""
        return int(np.clip(round(min(self.image.shape[0] * 0.031, self.image.shape[1] * 0.024)), 11, 72))

    @property
    def stroke(self) -> int:
        """Width of lines in pixels."""
        return max(1, round(self.text / 8))

    @property
    def pad(self) -> int:
        """Pixels between the letters and the border of their plate."""
        return max(2, self.text // 3)

    def plate_size(self, parts: Sequence[str]) -> tuple[int, int]:
        """Width and height of a plate with these parts."""
        wide = sum(measure(part, self.text)[0] + 2 * self.pad for part in parts if part)
        return wide, self.text + 2 * self.pad

    def is_free(self, place: Place) -> bool:
        """Whether a place lies in the picture and on no plate."""
        rows, columns = self.image.shape[:2]
        inside = place[0] >= 0 and place[1] >= 0 and place[2] <= columns and place[3] <= rows
        return inside and not any(meet(place, other) for other in self.taken)


def draw_plate(pen: Pen, centre: npt.NDArray[np.float64], parts: Sequence[str], colour: Colour) -> None:
    """A plate around `centre` (x, y), or near it: the first part on the colour, the others on dark ground."""
    parts = [part for part in parts if part]
    width, height = pen.plate_size(parts)
    left, top = _free_place(pen, centre, width, height)
    _cells(pen, left, top, parts, [measure(part, pen.text)[0] + 2 * pen.pad for part in parts], colour)


def draw_table(pen: Pen, rows: Sequence[tuple[str, str]], colour: Colour) -> None:
    """Names and what is to be said of them, in that corner of the picture in which it hides the fewest plates."""
    if not rows:
        return
    wide = [max(measure(row[i], pen.text)[0] for row in rows) + 2 * pen.pad for i in (0, 1)]
    high = pen.text + 2 * pen.pad + 1
    left, top = _corner(pen, sum(wide), len(rows) * high)
    for i, row in enumerate(rows):
        _cells(pen, left, top + i * high, row, wide, colour)


def meet(a: Place, b: Place) -> bool:
    """Whether two places have something in common."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def measure(text: str, size: int) -> tuple[int, int]:
    """Width and height of a line of text in pixels; the height is the same for all texts."""
    x, _, wide, _ = cv2.getTextSize((100, 100), text, (0, 0), _font(), size, 500)
    return int(wide + x), size


def write(image: Image, text: str, left: int, top: int, size: int, colour: Colour) -> None:
    """Write a line of text."""
    cv2.putText(image, text, (left, top + round(size * 0.86)), colour, _font(), size, 500)


def _cells(pen: Pen, left: int, top: int, parts: Sequence[str], widths: Sequence[int], colour: Colour) -> None:
    height = pen.text + 2 * pen.pad
    for i, (part, wide) in enumerate(zip(parts, widths, strict=True)):
        ground, ink = (colour, INK) if i == 0 else (INK, PAPER)
        cv2.rectangle(pen.image, (left, top), (left + wide - 1, top + height - 1), ground, -1)
        write(pen.image, part, left + pen.pad, top + pen.pad, pen.text, ink)
        left += wide


def _free_place(pen: Pen, centre: npt.NDArray[np.float64], width: int, height: int) -> tuple[int, int]:
    """The nearest place above or below that lies in the picture and on no other plate."""
    rows, columns = pen.image.shape[:2]
    left = int(np.clip(round(centre[0] - width / 2), 0, max(columns - width, 0)))
    for step in (0, -1, 1, -2, 2, -3, 3):
        top = int(np.clip(round(centre[1] - height / 2) + step * (height + 2), 0, max(rows - height, 0)))
        place = (left, top, left + width, top + height)
        if not any(meet(place, other) for other in pen.taken):
            break
    pen.taken.append(place)
    return left, top


def _corner(pen: Pen, width: int, height: int) -> tuple[int, int]:
    rows, columns = pen.image.shape[:2]
    right, bottom = max(columns - width - pen.pad, 0), max(rows - height - pen.pad, 0)
    places = [
        (left, top, left + width, top + height)
        for left, top in ((pen.pad, pen.pad), (right, pen.pad), (pen.pad, bottom), (right, bottom))
    ]
    best = min(places, key=lambda place: sum(meet(place, other) for other in pen.taken))
    pen.taken.append(best)
    return best[0], best[1]


def _font() -> Any:
    # OpenCV 5 brings a typeface with most scripts; it must not be shared between threads
    if not hasattr(_fonts, "face"):
        _fonts.face = cv2.FontFace("sans")
    return _fonts.face

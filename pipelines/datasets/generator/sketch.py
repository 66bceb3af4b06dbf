"""What one thing looks like from one camera: coloured polygons, its outline's box, and its shadow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Colour", "Sketch", "capsule", "disc", "shaded", "shift"]

Colour = tuple[float, float, float]
Polygon = npt.NDArray[np.float64]

_HALF_TURN = np.linspace(-math.pi / 2, math.pi / 2, 6)
_FULL_TURN = np.linspace(0, 2 * math.pi, 14, endpoint=False)


@dataclass(slots=True)
class Sketch:
    """Polygons in drawing order, in pixels of the drawing canvas.

    Parameters
    ----------
    depth : float
        Distance along the optical axis, metres: what is farther is drawn first.
    fills : list of (polygon (N, 2), RGB colour)
    outline : list of polygon (N, 2)
        Together they cover the thing: its box and its hiding of others are read from them.
    shadows : list of polygon (N, 2)
        On the ground, where the sun casts them.
    contacts : list of polygon (N, 2)
        On the ground right below, dark in any light.
    lamps : list of (x, y, radius, RGB colour)
        Lights that glow at dusk and night.
    """

    depth: float
    fills: list[tuple[Polygon, Colour]] = field(default_factory=list)
    outline: list[Polygon] = field(default_factory=list)
    shadows: list[Polygon] = field(default_factory=list)
    contacts: list[Polygon] = field(default_factory=list)
    lamps: list[tuple[float, float, float, Colour]] = field(default_factory=list)

    def solid(self, polygon: Polygon, colour: Colour) -> None:
        """Add a polygon that also belongs to the outline."""
        self.fills.append((polygon, colour))
        self.outline.append(polygon)

    def paint(self, polygon: Polygon, colour: Colour) -> None:
        """Add a polygon that lies on others."""
        self.fills.append((polygon, colour))

    def box(self) -> tuple[float, float, float, float]:
        """Corners x1, y1, x2, y2 of the full extent, hidden parts included, not clipped to the picture."""
        points = np.concatenate(self.outline)
        (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
        return float(x1), float(y1), float(x2), float(y2)


def capsule(start: Polygon, end: Polygon, radius_start: float, radius_end: float) -> Polygon:
    """The outline (12, 2) of a limb: two round ends and what is between them."""
    direction = math.atan2(end[1] - start[1], end[0] - start[0])
    tail = direction + math.pi + _HALF_TURN
    head = direction + _HALF_TURN
    return np.concatenate(
        [
            np.stack([start[0] + radius_start * np.cos(tail), start[1] + radius_start * np.sin(tail)], axis=1),
            np.stack([end[0] + radius_end * np.cos(head), end[1] + radius_end * np.sin(head)], axis=1),
        ]
    )


def disc(centre: Sequence[float] | Polygon, radius_x: float, radius_y: float) -> Polygon:
    """The outline (14, 2) of an upright ellipse."""
    return np.stack([centre[0] + radius_x * np.cos(_FULL_TURN), centre[1] + radius_y * np.sin(_FULL_TURN)], axis=1)


def shift(x: float, y: float) -> Polygon:
    """A step on the canvas: x to the right, y downwards, pixels."""
    return np.array((x, y), np.float64)


def shaded(colour: Colour, factor: float) -> Colour:
    """The colour in more or less light."""
    return (min(255.0, colour[0] * factor), min(255.0, colour[1] * factor), min(255.0, colour[2] * factor))

"""Solids that vehicles are made of: flat faces with what is painted on them.

Coordinates are the vehicle's own, in metres: along (forwards), up, sideways.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pipelines.datasets.generator.sketch import Colour, shaded

__all__ = [
    "GLASS",
    "Face",
    "Mark",
    "Part",
    "bands",
    "bevelled",
    "box",
    "extruded",
    "lamps",
    "quad",
    "row",
    "wheels",
]

Array = npt.NDArray[np.float64]
Mark = tuple[Array, Colour]

GLASS: Colour = (40, 48, 58)
_TYRE: Colour = (24, 24, 26)


@dataclass(frozen=True, slots=True)
class Face:
    """A flat part: corners (N, 3), a colour, and what is painted on it.

    A `bare` face is not drawn itself: only its marks are, in their own colours whatever the light's direction.
    """

    corners: Array
    colour: Colour
    marks: tuple[Mark, ...] = ()
    bare: bool = False


Part = tuple[Face, ...]
"""A convex solid."""


def quad(*corners: tuple[float, float, float]) -> Array:
    """Corners as an array (N, 3)."""
    return np.array(corners, np.float64)


def bevelled(profile: Array, radius: float, rounds: int = 2) -> Array:
    """A polygon (N, 2) with its corners cut, twice for a round look."""
    for _ in range(rounds):
        corners = []
        for before, here, after in zip(np.roll(profile, 1, 0), profile, np.roll(profile, -1, 0), strict=True):
            for other in (before, after):
                step = other - here
                long = float(np.linalg.norm(step))
                corners.append(here + step / long * min(radius, long * 0.33))
        profile, radius = np.array(corners), radius * 0.4
    return profile


def extruded(
    profile: Array,
    width_at: Callable[[float], float],
    colour: Colour,
    side_marks: Mapping[float, Sequence[Mark]],
    colour_of: Callable[[Array, Array], Colour] | None = None,
) -> list[Face]:
    """The two sides and the strips between them of a profile (N, 2) of (along, up).

    Parameters
    ----------
    width_at : callable
        Half the width at a height: sides may lean inwards.
    side_marks : mapping of 1.0 and -1.0 to marks
    colour_of : callable, optional
        Colour of the strip between two corners; `colour` without it.
    """
    half = np.array([width_at(up) for up in profile[:, 1]])
    faces = [Face(np.column_stack([profile, s * half]), colour, tuple(side_marks[s])) for s in (1.0, -1.0)]
    for i in range(len(profile)):
        a, b = profile[i], profile[(i + 1) % len(profile)]
        ha, hb = half[i], half[(i + 1) % len(profile)]
        strip = quad((a[0], a[1], ha), (b[0], b[1], hb), (b[0], b[1], -hb), (a[0], a[1], -ha))
        faces.append(Face(strip, colour if colour_of is None else colour_of(a, b)))
    return faces


def bands(profile: Array, side: float, colour: Colour, steps: Sequence[tuple[float, float]]) -> list[Mark]:
    """Horizontal bands over a side, from the (height, brightness) of each band's top down to the next one's.

    They stand for what a car's flank mirrors: sky above, road below.
    """
    marks = []
    for (top, light), (bottom, _) in pairwise(steps):
        ends = []
        for up in (top, bottom):
            xs = _at_height(profile, up)
            if not xs:
                break
            ends.append((min(xs), max(xs), up))
        if len(ends) == 2:
            (a1, a2, ya), (b1, b2, yb) = ends
            marks.append(
                (quad((a1, ya, side), (a2, ya, side), (b2, yb, side), (b1, yb, side)), shaded(colour, light))
            )
    return marks


def _at_height(profile: Array, up: float) -> list[float]:
    xs = []
    for a, b in zip(profile, np.roll(profile, -1, axis=0), strict=True):
        if min(a[1], b[1]) <= up <= max(a[1], b[1]) and a[1] != b[1]:
            xs.append(float(a[0] + (up - a[1]) / (b[1] - a[1]) * (b[0] - a[0])))
    return xs


def _ring(x: float, y: float, side: float, radius: float, count: int = 14) -> Array:
    turn = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn), np.full(count, side)], axis=1)


def wheels(axles: Sequence[float], side: float, radius: float) -> list[Mark]:
    """Arch, tyre, rim, spokes and hub of each wheel of one side."""
    marks: list[Mark] = []
    for x in axles:
        marks.append((_ring(x, radius * 1.08, side, radius * 1.2), (12, 12, 14)))
        marks.append((_ring(x, radius, side, radius), _TYRE))
        marks.append((_ring(x, radius, side, radius * 0.66), (146, 149, 154)))
        for turn in np.arange(5) * 2 * math.pi / 5:
            a, b = turn + 0.22, turn + 0.98
            inner, outer = radius * 0.2, radius * 0.6
            marks.append(
                (
                    quad(
                        (x + inner * math.cos(a), radius + inner * math.sin(a), side),
                        (x + outer * math.cos(a), radius + outer * math.sin(a), side),
                        (x + outer * math.cos(b), radius + outer * math.sin(b), side),
                        (x + inner * math.cos(b), radius + inner * math.sin(b), side),
                    ),
                    (58, 60, 64),
                )
            )
    return marks


def box(
    x: tuple[float, float],
    up: tuple[float, float],
    half: float,
    colour: Colour,
    side_marks: Mapping[float, Sequence[Mark]],
    front: Sequence[Mark] = (),
    back: Sequence[Mark] = (),
) -> list[Face]:
    """A box with marks on sides and ends."""
    (x1, x2), (y1, y2) = x, up
    faces = [
        Face(
            quad((x2, y1, s * half), (x2, y2, s * half), (x1, y2, s * half), (x1, y1, s * half)),
            colour,
            tuple(side_marks[s]),
        )
        for s in (1.0, -1.0)
    ]
    for end, marks in ((x2, front), (x1, back)):
        corners = quad((end, y1, half), (end, y2, half), (end, y2, -half), (end, y1, -half))
        faces.append(Face(corners, colour, tuple(marks)))
    roof = quad((x1, y2, half), (x2, y2, half), (x2, y2, -half), (x1, y2, -half))
    faces.append(Face(roof, shaded(colour, 1.04)))
    return faces


def row(x: float, half: float, rows: Sequence[tuple[float, float, float, Colour]]) -> list[Mark]:
    """Bands across an end at `x`: (low, high, share of the half width, colour)."""
    return [
        (quad((x, low, half * w), (x, high, half * w), (x, high, -half * w), (x, low, -half * w)), colour)
        for low, high, w, colour in rows
    ]


def lamps(x: float, half: float, low: float, high: float, inner: float, colour: Colour) -> list[Mark]:
    """A pair of lamps at an end, from the share `inner` of the half width outwards, with a bright core."""
    marks: list[Mark] = []
    for s in (1.0, -1.0):
        a, b = s * half * 0.96, s * half * inner
        marks.append((quad((x, low, a), (x, high, a), (x, high, b), (x, low, b)), shaded(colour, 0.72)))
        c, d = a * 0.7 + b * 0.3, a * 0.3 + b * 0.7
        y1, y2 = low + 0.2 * (high - low), high - 0.2 * (high - low)
        marks.append((quad((x, y1, c), (x, y2, c), (x, y2, d), (x, y1, d)), colour))
    return marks

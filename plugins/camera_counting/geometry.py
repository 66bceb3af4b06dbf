"""Plane geometry of segments, polygons and boxes, in screen coordinates (x to the right, y downwards)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = [
    "Segment",
    "border_distance",
    "borders_touched",
    "box_areas",
    "common_areas",
    "first_self_crossing",
    "inside",
    "polygon_area",
    "segment_polygon_span",
    "shares_covered",
]

_Point = tuple[float, float]

# Boxes are float32, which tells pixels of the largest pictures apart to a thousandth: what is nearer lies upon it.
_ON_BORDER = 1e-3


_Boxes = TypeVar("_Boxes", npt.NDArray[np.float32], npt.NDArray[np.float64])


@dataclass(frozen=True, slots=True)
class Segment:
    """A directed segment.

    Examples
    --------
    >>> line = Segment((0, 10), (100, 10))
    >>> line.side(np.array([[50.0, 12.0], [50.0, 7.0]]))  # below, above
    array([ 2., -3.])
    >>> line.spans(50, 10), line.spans(101, 10)
    (True, False)
    """

    start: _Point
    end: _Point

    def side(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Signed distance of points (N, 2) from the infinite line, in pixels.

        Positive on the right-hand side of the vector from `start` to `end` as seen on the screen.
        """
        dx, dy = self.end[0] - self.start[0], self.end[1] - self.start[1]
        distances = (dx * (points[:, 1] - self.start[1]) - dy * (points[:, 0] - self.start[0])) / np.hypot(dx, dy)
        return np.asarray(distances, np.float64)

    def spans(self, x: float, y: float) -> bool:
        """Whether a point's foot on the line lies between the ends, both included."""
        dx, dy = self.end[0] - self.start[0], self.end[1] - self.start[1]
        along = dx * (x - self.start[0]) + dy * (y - self.start[1])
        # a path through the very end belongs to the segment, whatever the last bit of rounding says
        slack = 1e-9 * (dx * dx + dy * dy)
        return bool(-slack <= along <= dx * dx + dy * dy + slack)


def polygon_area(corners: Sequence[_Point]) -> float:
    """Area by the shoelace formula.

    Examples
    --------
    >>> polygon_area([(0, 0), (4, 0), (0, 3)])
    6.0
    """
    total = 0.0
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        total += ax * by - bx * ay
    return abs(total) / 2


def first_self_crossing(corners: Sequence[_Point]) -> tuple[int, int] | None:
    """Indices of two edges of a closed polygon that cross or touch although they are no neighbours, or None.

    Neighbouring edges that fold back onto each other count as crossing, too.

    Examples
    --------
    >>> first_self_crossing([(0, 0), (10, 10), (10, 0), (0, 10)])  # a bow tie
    (0, 2)
    >>> first_self_crossing([(0, 0), (10, 0), (10, 10)]) is None
    True
    """
    n = len(corners)
    edges = [(corners[i], corners[(i + 1) % n]) for i in range(n)]
    for i in range(n):
        for j in range(i + 1, n):
            neighbours = j == i + 1 or (i == 0 and j == n - 1)
            if neighbours:
                first, second = (edges[i], edges[j]) if j == i + 1 else (edges[j], edges[i])
                a, shared, b = *first, second[1]
                # three corners of a triangle on one line are told as "no area", not as a crossing
                if n > 3 and _turn(a, shared, b) == 0 and _dot(shared, a, b) > 0:
                    return (i, j)
            elif _touch(*edges[i], *edges[j]):
                return (i, j)
    return None


def _turn(a: _Point, b: _Point, c: _Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _dot(origin: _Point, a: _Point, b: _Point) -> float:
    return (a[0] - origin[0]) * (b[0] - origin[0]) + (a[1] - origin[1]) * (b[1] - origin[1])


def _touch(a: _Point, b: _Point, c: _Point, d: _Point) -> bool:
    def within(p: _Point, q: _Point, r: _Point) -> bool:
        return min(p[0], q[0]) <= r[0] <= max(p[0], q[0]) and min(p[1], q[1]) <= r[1] <= max(p[1], q[1])

    t1, t2, t3, t4 = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if ((t1 > 0 > t2) or (t1 < 0 < t2)) and ((t3 > 0 > t4) or (t3 < 0 < t4)):
        return True
    return (
        (t1 == 0 and within(a, b, c))
        or (t2 == 0 and within(a, b, d))
        or (t3 == 0 and within(c, d, a))
        or (t4 == 0 and within(c, d, b))
    )


def inside(polygon: npt.NDArray[np.float64], points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Mask (N,) of the points (N, 2) that lie inside a polygon (K, 2), by the even-odd rule, or on its border.

    Examples
    --------
    >>> square = np.array([[0, 0], [10, 0], [10, 10], [0, 10.0]])
    >>> inside(square, np.array([[5, 5], [10, 5], [5, 10], [15, 5.0]])).tolist()
    [True, True, True, False]
    """
    x, y = points[:, 0, None], points[:, 1, None]
    x0, y0 = polygon.T
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    spans = (y0 > y) != (y1 > y)
    rise = np.where(y1 == y0, 1.0, y1 - y0)  # a level edge spans no point
    hits = spans & (x < (x1 - x0) * (y - y0) / rise + x0)
    on_border = border_distance(polygon, np.roll(polygon, -1, axis=0), points) <= _ON_BORDER
    return np.asarray((np.count_nonzero(hits, axis=1) % 2 == 1) | on_border)


def border_distance(
    starts: npt.NDArray[np.float64], ends: npt.NDArray[np.float64], points: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Distance (N,) of points (N, 2) from the nearest of the edges `starts` to `ends` (K, 2), in pixels.

    Infinite where there is no edge.

    Examples
    --------
    >>> border_distance(np.array([[0, 10.0]]), np.array([[10, 10.0]]), np.array([[5, 8], [13, 14.0]])).tolist()
    [2.0, 5.0]
    """
    along = ends - starts
    v = points[:, None] - starts
    part = np.clip((v * along).sum(2) / (along * along).sum(1), 0, 1)
    off = v - part[:, :, None] * along
    return np.asarray(np.sqrt((off**2).sum(2).min(1, initial=np.inf)))


def segment_polygon_span(
    polygon: npt.NDArray[np.float64], start: _Point, end: _Point
) -> tuple[float, float] | None:
    """The first and the last place, as fractions 0..1 of the way from `start` to `end`, on the polygon's border.

    Examples
    --------
    >>> segment_polygon_span(np.array([[4, 0], [6, 0], [6, 10], [4, 10.0]]), (0, 5), (10, 5))
    (0.4, 0.6)
    """
    p, r = np.array(start), np.array(end) - np.array(start)
    q = polygon
    s = np.roll(polygon, -1, axis=0) - q
    cross = r[0] * s[:, 1] - r[1] * s[:, 0]
    usable = np.abs(cross) > 1e-12
    if not usable.any():
        return None
    q, s, cross = q[usable], s[usable], cross[usable]
    w = q - p
    t = (w[:, 0] * s[:, 1] - w[:, 1] * s[:, 0]) / cross
    u = (w[:, 0] * r[1] - w[:, 1] * r[0]) / cross
    t = t[(t >= 0) & (t <= 1) & (u >= 0) & (u <= 1)]
    if not len(t):
        return None
    return float(t.min()), float(t.max())


def box_areas(boxes: _Boxes) -> _Boxes:
    """Areas (N,) of boxes (N, 4) given as x1, y1, x2, y2."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def common_areas(a: _Boxes, b: _Boxes) -> _Boxes:
    """Areas (N, M) that boxes (N, 4) and boxes (M, 4) have in common.

    Examples
    --------
    >>> common_areas(np.array([[0, 0, 10, 10.0]]), np.array([[0, 5, 10, 15.0], [20, 0, 30, 10]]))
    array([[50.,  0.]])
    """
    wide = np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    high = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    common: _Boxes = np.maximum(wide, 0) * np.maximum(high, 0)
    return common


def shares_covered(boxes: _Boxes) -> _Boxes:
    """Share (N, N) of the smaller one of two boxes (N, 4) that the other one covers; 0 for a box and itself.

    Examples
    --------
    >>> shares_covered(np.array([[0, 0, 10, 10.0], [5, 0, 10, 10], [8, 0, 18, 10]])).tolist()
    [[0.0, 1.0, 0.2], [1.0, 0.0, 0.4], [0.2, 0.4, 0.0]]
    """
    areas = box_areas(boxes)
    smaller: _Boxes = np.maximum(np.minimum(areas[:, None], areas[None]), 1e-9)
    shares: _Boxes = common_areas(boxes, boxes) / smaller
    np.fill_diagonal(shares, 0.0)
    return shares


def borders_touched(boxes: _Boxes, size: tuple[float, float], slack: float) -> npt.NDArray[np.bool_]:
    """Which borders of a picture boxes (N, 4) touch, as (N, 4): left, top, right, bottom.

    Parameters
    ----------
    boxes : float array of shape (N, 4)
        x1, y1, x2, y2 in pixels.
    size : (width, height)
        Of the picture, in pixels.
    slack : float
        So near, relative to the longer side, is as good as touching.

    Examples
    --------
    >>> borders_touched(np.array([[0, 50, 20, 100.0]]), (200, 100), 0.01).tolist()
    [[True, False, False, True]]
    """
    near = slack * max(size)
    low, high = boxes[:, :2] <= near, boxes[:, 2:] >= np.array(size) - near
    return np.concatenate([low, high], axis=1)

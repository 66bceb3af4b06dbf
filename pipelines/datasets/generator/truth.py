"""What really happened: crossings and zone visits worked out from the paths over the ground.

Nothing of the counting engine is used here. A point of the ground is seen through the camera at many instants
between two frames; where it changes sides of a line, within the line's ends, that is a crossing. **in** is from
the left-hand to the right-hand side of the vector from start to end as seen on the screen.

What cannot be told is not put before a counter: `is_plain` keeps a path out of a clip if it begins or ends on a
line, passes a line's very end, or if the bottom centre of its box (what a counter sees) and its point on the
ground (what is true) would tell different stories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.datasets.generator.projection import Projection
from pipelines.datasets.generator.sites import SiteLine, SiteZone
from pipelines.datasets.generator.traffic import Actor

__all__ = ["Crossing", "ZoneTruth", "cuboid_boxes", "path_crossings", "true_crossings", "true_zones"]

Floats = npt.NDArray[np.float64]
_STEPS = 8  # instants looked at between two frames


@dataclass(frozen=True, slots=True)
class Crossing:
    """One going over a line: at `seconds` in the clip, direction in or out."""

    line: str
    track: int
    kind: str
    direction: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ZoneTruth:
    """What a zone saw.

    Parameters
    ----------
    peak : int
        Most at the same time.
    mean : float
        On average over the frames.
    entered : int
        How many came in from outside after the clip's start.
    visits : int
        How many were in it at any time.
    occupancy : tuple of int
        Per frame.
    """

    name: str
    peak: int
    mean: float
    entered: int
    visits: int
    occupancy: tuple[int, ...]


def path_crossings(points: Floats, start: Floats, end: Floats) -> list[tuple[float, str, float]]:
    """Where a broken line of points (N, 2) goes over the segment from `start` to `end`.

    Returns
    -------
    list of (index, direction, share)
        The place on the path as a fractional index, in or out, and the place on the segment from 0 to 1.

    Examples
    --------
    A line from left to right, gone over downwards, is in:

    >>> import numpy as np
    >>> path = np.array([[5.0, 0.0], [5.0, 10.0]])
    >>> path_crossings(path, np.array([0.0, 4.0]), np.array([10.0, 4.0]))
    [(0.4, 'in', 0.5)]
    """
    along = end - start
    # Positive on the right-hand side of the vector, because y grows downwards.
    side = along[0] * (points[:, 1] - start[1]) - along[1] * (points[:, 0] - start[0])
    right = side > 0
    found = []
    for i in np.flatnonzero(right[1:] != right[:-1]):
        share_of_step = side[i] / (side[i] - side[i + 1])
        where = points[i] + share_of_step * (points[i + 1] - points[i])
        share = float((where - start) @ along / (along @ along))
        if 0 <= share <= 1:
            found.append((float(i + share_of_step), "in" if right[i + 1] else "out", share))
    return found


def ground_points(actor: Actor, view: Projection, seconds: Floats) -> Floats:
    """Pixels (N, 2) of the actor's point on the ground; NaN where it is absent or out of the picture."""
    x, z = actor.path.at(seconds)
    pixels, depth = view.project(np.stack([x, np.zeros_like(x), z], axis=1))
    present = (seconds >= actor.path.seconds[0]) & (seconds <= actor.path.seconds[-1]) & (depth > 0.8)
    pixels[~present] = np.nan
    return pixels


def cuboid_boxes(actor: Actor, view: Projection, seconds: Floats) -> Floats:
    """Boxes (N, 4) around the actor's cuboid, clipped to the picture; NaN where nothing of it is in it."""
    length, height, width = actor.size()
    x, z = actor.path.at(seconds)
    heading = np.arctan2(np.gradient(z), np.gradient(x)) if len(x) > 1 else np.zeros_like(x)
    corners = np.array([(a, b, c) for a in (-0.5, 0.5) for b in (0.0, 1.0) for c in (-0.5, 0.5)])
    corners = corners * [length, height, width]
    cos, sin = np.cos(heading)[:, None], np.sin(heading)[:, None]
    world = np.stack(
        [
            x[:, None] + corners[:, 0] * cos - corners[:, 2] * sin,
            np.broadcast_to(corners[:, 1], (len(x), 8)),
            z[:, None] + corners[:, 0] * sin + corners[:, 2] * cos,
        ],
        axis=-1,
    )
    flat, depth = view.project(world.reshape(-1, 3))
    flat, depth = flat.reshape(-1, 8, 2), depth.reshape(-1, 8)
    boxes = np.concatenate([flat.min(axis=1), flat.max(axis=1)], axis=1)
    boxes[:, [0, 2]] = boxes[:, [0, 2]].clip(0, view.width)
    boxes[:, [1, 3]] = boxes[:, [1, 3]].clip(0, view.height)
    outside = (depth.min(axis=1) < 0.8) | (boxes[:, 2] - boxes[:, 0] < 3) | (boxes[:, 3] - boxes[:, 1] < 3)
    outside |= (seconds < actor.path.seconds[0]) | (seconds > actor.path.seconds[-1])
    boxes[outside] = np.nan
    return boxes


def _ends(line: SiteLine, view: Projection) -> tuple[Floats, Floats]:
    size = np.array([view.width, view.height], np.float64)
    return np.array(line.start) * size, np.array(line.end) * size


def true_crossings(
    actor: Actor, view: Projection, lines: Sequence[SiteLine], frames: int, fps: float
) -> list[Crossing]:
    """All crossings of one actor between the first and the last frame, of the lines that count its class."""
    seconds = np.arange((frames - 1) * _STEPS + 1) / (fps * _STEPS)
    points = ground_points(actor, view, seconds)
    seen = np.isfinite(points[:, 0])
    found = []
    for line in lines:
        if actor.kind not in line.classes:
            continue
        for index, direction, _ in path_crossings(points[seen], *_ends(line, view)):
            at = float(np.interp(index, np.arange(seen.sum()), seconds[seen]))
            found.append(Crossing(line.name, actor.track, actor.kind, direction, round(at, 4)))
    return sorted(found, key=lambda c: c.seconds)


def is_plain(actor: Actor, view: Projection, lines: Sequence[SiteLine], frames: int, fps: float) -> bool:
    """Whether this actor's crossings can be told beyond doubt from its boxes in the frames."""
    seconds = np.arange(frames) / fps
    boxes = cuboid_boxes(actor, view, seconds)
    seen = np.isfinite(boxes[:, 0])
    if not seen.any():
        return True
    shown = boxes[seen]
    anchors = np.stack([(shown[:, 0] + shown[:, 2]) / 2, shown[:, 3]], axis=1)
    true = true_crossings(actor, view, lines, frames, fps)
    for line in lines:
        if actor.kind not in line.classes:
            continue
        start, end = _ends(line, view)
        told = path_crossings(anchors, start, end)
        if [d for _, d, _ in told] != [c.direction for c in true if c.line == line.name]:
            return False
        length = float(np.linalg.norm(end - start))
        for index, _, share in told:
            box = shown[round(index)]
            if min(share, 1 - share) * length < 0.1 * float(box[3] - box[1]) + 2:
                return False
        for edge in (0, -1):
            clear = 0.5 * float(min(shown[edge, 2] - shown[edge, 0], shown[edge, 3] - shown[edge, 1])) + 3
            if _distance(anchors[edge], start, end) < clear:
                return False
    return True


def _distance(point: Floats, start: Floats, end: Floats) -> float:
    along = end - start
    share = float(np.clip((point - start) @ along / (along @ along), 0, 1))
    return float(np.linalg.norm(point - start - share * along))


def _inside(points: Floats, polygon: Floats) -> npt.NDArray[np.bool_]:
    """Even-odd rule for points (N, 2)."""
    inside = np.zeros(len(points), bool)
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        spans = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            x = a[0] + (points[:, 1] - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
        inside ^= spans & (points[:, 0] < x)
    return inside


def true_zones(
    actors: Sequence[Actor], view: Projection, zones: Sequence[SiteZone], frames: int, fps: float
) -> list[ZoneTruth]:
    """Occupancy of every zone, frame by frame, by the points on the ground."""
    seconds = np.arange(frames) / fps
    size = np.array([view.width, view.height], np.float64)
    found = []
    for zone in zones:
        polygon = np.array(zone.polygon) * size
        occupancy, entered, visits = np.zeros(frames, int), 0, 0
        for actor in actors:
            if actor.kind not in zone.classes:
                continue
            points = ground_points(actor, view, seconds)
            within = np.isfinite(points[:, 0]) & _inside(np.nan_to_num(points, nan=-1e9), polygon)
            occupancy += within
            entered += int((within[1:] & ~within[:-1]).sum())
            visits += int(within.any())
        found.append(
            ZoneTruth(
                zone.name,
                int(occupancy.max()),
                round(float(occupancy.mean()), 4),
                entered,
                visits,
                tuple(int(n) for n in occupancy),
            )
        )
    return found

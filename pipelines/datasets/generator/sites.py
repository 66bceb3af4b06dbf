"""Where the cameras hang: streets and avenues with lanes and pavements, lines and zones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipelines.datasets.generator.projection import Projection, Viewpoint

__all__ = ["Lane", "Site", "SiteLine", "SiteZone", "site", "site_lines", "site_zones"]


@dataclass(frozen=True, slots=True)
class Lane:
    """A way along the road: its distance z from the camera's foot, metres, and its direction on x, 1 or -1."""

    z: float
    direction: int


@dataclass(frozen=True, slots=True)
class Site:
    """One camera's place; all distances in metres, z away from the camera's foot.

    The strips from near to far: ground before the near pavement, near pavement, road, far pavement, buildings.
    """

    name: str
    seed: int
    kind: Literal["street", "avenue"]
    viewpoint: Viewpoint
    near: float  # where the near pavement begins
    kerb: float  # where the road begins
    far_kerb: float  # where it ends
    facade: float  # where the buildings stand
    lanes: tuple[Lane, ...]
    reach: tuple[float, float]  # x between which there is traffic
    line_at: float  # x of the counting lines


@dataclass(frozen=True, slots=True)
class SiteLine:
    """A counting line in pixels of a picture of the asked size, relative 0..1 coordinates."""

    name: str
    start: tuple[float, float]
    end: tuple[float, float]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SiteZone:
    """A zone as corners in relative 0..1 coordinates."""

    name: str
    polygon: tuple[tuple[float, float], ...]
    classes: tuple[str, ...]


def site(index: int, seed: int = 0) -> Site:
    """The camera `index` of the town `seed`: the same numbers give the same place.

    Every third camera looks along the road (avenue), the others across it (street).

    Examples
    --------
    >>> site(0).name, site(0) == site(0), site(2).kind
    ('cam-0', True, 'avenue')
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 7, index]))
    avenue = index % 3 == 2
    lane = float(rng.uniform(2.9, 3.2))
    if avenue:
        side = 1.0 if rng.random() < 0.5 else -1.0
        height, pitch = float(rng.uniform(6.0, 7.2)), float(rng.uniform(32, 35))
        yaw = side * float(rng.uniform(62, 74))
        near, kerb = float(rng.uniform(-2.0, -0.5)), float(rng.uniform(1.2, 2.2))
        far_width = float(rng.uniform(2.4, 3.2))
        reach = (2.0, 27.0) if side > 0 else (-27.0, -2.0)
        line_at = side * float(rng.uniform(9.5, 11.0))
    else:
        height, pitch = float(rng.uniform(4.6, 6.4)), float(rng.uniform(20, 26))
        yaw = float(rng.uniform(-24, 24))
        near, kerb = float(rng.uniform(4.8, 5.6)), float(rng.uniform(7.6, 8.4))
        far_width = float(rng.uniform(2.3, 3.0))
        reach = (-24.0, 24.0)
        line_at = float(rng.uniform(-1.0, 1.0)) + (kerb + lane) * float(np.tan(np.radians(yaw)))
    left_hand = -1 if rng.random() < 0.75 else 1
    lanes = (Lane(kerb + 0.2 + lane * 0.5, -left_hand), Lane(kerb + 0.2 + lane * 1.5, left_hand))
    far_kerb = kerb + 0.4 + 2 * lane
    return Site(
        name=f"cam-{index}",
        seed=int(rng.integers(2**31)),
        kind="avenue" if avenue else "street",
        viewpoint=Viewpoint(height, pitch, yaw, float(rng.normal(0, 0.6)), float(rng.uniform(1.2, 1.4))),
        near=near,
        kerb=kerb,
        far_kerb=far_kerb,
        facade=far_kerb + far_width,
        lanes=lanes,
        reach=reach,
        line_at=line_at,
    )


def _relative(view: Projection, x: float, z: float) -> tuple[float, float]:
    px, py = view.ground(x, z)
    return round(px / view.width, 4), round(py / view.height, 4)


def _within(ends: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The part of a segment that lies in the picture."""
    (x1, y1), (x2, y2) = ends
    low, high = 0.0, 1.0
    for start, step in ((x1, x2 - x1), (y1, y2 - y1)):
        if abs(step) < 1e-9:
            continue
        near, far = sorted(((0 - start) / step, (1 - start) / step))
        low, high = max(low, near), min(high, far)
    return [(round(x1 + (x2 - x1) * t, 4), round(y1 + (y2 - y1) * t, 4)) for t in (low, high)]


def site_lines(place: Site, width: int, height: int, classes: tuple[str, ...]) -> tuple[SiteLine, ...]:
    """The camera's counting lines, `road` for vehicles and `pavement` for people, across the ways.

    They are laid on the ground for the camera as it was mounted and then stay where they are on the picture, as
    lines that somebody drew do when the camera is moved. They run from the far end to the near one, or from left
    to right where the camera looks along the road. Each ends well beyond its way, so that a box that is a few
    pixels off still crosses it; the classes keep the two apart.
    """
    view = Projection(place.viewpoint, width, height)
    vehicles = tuple(name for name in classes if name != "person")
    lines = []
    spans = [("road", place.kerb - 0.9, place.far_kerb + 1.0, vehicles)]
    if "person" in classes:
        spans.append(("pavement", place.far_kerb - 1.2, place.facade + 1.2, ("person",)))
    for name, near, far, wanted in spans:
        if not wanted:
            continue
        ends = _within([_relative(view, place.line_at, far), _relative(view, place.line_at, near)])
        if place.kind == "avenue":
            ends.sort()
        lines.append(SiteLine(name, ends[0], ends[1], wanted))
    return tuple(lines)


def site_zones(place: Site, width: int, height: int, classes: tuple[str, ...]) -> tuple[SiteZone, ...]:
    """The camera's zone: the stretch of far pavement around the counting line."""
    if "person" not in classes:
        return ()
    view = Projection(place.viewpoint, width, height)
    low, high = place.far_kerb - 0.6, place.facade + 0.6
    x1, x2 = place.line_at - 3.0, place.line_at + 3.0
    corners = [(x1, high), (x2, high), (x2, low), (x1, low)]
    polygon = _clipped([_relative(view, x, z) for x, z in corners])
    return (SiteZone("waiting", tuple(polygon), ("person",)),)


def _clipped(polygon: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The part of a convex polygon that lies in the picture (Sutherland and Hodgman, 1974)."""
    for axis, edge, sign in ((0, 0.0, 1), (0, 1.0, -1), (1, 0.0, 1), (1, 1.0, -1)):
        kept: list[tuple[float, float]] = []
        for a, b in zip(polygon, polygon[1:] + polygon[:1], strict=True):
            inside_a, inside_b = sign * (a[axis] - edge) >= 0, sign * (b[axis] - edge) >= 0
            if inside_a:
                kept.append(a)
            if inside_a != inside_b:
                share = (edge - a[axis]) / (b[axis] - a[axis])
                kept.append((a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])))
        polygon = kept
    return [(min(1.0, max(0.0, round(x, 4))), min(1.0, max(0.0, round(y, 4)))) for x, y in polygon]

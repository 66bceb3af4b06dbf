"""Vehicles: bodies with windows, wheels and lights, seen from any side."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.datasets.generator.bodies import Face
from pipelines.datasets.generator.models import BUILD
from pipelines.datasets.generator.projection import Projection
from pipelines.datasets.generator.sketch import Colour, Sketch, shaded

__all__ = ["VehicleLook", "catalogue", "sketch_vehicle", "vehicle_look"]

_PAINT: tuple[tuple[Colour, float], ...] = (
    ((226, 228, 230), 0.22),
    ((36, 38, 42), 0.18),
    ((150, 154, 158), 0.18),
    ((88, 92, 98), 0.12),
    ((150, 30, 34), 0.09),
    ((34, 66, 130), 0.1),
    ((30, 84, 62), 0.03),
    ((196, 172, 130), 0.03),
    ((220, 150, 40), 0.03),
    ((60, 130, 170), 0.02),
)


@dataclass(frozen=True, slots=True, eq=False)
class VehicleLook:
    """One vehicle: its class, size in metres, and its parts, convex solids; the first carries the others.

    `points` are all corners of faces and marks in order; `normals` and `middles` (faces, 3) those of the faces,
    outwards, and `centres` (parts, 3) those of the parts.
    """

    kind: str
    length: float
    width: float
    height: float
    parts: tuple[tuple[Face, ...], ...]
    points: npt.NDArray[np.float64] = field(repr=False)
    normals: npt.NDArray[np.float64] = field(repr=False)
    middles: npt.NDArray[np.float64] = field(repr=False)
    centres: npt.NDArray[np.float64] = field(repr=False)


@lru_cache(maxsize=2048)
def catalogue(kind: str, number: int) -> VehicleLook:
    """The vehicle of that number: building one takes longer than drawing it, and they are met again."""
    return vehicle_look(np.random.default_rng(np.random.SeedSequence([number, 23, len(kind)])), kind)


def vehicle_look(rng: np.random.Generator, kind: str) -> VehicleLook:
    """A vehicle of a kind: car, truck or bus.

    Raises
    ------
    ValueError
        For any other kind.
    """
    if kind not in BUILD:
        raise ValueError(f"expected one of {', '.join(BUILD)}, got {kind!r}")
    colours = [c for c, _ in _PAINT]
    base = colours[int(rng.choice(len(colours), p=np.array([w for _, w in _PAINT])))]
    paint: Colour = tuple(float(np.clip(c + rng.normal(0, 8), 12, 248)) for c in base)  # type: ignore[assignment]
    parts, length, width, height = BUILD[kind](rng, paint)
    points = [a for part in parts for face in part for a in (face.corners, *(m for m, _ in face.marks))]
    middles = np.array([face.corners.mean(axis=0) for part in parts for face in part])
    centres = np.array([np.mean([face.corners.mean(axis=0) for face in part], axis=0) for part in parts])
    own = np.repeat(centres, [len(part) for part in parts], axis=0)
    corners = np.array([face.corners[:3] for part in parts for face in part])
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    normals *= np.where(((middles - own) * normals).sum(axis=1) < 0, -1.0, 1.0)[:, None]
    return VehicleLook(
        kind,
        length,
        width,
        height,
        tuple(tuple(part) for part in parts),
        np.concatenate(points),
        normals,
        middles,
        centres,
    )


def sketch_vehicle(
    look: VehicleLook,
    view: Projection,
    x: float,
    z: float,
    heading: float,
    sun: tuple[float, float, float],
) -> Sketch | None:
    """Draw one vehicle as seen by a camera; None where a part would lie behind it."""
    ahead = np.array([math.cos(heading), 0.0, math.sin(heading)])
    aside = np.array([-math.sin(heading), 0.0, math.cos(heading)])
    axes = np.stack([ahead, np.array([0.0, 1.0, 0.0]), aside])
    origin = np.array([x, 0.0, z])
    pixels, depths = view.project(origin + look.points @ axes)
    if depths.min() < 0.8:
        return None
    sketch = Sketch(depth=float(np.linalg.norm(origin - view.position)))
    eye = (view.position - origin) @ axes.T
    sun_local = axes @ np.array(sun)
    toward = eye - look.middles
    far = np.linalg.norm(toward, axis=1)
    facing = (look.normals * toward).sum(axis=1) > 0
    halfway = sun_local + toward / far[:, None]
    gloss = (look.normals * halfway).sum(axis=1) / np.linalg.norm(halfway, axis=1)
    light = 0.56 + 0.42 * (look.normals @ sun_local).clip(0) + 0.16 * look.normals[:, 1]
    light += 0.4 * gloss.clip(0) ** 24
    cursor = index = 0
    drawn: list[tuple[float, list[_Seen]]] = []
    for part, centre in zip(look.parts, look.centres, strict=True):
        visible: list[_Seen] = []
        for face in part:
            start, cursor = cursor, cursor + len(face.corners) + sum(len(mark) for mark, _ in face.marks)
            if facing[index]:
                visible.append((float(far[index]), face, start, float(light[index])))
            index += 1
        visible.sort(key=lambda seen: -seen[0])
        drawn.append((float(np.sum((eye - centre) ** 2)), visible))
    for _, faces in [drawn[0], *sorted(drawn[1:], key=lambda item: -item[0])]:
        for _, face, start, shine in faces:
            cursor = start + len(face.corners)
            if not face.bare:
                sketch.solid(pixels[start:cursor], shaded(face.colour, shine))
            tone = 1.0 if face.bare else 0.3 + 0.7 * shine
            for mark, colour in face.marks:
                # The rim of a wheel hangs below the body: marks belong to the outline as well.
                sketch.solid(pixels[cursor : cursor + len(mark)], shaded(colour, tone))
                cursor += len(mark)
    _ground_shadow(sketch, look, view, origin, axes, sun)
    _headlamps(sketch, look, view, origin, axes, eye)
    return sketch


_Seen = tuple[float, Face, int, float]  # distance, face, where its points start, light


def _ground_shadow(
    sketch: Sketch,
    look: VehicleLook,
    view: Projection,
    origin: npt.NDArray[np.float64],
    axes: npt.NDArray[np.float64],
    sun: tuple[float, float, float],
) -> None:
    f, half, top = look.length / 2, look.width / 2, look.height * 0.95
    base = np.array([(a, 0.0, b) for a in (-f, f) for b in (-half, half)])
    roof = np.array([(a * 0.8, top, b * 0.9) for a in (-f, f) for b in (-half, half)])
    world_roof = origin + roof @ axes
    cast = world_roof - world_roof[:, 1:2] / max(sun[1], 0.25) * np.array(sun)
    flat, depths = view.project(np.concatenate([origin + base @ axes, cast]))
    if depths.min() > 0.5:
        sketch.contacts.append(cv2.convexHull(flat[:4].astype(np.float32))[:, 0].astype(np.float64))
        sketch.shadows.append(cv2.convexHull(flat.astype(np.float32))[:, 0].astype(np.float64))


def _headlamps(
    sketch: Sketch,
    look: VehicleLook,
    view: Projection,
    origin: npt.NDArray[np.float64],
    axes: npt.NDArray[np.float64],
    eye: npt.NDArray[np.float64],
) -> None:
    f, half = look.length / 2, look.width / 2
    for front in (True, False):
        end = f if front else -f
        if (eye[0] - end) * (1 if front else -1) <= 0:
            continue
        lamps = np.array([(end, 0.65, s * half * 0.76) for s in (1.0, -1.0)])
        flat, depths = view.project(origin + lamps @ axes)
        for point, depth in zip(flat, depths, strict=True):
            radius = (0.55 if front else 0.3) * view.focal / float(depth)
            colour: Colour = (255, 240, 200) if front else (200, 20, 15)
            sketch.lamps.append((float(point[0]), float(point[1]), radius, colour))

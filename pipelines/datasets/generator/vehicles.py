"""Vehicles: bodies with windows, wheels and lights, seen from any side."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.datasets.generator.projection import Projection
from pipelines.datasets.generator.sketch import Colour, Sketch, shaded

__all__ = ["VehicleLook", "sketch_vehicle", "vehicle_look"]

_GLASS: Colour = (46, 56, 66)
_TYRE: Colour = (24, 24, 26)
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


@dataclass(frozen=True, slots=True)
class Face:
    """A flat part: corners (N, 3) as (along, up, sideways) in metres, a colour, and what is painted on it."""

    corners: npt.NDArray[np.float64]
    colour: Colour
    marks: tuple[tuple[npt.NDArray[np.float64], Colour], ...] = ()
    flat: bool = False  # glass and lights keep their colour whatever the light's direction


@dataclass(frozen=True, slots=True)
class VehicleLook:
    """One vehicle: its class, size in metres, and its parts, convex solids; the first carries the others."""

    kind: str
    length: float
    width: float
    height: float
    parts: tuple[tuple[Face, ...], ...]
    points: npt.NDArray[np.float64] = field(repr=False)


Built = tuple[list[list[Face]], float, float, float]  # parts, length, width, height


def _quad(*corners: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    return np.array(corners, np.float64)


def _wheel(x: float, y: float, side: float, radius: float, count: int = 12) -> npt.NDArray[np.float64]:
    turn = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn), np.full(count, side)], axis=1)


def _wheels(axles: tuple[float, ...], side: float, radius: float) -> list[tuple[npt.NDArray[np.float64], Colour]]:
    marks: list[tuple[npt.NDArray[np.float64], Colour]] = []
    for x in axles:
        marks.append((_wheel(x, radius * 1.05, side, radius * 1.16), (16, 16, 18)))
        marks.append((_wheel(x, radius, side, radius), _TYRE))
        marks.append((_wheel(x, radius, side, radius * 0.62), (150, 152, 156)))
        marks.append((_wheel(x, radius, side, radius * 0.26, 8), (70, 72, 76)))
    return marks


def _extrude(
    profile: npt.NDArray[np.float64], half: float, colour: Colour, side_marks: dict[float, list]
) -> list[Face]:
    """The two sides and the strips between them of a profile (N, 2) of (along, up)."""
    faces = []
    for sign in (1.0, -1.0):
        side = np.column_stack([profile, np.full(len(profile), sign * half)])
        faces.append(Face(side, colour, tuple(side_marks[sign])))
    for a, b in zip(profile, np.roll(profile, -1, axis=0), strict=True):
        strip = _quad((a[0], a[1], half), (b[0], b[1], half), (b[0], b[1], -half), (a[0], a[1], -half))
        faces.append(Face(strip, colour))
    return faces


def _ends(x: float, direction: float, half: float, low: float, high: float, front: bool) -> list[Face]:
    """Lights, grille and plate just before an end of the body."""
    x = x + 0.012 * direction
    lamp: Colour = (250, 246, 226) if front else (196, 26, 26)
    mid = (low + high) / 2
    marks: list[tuple[npt.NDArray[np.float64], Colour]] = []
    for sign in (1.0, -1.0):
        a, b = sign * half * 0.94, sign * half * 0.58
        marks.append(
            (_quad((x, high - 0.2, a), (x, high - 0.02, a), (x, high - 0.04, b), (x, high - 0.17, b)), lamp)
        )
    dark: Colour = (26, 27, 30)
    if front:
        grille = _quad(
            (x, mid - 0.06, 0.5 * half), (x, high - 0.07, 0.5 * half), (x, high - 0.07, -0.5 * half),
            (x, mid - 0.06, -0.5 * half),
        )  # fmt: skip
        marks.append((grille, dark))
    bumper = _quad(
        (x, low, 0.85 * half), (x, low + 0.13, 0.9 * half), (x, low + 0.13, -0.9 * half), (x, low, -0.85 * half)
    )
    marks.append((bumper, dark))
    plate = _quad((x, mid - 0.13, 0.26), (x, mid - 0.02, 0.26), (x, mid - 0.02, -0.26), (x, mid - 0.13, -0.26))
    marks.append((plate, (236, 236, 228)))
    whole = _quad((x, low, half), (x, high, half), (x, high, -half), (x, low, -half))
    return [Face(whole, (0.0, 0.0, 0.0), tuple(marks), flat=True)]


def _car(rng: np.random.Generator, paint: Colour) -> Built:
    body = rng.choice(["hatch", "sedan", "suv", "estate"])
    length = {"hatch": 4.0, "sedan": 4.6, "suv": 4.6, "estate": 4.7}[body] * float(rng.normal(1, 0.03))
    width = {"hatch": 1.74, "sedan": 1.8, "suv": 1.9, "estate": 1.82}[body] * float(rng.normal(1, 0.02))
    height = {"hatch": 1.5, "sedan": 1.44, "suv": 1.7, "estate": 1.5}[body] * float(rng.normal(1, 0.02))
    f, half = length / 2, width / 2
    clear, belt, radius = 0.2, height * 0.6, 0.2 * height + 0.03
    nose, tail = belt * 0.72, belt * (0.92 if body == "sedan" else 0.86)
    hood = f - length * 0.27  # where the windscreen starts
    boot = -f + (length * 0.16 if body == "sedan" else 0.05)
    profile = np.array(
        [
            (f - 0.04, clear), (f, clear + 0.16), (f - 0.05, nose), (f - 0.25, nose + 0.07), (hood, belt),
            (boot, belt), (-f + 0.08, tail), (-f, clear + 0.3), (-f + 0.05, clear),
        ]
    )  # fmt: skip
    axles = (f - length * 0.19, -f + length * 0.19)
    marks: dict[float, list] = {}
    roof_front, roof_back = hood - length * 0.15, boot + length * (0.13 if body == "sedan" else 0.06)
    pillar = (roof_front + roof_back) / 2 - 0.1
    for sign in (1.0, -1.0):
        s = sign * (half + 0.004)
        sill = _quad((f - 0.05, clear, s), (f, clear + 0.2, s), (-f, clear + 0.24, s), (-f + 0.05, clear, s))
        crease = _quad((f - 0.2, nose - 0.02, s), (f - 0.2, nose + 0.03, s), (-f + 0.1, belt - 0.1, s),
                       (-f + 0.1, belt - 0.15, s))  # fmt: skip
        items: list = [(sill, shaded(paint, 0.62)), (crease, shaded(paint, 1.25))]
        for x in (hood - 0.12, pillar, boot + 0.28):
            door = _quad((x, clear + 0.15, s), (x + 0.035, clear + 0.15, s), (x + 0.035, belt, s), (x, belt, s))
            items.append((door, shaded(paint, 0.5)))
        for x in (pillar + 0.16, boot + 0.44):
            items.append((_quad((x, belt - 0.16, s), (x + 0.17, belt - 0.16, s), (x + 0.17, belt - 0.12, s),
                                (x, belt - 0.12, s)), shaded(paint, 0.45)))  # fmt: skip
        items.append((_quad((f - 0.02, nose - 0.16, s), (f - 0.06, nose, s), (f - 0.38, nose, s),
                            (f - 0.3, nose - 0.12, s)), (240, 236, 215)))  # fmt: skip
        items.append((_quad((-f + 0.02, tail - 0.22, s), (-f + 0.07, tail - 0.03, s), (-f + 0.28, tail - 0.03, s),
                            (-f + 0.22, tail - 0.2, s)), (170, 24, 26)))  # fmt: skip
        marks[sign] = items + _wheels(axles, s, radius)
    lower = _extrude(profile, half, paint, marks)
    lower += _ends(f, 1.0, half, clear, nose, True) + _ends(-f, -1.0, half, clear, tail, False)

    base, top = half * 0.96, half * 0.76
    roof = height
    upper: list[Face] = []
    for sign in (1.0, -1.0):
        b, t = sign * base, sign * top
        side = _quad((hood, belt, b), (roof_front, roof, t), (roof_back, roof, t), (boot, belt, b))

        def inside(x: float, up: float, b: float = b, t: float = t) -> tuple[float, float, float]:
            share = (up - belt) / (roof - belt)
            return (x, up, (b + (t - b) * share) * 1.006)

        low, high = belt + 0.03, roof - 0.09
        slope_f, slope_b = (hood - roof_front) / (roof - belt), (roof_back - boot) / (roof - belt)
        front = _quad(
            inside(hood - slope_f * 0.03 - 0.16, low), inside(roof_front + slope_f * 0.09 - 0.08, high),
            inside(pillar + 0.06, high), inside(pillar + 0.05, low),
        )  # fmt: skip
        rear = _quad(
            inside(pillar - 0.05, low), inside(pillar - 0.04, high),
            inside(roof_back - slope_b * 0.09 + 0.12, high), inside(boot + slope_b * 0.03 + 0.26, low),
        )  # fmt: skip
        streak = (front[0] * 0.5 + front[3] * 0.5, front[1] * 0.6 + front[2] * 0.4, front[2], front[3])
        upper.append(
            Face(
                side,
                shaded(paint, 0.95),
                ((front, _GLASS), (rear, shaded(_GLASS, 0.85)), (np.array(streak), shaded(_GLASS, 1.4))),
            )
        )
    screen = _quad((hood, belt, base), (roof_front, roof, top), (roof_front, roof, -top), (hood, belt, -base))
    glass = screen.mean(axis=0) + (screen - screen.mean(axis=0)) * 0.9 + [0.012, 0.008, 0]
    sheen = np.array([glass[0], glass[1], glass[1] * 0.45 + glass[2] * 0.55, glass[0] * 0.75 + glass[3] * 0.25])
    upper.append(Face(screen, shaded(paint, 0.9), ((glass, shaded(_GLASS, 1.1)), (sheen, shaded(_GLASS, 1.7)))))
    rear = _quad((boot, belt, base), (roof_back, roof, top), (roof_back, roof, -top), (boot, belt, -base))
    rear_glass = rear.mean(axis=0) + (rear - rear.mean(axis=0)) * 0.84 + [-0.012, 0.01, 0]
    upper.append(Face(rear, shaded(paint, 0.9), ((rear_glass, shaded(_GLASS, 0.9)),)))
    top_quad = _quad(
        (roof_front, roof, top), (roof_back, roof, top), (roof_back, roof, -top), (roof_front, roof, -top)
    )
    upper.append(Face(top_quad, shaded(paint, 1.06)))
    return [lower, upper], length, width, height


def _box_faces(
    x1: float, x2: float, y1: float, y2: float, half: float, colour: Colour, side_marks: dict[float, list],
    front_marks: tuple = (), back_marks: tuple = (),
) -> list[Face]:  # fmt: skip
    faces = [
        Face(_quad((x2, y1, s * half), (x2, y2, s * half), (x1, y2, s * half), (x1, y1, s * half)), colour,
             tuple(side_marks[s])) for s in (1.0, -1.0)
    ]  # fmt: skip
    faces.append(
        Face(_quad((x2, y1, half), (x2, y2, half), (x2, y2, -half), (x2, y1, -half)), colour, front_marks)
    )
    faces.append(Face(_quad((x1, y1, half), (x1, y2, half), (x1, y2, -half), (x1, y1, -half)), colour, back_marks))
    faces.append(
        Face(_quad((x1, y2, half), (x2, y2, half), (x2, y2, -half), (x1, y2, -half)), shaded(colour, 1.06))
    )
    return faces


def _bands(x: float, half: float, rows: list[tuple[float, float, float, Colour]]) -> tuple:
    """Bands on an end face at `x`: (low, high, share of the half width, colour)."""
    return tuple(
        (_quad((x, low, half * w), (x, high, half * w), (x, high, -half * w), (x, low, -half * w)), colour)
        for low, high, w, colour in rows
    )


def _lamps(x: float, half: float, y: float, colour: Colour) -> tuple:
    return tuple(
        (_quad((x, y, s * half * 0.95), (x, y + 0.2, s * half * 0.95), (x, y + 0.2, s * half * 0.7),
               (x, y, s * half * 0.7)), colour) for s in (1.0, -1.0)
    )  # fmt: skip


def _truck(rng: np.random.Generator, paint: Colour) -> Built:
    length, width, height = (
        float(rng.uniform(6.0, 7.2)),
        float(rng.uniform(2.1, 2.35)),
        float(rng.uniform(2.8, 3.2)),
    )
    cargo = [(232, 232, 228), (210, 214, 216), (90, 120, 170), (190, 60, 50), (70, 120, 90)][int(rng.integers(5))]
    f, half, radius = length / 2, width / 2, 0.44
    cab = f - float(rng.uniform(1.7, 1.95))
    cab_top = height * 0.78
    cab_marks: dict[float, list] = {}
    box_marks: dict[float, list] = {}
    for s in (1.0, -1.0):
        side = s * (half * 0.97 + 0.006)
        cab_marks[s] = [
            (_quad((f - 0.25, 1.35, side), (f - 0.4, cab_top - 0.18, side), (cab + 0.35, cab_top - 0.18, side),
                   (cab + 0.35, 1.35, side)), _GLASS),
            (_quad((f - 0.9, 0.6, side), (f - 0.86, 0.6, side), (f - 0.86, 1.3, side), (f - 0.9, 1.3, side)),
             shaded(paint, 0.5)),
            (_quad((f, 0.3, side), (f, 0.55, side), (cab, 0.55, side), (cab, 0.3, side)), shaded(paint, 0.5)),
            *_wheels((f - 0.85,), side, radius),
        ]  # fmt: skip
        side = s * (half + 0.006)
        stripe = shaded(cargo, 0.7) if rng.random() < 0.6 else shaded(cargo, 0.97)
        low, high = height * 0.55, height * 0.75
        box_marks[s] = [
            (_quad((cab - 0.1, low, side), (cab - 0.1, high, side), (-f, high, side), (-f, low, side)), stripe),
            (
                _quad((cab - 0.05, 0.72, side), (cab - 0.05, 0.8, side), (-f, 0.8, side), (-f, 0.72, side)),
                (60, 60, 62),
            ),
        ]
    chassis_marks = {s: _wheels((-f + 1.1,), s * (half * 0.93 + 0.006), radius) for s in (1.0, -1.0)}
    front = _bands(f + 0.012, half * 0.97, [(1.35, cab_top - 0.15, 0.88, _GLASS), (0.75, 1.1, 0.5, (36, 38, 40)),
                                            (0.32, 0.55, 0.98, (50, 52, 54))])  # fmt: skip
    back = _bands(-f - 0.012, half, [(0.75, height - 0.08, 0.02, (90, 90, 90)), (0.72, 0.84, 0.98, (60, 60, 62))])
    lower = _box_faces(-f + 0.1, cab, 0.45, 0.75, half * 0.93, (52, 54, 56), chassis_marks)
    front_part = _box_faces(cab, f, 0.32, cab_top, half * 0.97, paint, cab_marks,
                        front + _lamps(f + 0.014, half, 0.62, (250, 246, 226)))  # fmt: skip
    upper = _box_faces(-f, cab - 0.08, 0.72, height, half, tuple(map(float, cargo)), box_marks, (),
                       back + _lamps(-f - 0.014, half, 0.8, (196, 26, 26)))  # fmt: skip
    return [lower, front_part, upper], length, width, height


def _bus(rng: np.random.Generator, paint: Colour) -> Built:
    length, width, height = float(rng.uniform(9.0, 11.0)), 2.5, 3.05
    colour: Colour = [(200, 44, 40), (236, 190, 50), (60, 120, 180), (230, 232, 234), (40, 140, 90)][
        int(rng.integers(5))
    ]
    f, half, radius = length / 2, width / 2, 0.46
    marks: dict[float, list] = {}
    for s in (1.0, -1.0):
        side = s * (half + 0.006)
        items: list = [
            (_quad((f, 0.32, side), (f, 0.85, side), (-f, 0.85, side), (-f, 0.32, side)), shaded(colour, 0.7))
        ]
        panes = 7
        for i in range(panes):
            a = f - 0.3 - (length - 0.6) * i / panes
            b = f - 0.3 - (length - 0.6) * (i + 1) / panes + 0.1
            low = 0.5 if s < 0 and i in (0, 3) else 1.35
            items.append((_quad((a, low, side), (a, 2.5, side), (b, 2.5, side), (b, low, side)), _GLASS))
        marks[s] = items + _wheels((f - 2.2, -f + 2.4), side, radius)
    front = _bands(f + 0.012, half, [(1.1, 2.5, 0.93, _GLASS), (2.6, 2.9, 0.6, (240, 170, 40)),
                                     (0.32, 0.6, 0.95, (50, 52, 54))])  # fmt: skip
    back = _bands(-f - 0.012, half, [(1.7, 2.5, 0.85, _GLASS), (0.4, 1.3, 0.7, shaded(colour, 0.75))])
    front += _lamps(f + 0.014, half, 0.7, (250, 246, 226))
    back += _lamps(-f - 0.014, half, 0.9, (196, 26, 26))
    faces = _box_faces(-f, f, 0.32, height, half, colour, marks, front, back)
    return [faces], length, width, height


_BUILD = {"car": _car, "truck": _truck, "bus": _bus}


def vehicle_look(rng: np.random.Generator, kind: str) -> VehicleLook:
    """A vehicle of a kind: car, truck or bus.

    Raises
    ------
    ValueError
        For any other kind.
    """
    if kind not in _BUILD:
        raise ValueError(f"expected one of {', '.join(_BUILD)}, got {kind!r}")
    colours = [c for c, _ in _PAINT]
    base = colours[int(rng.choice(len(colours), p=np.array([w for _, w in _PAINT])))]
    paint: Colour = tuple(float(np.clip(c + rng.normal(0, 8), 12, 248)) for c in base)  # type: ignore[assignment]
    parts, length, width, height = _BUILD[kind](rng, paint)
    arrays = [a for part in parts for face in part for a in (face.corners, *(m for m, _ in face.marks))]
    return VehicleLook(kind, length, width, height, tuple(tuple(p) for p in parts), np.concatenate(arrays))


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
    sun_local = np.array(sun) @ axes.T
    cursor = 0
    drawn: list[tuple[float, list]] = []
    for part in look.parts:
        visible = []
        centre = np.mean([face.corners.mean(axis=0) for face in part], axis=0)
        for face in part:
            n = len(face.corners)
            polygon = pixels[cursor : cursor + n]
            cursor += n
            marks = []
            for corners, colour in face.marks:
                marks.append((pixels[cursor : cursor + len(corners)], colour))
                cursor += len(corners)
            a, b, c = face.corners[0], face.corners[1], face.corners[2]
            normal = np.array(np.cross(b - a, c - a))
            normal /= np.linalg.norm(normal) + 1e-12
            middle = face.corners.mean(axis=0)
            if normal @ (middle - centre) < 0:
                normal = -normal
            toward = eye - middle
            if normal @ toward <= 0:
                continue
            light = 0.62 + 0.42 * max(0.0, float(normal @ sun_local)) + 0.14 * max(0.0, float(normal[1]))
            visible.append((float(toward @ toward), polygon, face, marks, light))
        visible.sort(key=lambda item: -item[0])
        drawn.append((float(np.sum((eye - centre) ** 2)), visible))
    for _, faces in [drawn[0], *sorted(drawn[1:], key=lambda item: -item[0])]:
        for _, polygon, face, marks, light in faces:
            if not face.flat:
                sketch.solid(polygon, shaded(face.colour, light))
            for mark, colour in marks:
                # The rim of a wheel hangs below the body: marks belong to the outline as well.
                sketch.solid(mark, shaded(colour, 1.0 if face.flat else 0.35 + 0.65 * light))
    _ground_shadow(sketch, look, view, origin, axes, sun)
    _headlamps(sketch, look, view, origin, axes, eye)
    return sketch


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

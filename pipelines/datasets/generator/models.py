"""The models of vehicles: cars of four bodies, box trucks and buses."""

from __future__ import annotations

import numpy as np

from pipelines.datasets.generator.bodies import (
    GLASS,
    Array,
    Face,
    Mark,
    bands,
    bevelled,
    box,
    extruded,
    lamps,
    quad,
    row,
    wheels,
)
from pipelines.datasets.generator.sketch import Colour, shaded

__all__ = ["BUILD", "Built"]

Built = tuple[list[list[Face]], float, float, float]  # parts, length, width, height
_FRONT_LAMP: Colour = (246, 244, 232)
_REAR_LAMP: Colour = (188, 28, 28)
_BLACK: Colour = (22, 23, 26)


def _car(rng: np.random.Generator, paint: Colour) -> Built:
    body = str(rng.choice(["hatch", "sedan", "suv", "estate"]))
    length = {"hatch": 4.0, "sedan": 4.6, "suv": 4.6, "estate": 4.7}[body] * float(rng.normal(1, 0.03))
    width = {"hatch": 1.74, "sedan": 1.8, "suv": 1.9, "estate": 1.82}[body] * float(rng.normal(1, 0.02))
    height = {"hatch": 1.5, "sedan": 1.44, "suv": 1.68, "estate": 1.5}[body] * float(rng.normal(1, 0.02))
    f, half = length / 2, width / 2
    clear, belt = 0.2, height * 0.62
    nose, tail = belt * 0.74, belt * (0.95 if body == "sedan" else 0.9)
    hood = f - length * 0.25
    boot = -f + (length * 0.15 if body == "sedan" else 0.06)
    profile = bevelled(
        np.array(
            [
                (f - 0.1, clear), (f, clear + 0.22), (f - 0.03, nose - 0.1), (f - 0.2, nose + 0.06), (hood, belt),
                (boot, belt), (-f + 0.05, tail), (-f, clear + 0.34), (-f + 0.08, clear),
            ]
        ),
        0.12,
    )  # fmt: skip
    radius = 0.205 * height + 0.02
    axles = (f - length * 0.185, -f + length * 0.2)
    roof_front = hood - length * (0.155 if body != "suv" else 0.12)
    roof_back = boot + length * {"sedan": 0.14, "hatch": 0.09, "suv": 0.05, "estate": 0.06}[body]
    pillar = (roof_front * 0.42 + roof_back * 0.58) + 0.12
    marks = {
        s: _flank(
            profile, paint, s * (half + 0.004), (f, clear, belt, nose, tail), (hood, pillar, boot), axles, radius
        )
        for s in (1.0, -1.0)
    }
    lower = extruded(profile, lambda up: half * (1 - 0.03 * max(0.0, up - belt * 0.8)), paint, marks)
    front = lamps(f + 0.012, half, nose - 0.24, nose - 0.06, 0.56, _FRONT_LAMP)
    front += row(
        f + 0.013, half, [(nose - 0.22, nose - 0.08, 0.5, _BLACK), (clear + 0.04, clear + 0.2, 0.8, _BLACK)]
    )
    front.append((_plate(f + 0.02, clear + 0.24), (232, 232, 224)))
    back = lamps(-f - 0.012, half, tail - 0.3, tail - 0.1, 0.6, _REAR_LAMP)
    back += row(-f - 0.013, half, [(clear + 0.02, clear + 0.16, 0.86, _BLACK)])
    back.append((_plate(-f - 0.02, clear + 0.3), (232, 232, 224)))
    for x, end in ((f + 0.01, front), (-f - 0.01, back)):
        whole = quad((x, clear, half), (x, belt, half), (x, belt, -half), (x, clear, -half))
        lower.append(Face(whole, paint, tuple(end), bare=True))
    upper = _greenhouse(paint, half, belt, height, (hood, roof_front, roof_back, boot), pillar)
    return [lower, upper], length, width, height


def _plate(x: float, low: float) -> Array:
    return quad((x, low, 0.26), (x, low + 0.11, 0.26), (x, low + 0.11, -0.26), (x, low, -0.26))


def _flank(
    profile: Array,
    paint: Colour,
    s: float,
    levels: tuple[float, float, float, float, float],
    doors: tuple[float, float, float],
    axles: tuple[float, float],
    radius: float,
) -> list[Mark]:
    """One side of a car below the windows: what it mirrors, doors, handles, lamps, wheels."""
    f, clear, belt, nose, tail = levels
    hood, pillar, boot = doors
    high = belt - 0.02
    steps = [(high, 1.12), (high - 0.09, 1.28), (high - 0.15, 0.98), (high - 0.3, 0.84), (clear + 0.2, 0.6),
             (clear + 0.08, 0.32), (clear + 0.005, 0.2)]  # fmt: skip
    marks = bands(profile, s, paint, steps)
    for x in (hood - 0.2, pillar, boot + 0.42):
        marks.append(
            (
                quad(
                    (x - 0.02, clear + 0.16, s),
                    (x + 0.015, clear + 0.16, s),
                    (x + 0.015, belt, s),
                    (x - 0.02, belt, s),
                ),
                shaded(paint, 0.4),
            )
        )
    for x in (pillar + 0.12, boot + 0.55):
        handle = quad(
            (x, belt - 0.17, s), (x + 0.2, belt - 0.17, s), (x + 0.2, belt - 0.13, s), (x, belt - 0.13, s)
        )
        marks.append((handle, shaded(paint, 0.5)))
    lamp = quad(
        (f - 0.01, nose - 0.24, s),
        (f - 0.05, nose - 0.06, s),
        (f - 0.42, nose - 0.05, s),
        (f - 0.34, nose - 0.17, s),
    )
    marks.append((lamp, _FRONT_LAMP))
    rear = quad(
        (-f + 0.0, tail - 0.3, s),
        (-f + 0.04, tail - 0.1, s),
        (-f + 0.26, tail - 0.1, s),
        (-f + 0.2, tail - 0.26, s),
    )
    marks.append((rear, _REAR_LAMP))
    return marks + wheels(axles, s, radius)


def _greenhouse(
    paint: Colour,
    half: float,
    belt: float,
    roof: float,
    stations: tuple[float, float, float, float],
    pillar: float,
) -> list[Face]:
    """Windows and roof of a car."""
    hood, roof_front, roof_back, boot = stations
    base, top = half * 0.95, half * 0.74
    ridge = ((roof_front + roof_back) / 2, roof)
    outline = np.array([(hood, belt), (roof_front, roof - 0.03), ridge, (roof_back, roof - 0.04), (boot, belt)])
    curve = bevelled(outline, 0.12, rounds=1)
    curve = curve[
        (curve[:, 1] > belt + 0.01) | (np.abs(curve[:, 0] - hood) < 0.2) | (np.abs(curve[:, 0] - boot) < 0.2)
    ]

    def width_at(up: float) -> float:
        return base + (top - base) * min(1.0, max(0.0, (up - belt) / (roof - belt)))

    def line(x: float) -> float:
        """Height of the roof line over x."""
        order = np.argsort(outline[:, 0])
        return float(np.interp(x, outline[order, 0], outline[order, 1]))

    def pane(x1: float, x2: float, s: float, low: float, drop: float) -> Array:
        """A side window between two pillars, as high as the roof line lets it be."""
        xs = np.linspace(x1, x2, 7)
        upper = [(x, max(low + 0.02, line(x) - drop)) for x in xs]
        points = [*upper, (x2, low), (x1, low)]
        return quad(*((x, y, s * width_at(y) * 1.008) for x, y in points))

    marks: dict[float, list[Mark]] = {}
    low = belt + 0.02
    for s in (1.0, -1.0):
        spans = ((pillar + 0.05, hood - 0.16), (boot + 0.3, pillar - 0.05))
        marks[s] = []
        for a, b in spans:
            marks[s].append((pane(a, b, s, low, 0.07), GLASS))
            # The upper part mirrors the sky, the lower shows the dark inside.
            marks[s].append((pane(a, b, s, low + 0.55 * (roof - belt - 0.1), 0.075), shaded(GLASS, 1.75)))
        mirror = quad((hood - 0.3, belt, s * base * 1.07), (hood - 0.3, belt + 0.13, s * base * 1.07),
                      (hood - 0.1, belt + 0.13, s * base * 1.07), (hood - 0.1, belt, s * base * 1.07))  # fmt: skip
        marks[s].append((mirror, shaded(paint, 0.8)))
    faces = extruded(curve, width_at, shaded(paint, 0.92), marks)
    for x1, x2, sheen in ((hood, roof_front, 1.9), (boot, roof_back, 1.3)):
        out = 0.02 if x1 == hood else -0.02
        y1, y2 = belt + 0.02, line(x2) - 0.05
        a, b = x1 + (x2 - x1) * 0.03, x1 + (x2 - x1) * 0.92
        glass = quad((a + out, y1 + 0.01, base * 0.93), (b + out, y2, top * 0.96), (b + out, y2, -top * 0.96),
                     (a + out, y1 + 0.01, -base * 0.93))  # fmt: skip
        third = glass[0] * 0.45 + glass[1] * 0.55, glass[3] * 0.45 + glass[2] * 0.55
        sky = np.array([third[0], glass[1], glass[2], third[1]])
        streak = np.array([glass[0] * 0.7 + glass[3] * 0.3, glass[1] * 0.75 + glass[2] * 0.25,
                           glass[1] * 0.5 + glass[2] * 0.5, glass[0] * 0.5 + glass[3] * 0.5])  # fmt: skip
        painted = ((glass, GLASS), (sky, shaded(GLASS, sheen)), (streak, shaded(GLASS, sheen * 1.2)))
        faces.append(Face(glass, GLASS, painted, bare=True))
    return faces


def _truck(rng: np.random.Generator, paint: Colour) -> Built:
    length, width, height = (
        float(rng.uniform(6.0, 7.2)),
        float(rng.uniform(2.1, 2.35)),
        float(rng.uniform(2.8, 3.2)),
    )
    cargo: Colour = [(228, 229, 228), (208, 212, 216), (96, 120, 164), (176, 70, 60), (226, 222, 200)][
        int(rng.integers(5))
    ]
    f, half, radius = length / 2, width / 2, 0.43
    cab, cab_half = f - float(rng.uniform(1.75, 2.0)), half * 0.97
    cab_top = height * 0.8
    profile = bevelled(
        np.array([(f - 0.06, 0.32), (f, 0.5), (f - 0.03, 1.25), (f - 0.28, cab_top - 0.12), (f - 0.5, cab_top),
                  (cab, cab_top), (cab, 0.32)]), 0.1,
    )  # fmt: skip
    cab_marks: dict[float, list[Mark]] = {}
    box_marks: dict[float, list[Mark]] = {}
    chassis: dict[float, list[Mark]] = {}
    logo = tuple(float(v) for v in rng.uniform(20, 230, 3))
    lettered, stripe = rng.random() < 0.6, rng.random() < 0.5
    for s in (1.0, -1.0):
        side = s * (cab_half + 0.006)
        steps = [(cab_top - 0.04, 1.1), (1.2, 1.2), (1.1, 0.95), (0.8, 0.8), (0.5, 0.5), (0.33, 0.3)]
        cab_marks[s] = bands(profile, side, paint, steps)
        window = quad((f - 0.22, 1.28, side), (f - 0.42, cab_top - 0.2, side), (cab + 0.45, cab_top - 0.2, side),
                      (cab + 0.45, 1.28, side))  # fmt: skip
        cab_marks[s] += [
            (window, GLASS),
            (window * [1, 0.5, 1] + [0, 0.5 * (cab_top - 0.2), 0], shaded(GLASS, 1.7)),
        ]
        for x in (f - 0.18, cab + 0.38):
            seam = quad(
                (x, 0.6, side), (x + 0.03, 0.6, side), (x + 0.03, cab_top - 0.15, side), (x, cab_top - 0.15, side)
            )
            cab_marks[s].append((seam, shaded(paint, 0.45)))
        cab_marks[s] += wheels((f - 0.9,), side, radius)
        side = s * (half + 0.006)
        box_marks[s] = [
            (quad((cab - 0.12, a, side), (cab - 0.12, b, side), (-f, b, side), (-f, a, side)), shaded(cargo, tone))
            for a, b, tone in ((1.6, height - 0.06, 1.04), (0.78, 1.6, 0.94), (0.72, 0.82, 0.45))
        ]
        for x in np.arange(-f + 0.5, cab - 0.3, 0.6):  # ribs
            rib = quad(
                (x, 0.85, side), (x + 0.04, 0.85, side), (x + 0.04, height - 0.08, side), (x, height - 0.08, side)
            )
            box_marks[s].append((rib, shaded(cargo, 0.86)))
        if stripe:
            box_marks[s].append((quad((cab - 0.2, 1.0, side), (cab - 0.2, 1.25, side), (-f + 0.1, 1.25, side),
                                      (-f + 0.1, 1.0, side)), shaded(logo, 0.9)))  # type: ignore[arg-type]  # fmt: skip
        if lettered:
            x, width_left = -f + length * 0.18, length * 0.4
            while width_left > 0.2:
                wide = min(width_left, 0.32)
                box_marks[s].append((quad((x, 1.75, side), (x, 2.25, side), (x + wide * 0.75, 2.25, side),
                                          (x + wide * 0.75, 1.75, side)), logo))  # type: ignore[arg-type]  # fmt: skip
                x, width_left = x + wide, width_left - wide
        side = s * (half * 0.93 + 0.006)
        tank = quad(
            (cab - 0.3, 0.42, side), (cab - 0.3, 0.72, side), (cab - 1.3, 0.72, side), (cab - 1.3, 0.42, side)
        )
        chassis[s] = [(tank, (120, 122, 126)), *wheels((-f + 1.15,), side, radius)]
    carrier = box((-f + 0.1, cab), (0.45, 0.75), half * 0.93, (46, 48, 50), chassis)
    front = extruded(profile, lambda up: cab_half, paint, cab_marks)
    x = f + 0.012
    face = lamps(x, cab_half, 0.62, 0.82, 0.68, _FRONT_LAMP)
    face += row(x, cab_half, [(0.86, 1.16, 0.6, _BLACK), (0.34, 0.55, 0.96, (52, 54, 58))])
    face.append((_plate(x + 0.01, 0.42), (232, 232, 224)))
    front.append(
        Face(quad((x, 0.3, half), (x, 1.2, half), (x, 1.2, -half), (x, 0.3, -half)), paint, tuple(face), bare=True)
    )
    y1, y2, w = 1.28, cab_top - 0.16, cab_half * 0.93
    glass = quad((f - 0.01, y1, w), (f - 0.25, y2, w), (f - 0.25, y2, -w), (f - 0.01, y1, -w))
    sky = np.array([(glass[0] + glass[1]) / 2, glass[1], glass[2], (glass[2] + glass[3]) / 2])
    front.append(Face(glass, GLASS, ((glass, GLASS), (sky, shaded(GLASS, 1.8))), bare=True))
    doors = [(0.85, height - 0.1, 0.96, shaded(cargo, 1.03)), (0.85, height - 0.1, 0.02, (90.0, 90.0, 92.0))]
    rear: list[Mark] = row(-f - 0.012, half, [*doors, (0.68, 0.82, 0.98, (60.0, 60.0, 62.0))])
    rear += lamps(-f - 0.014, half, 0.62, 0.8, 0.72, _REAR_LAMP)
    load = box((-f, cab - 0.1), (0.72, height), half, cargo, box_marks, (), rear)
    return [carrier, front, load], length, width, height


def _bus(rng: np.random.Generator, paint: Colour) -> Built:
    length, width, height = float(rng.uniform(9.0, 11.0)), 2.5, 3.05
    colour: Colour = [(196, 48, 44), (232, 186, 56), (64, 120, 176), (228, 230, 232), (50, 136, 92)][
        int(rng.integers(5))
    ]
    f, half, radius = length / 2, width / 2, 0.46
    marks: dict[float, list[Mark]] = {}
    for s in (1.0, -1.0):
        side = s * (half + 0.006)
        items: list[Mark] = [
            (quad((f, a, side), (f, b, side), (-f, b, side), (-f, a, side)), shaded(colour, tone))
            for a, b, tone in ((0.9, 1.3, 1.1), (0.6, 0.9, 0.85), (0.32, 0.6, 0.55))
        ]
        items.append((quad((f, 1.28, side), (f, 2.6, side), (-f, 2.6, side), (-f, 1.28, side)), _BLACK))
        panes = 7
        for i in range(panes):
            a = f - 0.3 - (length - 0.6) * i / panes
            b = f - 0.3 - (length - 0.6) * (i + 1) / panes + 0.1
            low = 0.5 if s < 0 and i in (0, 3) else 1.35
            items.append((quad((a, low, side), (a, 2.5, side), (b, 2.5, side), (b, low, side)), GLASS))
            items.append(
                (quad((a, 1.95, side), (a, 2.5, side), (b, 2.5, side), (b, 1.95, side)), shaded(GLASS, 1.7))
            )
        marks[s] = items + wheels((f - 2.2, -f + 2.4), side, radius)
    front = row(f + 0.012, half, [(1.05, 2.55, 0.94, GLASS), (1.9, 2.55, 0.94, shaded(GLASS, 1.7)),
                                  (2.66, 2.92, 0.6, (238, 170, 50)), (0.32, 0.6, 0.95, (50, 52, 54))])  # fmt: skip
    front += lamps(f + 0.014, half, 0.66, 0.86, 0.7, _FRONT_LAMP)
    back = row(-f - 0.012, half, [(1.7, 2.5, 0.85, GLASS), (0.5, 1.4, 0.7, shaded(colour, 0.7))])
    back += lamps(-f - 0.014, half, 0.8, 1.2, 0.84, _REAR_LAMP)
    return [box((-f, f), (0.32, height), half, colour, marks, front, back)], length, width, height


BUILD = {"car": _car, "truck": _truck, "bus": _bus}

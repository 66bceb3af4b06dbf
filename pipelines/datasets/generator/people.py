"""People: jointed figures of varied build and clothes that walk, stand, carry bags and umbrellas."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.datasets.generator.projection import Projection
from pipelines.datasets.generator.sketch import Colour, Sketch, capsule, disc, shaded, shift

__all__ = ["PersonLook", "person_look", "sketch_person"]

_SKIN: tuple[Colour, ...] = (
    (238, 200, 172),
    (224, 176, 140),
    (198, 146, 110),
    (150, 104, 74),
    (104, 70, 50),
)
_HAIR: tuple[Colour, ...] = (
    (32, 26, 24),
    (58, 40, 28),
    (96, 66, 40),
    (150, 116, 70),
    (150, 148, 145),
    (24, 24, 28),
)
_TOPS: tuple[Colour, ...] = (
    (34, 36, 44),
    (178, 40, 44),
    (44, 78, 150),
    (214, 212, 206),
    (60, 100, 66),
    (224, 180, 60),
    (120, 60, 110),
    (100, 104, 110),
    (226, 120, 50),
    (70, 140, 170),
    (150, 120, 90),
    (235, 235, 238),
)
_TROUSERS: tuple[Colour, ...] = (
    (30, 34, 46),
    (52, 66, 100),
    (76, 92, 124),
    (40, 40, 40),
    (120, 104, 80),
    (90, 92, 96),
    (180, 170, 150),
)


@dataclass(frozen=True, slots=True)
class PersonLook:
    """One person's build and clothes; lengths in metres, colours RGB."""

    height: float
    width: float
    skin: Colour
    hair: Colour
    long_hair: bool
    top: Colour
    trousers: Colour
    shoes: Colour
    coat: bool
    skirt: bool
    short_sleeves: bool
    backpack: Colour | None
    bag: Colour | None
    umbrella: Colour | None
    hat: Colour | None


def person_look(rng: np.random.Generator, *, rain: bool = False) -> PersonLook:
    """Somebody; in the rain every third one has an umbrella."""

    def one_of(colours: tuple[Colour, ...], spread: float = 9.0) -> Colour:
        base = colours[int(rng.integers(len(colours)))]
        return tuple(float(np.clip(c + rng.normal(0, spread), 8, 250)) for c in base)  # type: ignore[return-value]

    child = rng.random() < 0.08
    height = float(np.clip(rng.normal(1.25, 0.12) if child else rng.normal(1.72, 0.09), 1.05, 1.98))
    return PersonLook(
        height=height,
        width=float(np.clip(rng.normal(1.0, 0.12), 0.78, 1.35)),
        skin=one_of(_SKIN, 3.0),
        hair=one_of(_HAIR),
        long_hair=bool(rng.random() < 0.4),
        top=one_of(_TOPS),
        trousers=one_of(_TROUSERS),
        shoes=one_of(((30, 28, 28), (230, 228, 224), (84, 56, 40))),
        coat=bool(rng.random() < 0.15),
        skirt=bool(rng.random() < 0.08),
        short_sleeves=bool(rng.random() < 0.3),
        backpack=one_of(_TOPS) if rng.random() < 0.2 else None,
        bag=one_of(_TOPS) if rng.random() < 0.22 else None,
        umbrella=one_of(_TOPS) if rain and rng.random() < 0.33 else None,
        hat=one_of(_TOPS) if rng.random() < 0.12 else None,
    )


# Joints as (along the walk, up, sideways); shares of the body height.
_HIP, _KNEE, _SHOULDER, _NECK, _HEAD = 0.52, 0.27, 0.815, 0.86, 0.925


def _joints(look: PersonLook, phase: float, stride: float) -> dict[str, tuple[float, float, float]]:
    """Joint positions in metres in the walker's own frame; `stride` 0 stands, 1 walks."""
    tall, wide = look.height, look.width
    joints: dict[str, tuple[float, float, float]] = {}
    drop = 0.012 * stride * tall * abs(math.sin(phase))
    for side, sign in (("l", 1.0), ("r", -1.0)):
        swing = phase if side == "l" else phase + math.pi
        thigh = math.radians(22) * stride * math.sin(swing)
        knee = math.radians(6 + 44 * stride * max(0.0, math.cos(swing)) ** 1.5)
        lateral = sign * 0.052 * tall * wide
        hip_up = _HIP * tall - drop
        upper, lower = (_HIP - _KNEE) * tall, (_KNEE - 0.04) * tall
        kx, ky = upper * math.sin(thigh), hip_up - upper * math.cos(thigh)
        ax, ay = kx + lower * math.sin(thigh - knee), ky - lower * math.cos(thigh - knee)
        ay = max(ay, 0.035 * tall)
        joints |= {f"hip_{side}": (0, hip_up, lateral), f"knee_{side}": (kx, ky, lateral)}
        joints |= {
            f"ankle_{side}": (ax, ay, lateral),
            f"toe_{side}": (ax + 0.085 * tall, max(0.018 * tall, ay - 0.03 * tall), lateral * 1.1),
        }
        arm = -math.radians(22) * stride * math.sin(swing) + 0.04
        shoulder = sign * 0.092 * tall * wide
        ex, ey = 0.17 * tall * math.sin(arm), _SHOULDER * tall - drop - 0.17 * tall * math.cos(arm)
        bend = arm + math.radians(12 + 22 * stride)
        wx, wy = ex + 0.15 * tall * math.sin(bend), ey - 0.15 * tall * math.cos(bend)
        joints |= {
            f"shoulder_{side}": (0, _SHOULDER * tall - drop, shoulder),
            f"elbow_{side}": (ex, ey, shoulder * 1.12),
            f"wrist_{side}": (wx, wy, shoulder * 1.1),
        }
    joints["neck"] = (0.0, _NECK * tall - drop, 0.0)
    joints["head"] = (0.015 * tall, _HEAD * tall - drop, 0.0)
    joints["pack"] = (-0.10 * tall, 0.70 * tall - drop, 0.0)
    joints["face"] = (0.06 * tall, (_HEAD - 0.012) * tall - drop, 0.0)
    joints["umbrella"] = (0.05 * tall, 1.16 * tall - drop, 0.0)
    return joints


def sketch_person(
    look: PersonLook,
    view: Projection,
    x: float,
    z: float,
    heading: float,
    phase: float,
    stride: float,
    sun: tuple[float, float, float],
) -> Sketch | None:
    """Draw one person as seen by a camera; None where a part would lie behind it.

    Parameters
    ----------
    look : PersonLook
    view : Projection
    x, z : float
        Where the person stands, metres on the ground.
    heading : float
        Direction of the walk, radians from the x axis towards the z axis.
    phase : float
        Of the gait, radians.
    stride : float
        0 stands, 1 walks.
    sun : (x, y, z)
        Unit vector towards the light.
    """
    joints = _joints(look, phase, stride)
    local = np.array(list(joints.values()), np.float64)
    ahead = np.array([math.cos(heading), 0.0, math.sin(heading)])
    aside = np.array([-math.sin(heading), 0.0, math.cos(heading)])
    world = (
        np.array([x, 0.0, z]) + local[:, :1] * ahead + local[:, 2:] * aside + local[:, 1:2] * np.array([0, 1, 0])
    )
    cast = world - world[:, 1:2] / max(sun[1], 0.25) * np.array(sun)
    pixels, depths = view.project(np.concatenate([world, cast]))
    if depths.min() < 0.8:
        return None
    count = len(world)
    at = dict(zip(joints, pixels[:count], strict=True))
    fallen = dict(zip(joints, pixels[count:], strict=True))
    depth_of = dict(zip(joints, depths[:count], strict=True))
    scale = view.focal / float(depths[:count].mean()) * look.height
    girth = look.width
    light_x = 1.0 if float(np.dot(view.right, np.array(sun))) >= 0 else -1.0
    sketch = Sketch(depth=float(depths[:count].mean()))

    def limb(a: str, b: str, ra: float, rb: float, colour: Colour, tone: float = 1.0) -> None:
        pa, pb, ra, rb = at[a], at[b], ra * scale, rb * scale
        # Three layers towards the light make a round limb; a dark rim would make a cartoon of it.
        sketch.solid(capsule(pa, pb, ra, rb), shaded(colour, 0.8 * tone))
        for share, step, light in ((0.8, 0.18, 0.91), (0.5, 0.38, 1.03)):
            off = shift(light_x * step, -0.06)
            lit = capsule(pa + off * ra, pb + off * rb, ra * share, rb * share)
            sketch.paint(lit, shaded(colour, light * tone))

    def leg(side: str, tone: float) -> None:
        bare = look.skirt
        limb(f"knee_{side}", f"ankle_{side}", 0.034 * girth, 0.024, look.skin if bare else look.trousers, tone)
        limb(f"hip_{side}", f"knee_{side}", 0.055 * girth, 0.037 * girth, look.trousers, tone)
        limb(f"ankle_{side}", f"toe_{side}", 0.027, 0.02, look.shoes, tone)

    def arm(side: str, tone: float) -> None:
        limb(f"shoulder_{side}", f"elbow_{side}", 0.036 * girth, 0.028 * girth, look.top, tone)
        sleeve = look.skin if look.short_sleeves else look.top
        limb(f"elbow_{side}", f"wrist_{side}", 0.027 * girth, 0.02, sleeve, tone)
        hand = at[f"wrist_{side}"]
        sketch.solid(disc(hand, 0.023 * scale, 0.025 * scale), shaded(look.skin, 0.9 * tone))

    def torso() -> None:
        rim = [
            disc(at[name], radius * scale * girth, radius * scale)
            for name, radius in (
                ("shoulder_l", 0.042),
                ("shoulder_r", 0.042),
                ("hip_l", 0.054),
                ("hip_r", 0.054),
            )
        ]
        if look.coat or look.skirt:
            hem = [0.45 * at[f"hip_{side}"] + 0.55 * at[f"knee_{side}"] for side in ("l", "r")]
            rim += [disc(point, 0.056 * scale, 0.03 * scale) for point in hem]
        hull = cv2.convexHull(np.concatenate(rim).astype(np.float32))[:, 0].astype(np.float64)
        sketch.solid(hull, shaded(look.top, 0.8))
        middle = hull.mean(axis=0)
        for across, step, light in ((0.84, 0.011, 0.9), (0.6, 0.026, 1.0)):
            lit = middle + (hull - middle) * [across, 0.95] + shift(light_x * step * scale, -0.004 * scale)
            sketch.paint(lit, shaded(look.top, light))
        waist = (at["hip_l"] + at["hip_r"]) / 2
        if not (look.coat or look.skirt):
            span = abs(at["hip_l"][0] - at["hip_r"][0]) / 2 + 0.055 * scale * girth
            sketch.paint(disc(waist + shift(0, 0.02 * scale), span, 0.045 * scale), shaded(look.trousers, 0.86))

    def head() -> None:
        limb("neck", "head", 0.03, 0.03, look.skin, 0.9)
        centre, r = at["head"], 0.062 * scale
        turned = float(np.dot(ahead, view.forward))  # 1 walks away, -1 comes near
        side = float(np.dot(ahead, view.right))
        sketch.solid(disc(centre, r * 0.86, r * 1.12), shaded(look.hair, 0.9))
        if look.long_hair:
            sketch.solid(
                capsule(centre, centre + shift(-side * 0.02 * scale, 0.075 * scale), r * 0.8, r * 0.7), look.hair
            )
        if turned < 0.55:
            face = centre + shift(side * r * 0.42, r * (0.22 if turned < 0 else 0.3))
            sketch.paint(disc(face, r * (0.66 - 0.16 * max(turned, 0)), r * 0.82), look.skin)
            cheek = face + shift(light_x * r * 0.16, 0)
            sketch.paint(disc(cheek, r * 0.4, r * 0.6), shaded(look.skin, 1.1))
            brow = capsule(face + shift(-r * 0.4, -r * 0.2), face + shift(r * 0.4, -r * 0.2), r * 0.07, r * 0.07)
            sketch.paint(brow, shaded(look.skin, 0.72))
        if look.hat is not None:
            sketch.solid(disc(centre - shift(0, r * 0.55), r * 0.98, r * 0.62), look.hat)

    def pack() -> None:
        if look.backpack is not None:
            sketch.solid(disc(at["pack"], 0.075 * scale, 0.12 * scale), shaded(look.backpack, 0.8))
            sketch.paint(disc(at["pack"] - shift(0, 0.02 * scale), 0.055 * scale, 0.08 * scale), look.backpack)

    near, far = ("l", "r") if depth_of["shoulder_l"] < depth_of["shoulder_r"] else ("r", "l")
    pack_first = depth_of["pack"] > depth_of["neck"]
    if pack_first:
        pack()
    arm(far, 0.82)
    leg(far, 0.84)
    leg(near, 1.0)
    torso()
    head()
    if not pack_first:
        pack()
    arm(near, 1.0)
    if look.bag is not None:
        hand = at[f"wrist_{near}"]
        sketch.solid(
            capsule(hand + shift(0, 0.05 * scale), hand + shift(0, 0.11 * scale), 0.05 * scale, 0.055 * scale),
            look.bag,
        )
    if look.umbrella is not None:
        top = at["umbrella"]
        sketch.paint(capsule(at["neck"], top, 0.008 * scale, 0.008 * scale), (60, 60, 60))
        dome = disc(top, 0.31 * scale, 0.13 * scale)
        dome[:, 1] = np.minimum(dome[:, 1], top[1] + 0.05 * scale)
        sketch.solid(dome, shaded(look.umbrella, 0.85))
        sketch.paint(
            disc(top + shift(light_x * 0.07 * scale, -0.03 * scale), 0.17 * scale, 0.07 * scale), look.umbrella
        )

    foot = (fallen["ankle_l"] + fallen["ankle_r"]) / 2
    sketch.contacts.append(disc(foot, 0.15 * scale, 0.06 * scale))
    for a, b, radius in (
        ("ankle_l", "hip_l", 0.045),
        ("ankle_r", "hip_r", 0.045),
        ("hip_l", "neck", 0.1),
        ("neck", "head", 0.055),
    ):
        sketch.shadows.append(capsule(fallen[a], fallen[b], radius * scale * 0.8, radius * scale * 0.8))
    return sketch

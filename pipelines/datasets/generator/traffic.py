"""Who is where when: people and vehicles on exact paths over the ground.

A path is a broken line in time, x and z, so that every position, and with it every crossing, is known exactly and
not read off the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.datasets.generator.conditions import Density
from pipelines.datasets.generator.people import PersonLook, person_look, sketch_person
from pipelines.datasets.generator.projection import Projection
from pipelines.datasets.generator.sites import Site
from pipelines.datasets.generator.sketch import Sketch
from pipelines.datasets.generator.vehicles import VehicleLook, catalogue, sketch_vehicle

__all__ = ["Actor", "Path", "traffic"]

Floats = npt.NDArray[np.float64]
_MODELS = 240  # different vehicles of each kind
_VEHICLE_SHARES = {"car": 0.5, "truck": 0.42, "bus": 0.08}


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """Corners of a broken line: seconds, x and z in metres. Outside of them nobody is there."""

    seconds: Floats
    x: Floats
    z: Floats

    def at(self, seconds: Floats) -> tuple[Floats, Floats]:
        """Positions at given times."""
        return np.interp(seconds, self.seconds, self.x), np.interp(seconds, self.seconds, self.z)

    def present(self, seconds: float) -> bool:
        return bool(self.seconds[0] <= seconds <= self.seconds[-1])


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """One person or vehicle with its path.

    Parameters
    ----------
    track : int
        Unique in its clip, from 1.
    kind : str
        The class name.
    """

    track: int
    kind: str
    look: PersonLook | VehicleLook
    path: Path
    stride: float = 1.0
    gait: float = 0.0  # phase of the first step

    def size(self) -> tuple[float, float, float]:
        """Length, height and width of the cuboid around it, metres."""
        if isinstance(self.look, VehicleLook):
            return self.look.length, self.look.height, self.look.width
        return 0.42 * self.look.height * self.stride + 0.2, self.look.height, 0.33 * self.look.height

    def sketch(self, view: Projection, seconds: float, sun: tuple[float, float, float]) -> Sketch | None:
        """How it looks at a time; None where it is not there, or beside or behind the camera."""
        if not self.path.present(seconds):
            return None
        now = np.array([seconds, seconds + 0.05, seconds - 0.05])
        x, z = self.path.at(now)
        dx, dz = x[1] - x[2], z[1] - z[2]
        heading = math.atan2(dz, dx) if abs(dx) + abs(dz) > 1e-9 else self.gait
        if isinstance(self.look, VehicleLook):
            return sketch_vehicle(self.look, view, float(x[0]), float(z[0]), heading, sun)
        # One full turn of the gait is two steps of 0.42 body heights each.
        walked = float(np.hypot(x[0] - self.path.x[0], z[0] - self.path.z[0]))
        phase = self.gait + 2 * math.pi * walked / (0.84 * self.look.height)
        return sketch_person(self.look, view, float(x[0]), float(z[0]), heading, phase, self.stride, sun)


def traffic(
    place: Site,
    density: Density,
    classes: tuple[str, ...],
    duration: float,
    rng: np.random.Generator,
    *,
    rain: bool = False,
) -> list[Actor]:
    """Everybody who could be seen between 0 and `duration` seconds, as candidates: see `acceptance`.

    Parameters
    ----------
    place : Site
    density : Density
    classes : tuple of str
        Of person, car, truck, bus; others do not occur.
    duration : float
        Seconds.
    rng : numpy Generator
    rain : bool
        Some people carry umbrellas.
    """
    actors: list[Actor] = []
    kinds = [name for name in classes if name in _VEHICLE_SHARES]
    if kinds and density.vehicles > 0:
        for lane in place.lanes:
            actors += _lane(place, lane.z, lane.direction, kinds, density, duration, rng)
    for _ in range(density.parked if kinds else 0):
        x = float(rng.uniform(*_visible(place)))
        path = _still(x, place.far_kerb + 0.95, 1.0 if rng.random() < 0.5 else -1.0)
        kind = "car" if "car" in kinds else kinds[0]
        actors.append(
            Actor(
                0,
                kind,
                catalogue(kind, int(rng.integers(_MODELS))),
                path,
                gait=0.0 if rng.random() < 0.5 else math.pi,
            )
        )
    if "person" in classes:
        actors += _people(place, density, duration, rng, rain)
    return [Actor(number, a.kind, a.look, a.path, a.stride, a.gait) for number, a in enumerate(actors, start=1)]


def _visible(place: Site) -> tuple[float, float]:
    """The stretch of x that most of the picture shows."""
    if place.kind == "avenue":
        low, high = place.reach
        return (low + 4, high - 8) if low > 0 else (low + 8, high - 4)
    return place.line_at - 8.5, place.line_at + 8.5


def _still(x: float, z: float, _: float) -> Path:
    return Path(np.array([-1e6, 1e6]), np.array([x, x]), np.array([z, z]))


def _lane(
    place: Site,
    z: float,
    direction: int,
    kinds: list[str],
    density: Density,
    duration: float,
    rng: np.random.Generator,
) -> list[Actor]:
    """Vehicles one after the other at the lane's speed: they never run into each other."""
    speed = float(rng.uniform(5.0, 8.5))
    low, high = place.reach[0] - 8, place.reach[1] + 8
    transit = (high - low) / speed
    weights = np.array([_VEHICLE_SHARES[k] for k in kinds])
    actors = []
    start = -transit - float(rng.exponential(10 / density.vehicles))
    while start < duration:
        kind = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
        look = catalogue(kind, int(rng.integers(_MODELS)))
        begin, end = (low, high) if direction > 0 else (high, low)
        lane_z = z + float(rng.normal(0, 0.08))
        path = Path(np.array([start, start + transit]), np.array([begin, end]), np.array([lane_z, lane_z]))
        actors.append(Actor(0, kind, look, path))
        gap = (look.length + 7.0) / speed  # the next one keeps its distance, whatever its length
        start += gap + float(rng.exponential(max(0.2, 10 / density.vehicles - gap)))
    return actors


def _people(place: Site, density: Density, duration: float, rng: np.random.Generator, rain: bool) -> list[Actor]:
    low, high = place.reach
    # A parked row takes the kerb's side of the far pavement.
    far_from = place.far_kerb + (2.05 if density.parked else 0.5)
    strips = [(far_from, place.facade - 0.45, 0.62), (place.near + 0.4, place.kerb - 0.45, 0.38)]
    actors = []
    for near, far, share in strips:
        mean_speed = 1.35
        expected = density.people * share / 20.0 * (high - low + mean_speed * duration)
        for _ in range(int(rng.poisson(expected))):
            speed = float(np.clip(rng.normal(mean_speed, 0.22), 0.7, 2.2))
            direction = 1 if rng.random() < 0.5 else -1
            transit = (high - low) / speed
            start = float(rng.uniform(-transit, duration))
            begin, end = (low, high) if direction > 0 else (high, low)
            z = float(rng.uniform(near, max(near + 0.05, far)))
            drift = float(np.clip(z + rng.normal(0, 0.25), near, max(near + 0.05, far)))
            path = Path(np.array([start, start + transit]), np.array([begin, end]), np.array([z, drift]))
            look = person_look(rng, rain=rain)
            actors.append(Actor(0, "person", look, path, float(np.clip(speed / 1.35, 0.6, 1.25)),
                                float(rng.uniform(0, 2 * math.pi))))  # fmt: skip
    for _ in range(density.standing):
        x = float(rng.uniform(*_visible(place)))
        near, far, _share = strips[0]
        z = float(rng.uniform(near, max(near + 0.05, far)))
        turned = float(rng.uniform(0, 2 * math.pi))
        actors.append(Actor(0, "person", person_look(rng, rain=rain), _still(x, z, 1.0), 0.0, turned))
    return actors

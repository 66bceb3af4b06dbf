"""Single pictures of many cameras at many hours, each with its boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from pipelines.datasets.generator.acceptance import accepted, is_labelled
from pipelines.datasets.generator.conditions import Conditions, Density, Light, Weather
from pipelines.datasets.generator.rendering import Renderer, Shown
from pipelines.datasets.generator.sites import site
from pipelines.datasets.generator.traffic import traffic

__all__ = ["GeneratedPicture", "Mixture", "generate_picture", "generate_pictures"]

_START = datetime(2026, 3, 2, tzinfo=UTC)
_HOURS: dict[Light, tuple[float, float]] = {"day": (7.5, 17.0), "dusk": (17.5, 19.0), "night": (19.5, 23.5)}


class Mixture(BaseModel):
    """How often each light and weather occurs (weights), and how much blur and noise there is at most."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    day: float = Field(default=0.88, ge=0)
    dusk: float = Field(default=0.08, ge=0)
    night: float = Field(default=0.04, ge=0)
    clear: float = Field(default=0.88, ge=0)
    rain: float = Field(default=0.07, ge=0)
    fog: float = Field(default=0.05, ge=0)
    blur: float = Field(default=0.6, ge=0, le=8)
    noise: float = Field(default=6.0, ge=0, le=60)

    def draw(self, rng: np.random.Generator) -> Conditions:
        """The conditions of one picture."""
        lights: list[Light] = ["day", "dusk", "night"]
        weathers: list[Weather] = ["clear", "rain", "fog"]
        light = lights[_pick(rng, [self.day, self.dusk, self.night])]
        weather = weathers[_pick(rng, [self.clear, self.rain, self.fog])]
        return Conditions(
            light=light,
            weather=weather,
            blur=round(float(rng.uniform(0, self.blur)), 2) if rng.random() < 0.3 else 0.0,
            noise=round(float(rng.uniform(1.0, max(1.0, self.noise))), 2),
        )


def _pick(rng: np.random.Generator, weights: Sequence[float]) -> int:
    shares = np.array(weights, np.float64)
    return int(rng.choice(len(shares), p=shares / shares.sum()))


@dataclass(frozen=True, slots=True, eq=False)
class GeneratedPicture:
    """A picture and everything that is known of it.

    Parameters
    ----------
    image : uint8 array (H, W, 3), RGB
    boxes : float32 array (N, 4)
        x1, y1, x2, y2 in pixels.
    labels : tuple of str
    camera : str
    time : datetime, UTC
    tags : dict
    """

    image: npt.NDArray[np.uint8]
    boxes: npt.NDArray[np.float32]
    labels: tuple[str, ...]
    camera: str
    time: datetime
    tags: dict[str, str | float | bool]


def generate_picture(
    camera: int,
    width: int,
    height: int,
    *,
    seed: int,
    conditions: Conditions,
    density: Density,
    classes: tuple[str, ...] = ("person", "car", "truck"),
    time: datetime = _START,
    town: int = 0,
) -> GeneratedPicture:
    """One picture of one camera; the same arguments give the same bytes.

    Examples
    --------
    >>> shot = generate_picture(0, 160, 120, seed=3, conditions=Conditions(), density=Density())
    >>> shot.image.shape, len(shot.boxes) == len(shot.labels)
    ((120, 160, 3), True)
    """
    place = site(camera, town)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 3]))
    renderer = Renderer(place, width, height, conditions, seed, density.posts)
    rain = conditions.weather == "rain"
    people = traffic(place, density, classes, 0.0, rng, rain=rain)
    actors = accepted(people, renderer.view, (), 1, 1.0, density.overlap)
    shown = []
    for actor in actors:
        sketch = actor.sketch(renderer.canvas_view, 0.0, renderer.sun)
        if sketch is not None:
            x, z = actor.path.at(np.zeros(1))
            shown.append(Shown(actor.track, sketch, float(x[0]), float(z[0])))
    image, seen = renderer.render(shown, rng)
    kinds = {actor.track: actor.kind for actor in actors}
    kept = [s for s in seen if is_labelled(s, width * height)]
    return GeneratedPicture(
        image,
        np.array([s.box for s in kept], np.float32).reshape(-1, 4),
        tuple(kinds[s.track] for s in kept),
        place.name,
        time,
        conditions.tags(),
    )


def generate_pictures(
    count: int,
    *,
    cameras: Sequence[int],
    width: int = 320,
    height: int = 240,
    seed: int = 0,
    town: int = 0,
    days: int = 14,
    density: Density | None = None,
    mixture: Mixture | None = None,
    classes: tuple[str, ...] = ("person", "car", "truck"),
) -> Iterator[GeneratedPicture]:
    """Pictures of all cameras in turn, spread over days and hours.

    Picture number i depends on the seed and i alone, not on how many there are of them.
    The hour fits the light: day from 7:30, dusk from 17:30, night from 19:30.
    """
    density, mixture = density or Density(), mixture or Mixture()
    per_camera = -(-count // len(cameras))
    for index in range(count):
        rng = np.random.default_rng(np.random.SeedSequence([seed, 13, index]))
        conditions = mixture.draw(rng)
        low, high = _HOURS[conditions.light]
        turn = index // len(cameras)
        day = turn * days // per_camera
        time = _START + timedelta(days=day, seconds=int(3600 * rng.uniform(low, high)))
        yield generate_picture(
            cameras[index % len(cameras)],
            width,
            height,
            seed=int(rng.integers(2**31)),
            conditions=conditions,
            density=density,
            classes=classes,
            time=time,
            town=town,
        )

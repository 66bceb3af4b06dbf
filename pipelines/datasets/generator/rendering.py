"""From sketches to a picture: shadows, painter's order, light, weather, lens and sensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.datasets.generator.backdrop import Backdrop, backdrop
from pipelines.datasets.generator.conditions import Conditions, Weather
from pipelines.datasets.generator.projection import Projection
from pipelines.datasets.generator.sites import Site
from pipelines.datasets.generator.sketch import Sketch, capsule

__all__ = ["Renderer", "Seen", "Shown"]

Image = npt.NDArray[np.uint8]
_OVER = 2  # the drawing canvas is this many times finer than the picture
_HAZE: dict[Weather, float] = {"clear": 0.0012, "rain": 0.009, "fog": 0.042}  # per metre
_ROAM = 128  # pixels by which the window into the grain moves about
_SHIFT = 3  # sub-pixel bits of OpenCV's polygons


@dataclass(frozen=True, slots=True)
class Shown:
    """Something to draw: its sketch, its track (0 is an unlabelled thing) and its place on the ground."""

    track: int
    sketch: Sketch
    x: float
    z: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What of a track is in the picture.

    Parameters
    ----------
    track : int
    box : (x1, y1, x2, y2)
        Pixels; the full extent, hidden parts included, clipped to the picture.
    visible : float
        Share of its outline within the picture that nothing nearer hides.
    inside : float
        Share of its full box that lies within the picture.
    """

    track: int
    box: tuple[float, float, float, float]
    visible: float
    inside: float


@lru_cache(maxsize=12)
def _backdrop(place: Site, width: int, height: int, yaw: float, pitch: float) -> Backdrop:
    return backdrop(place, Projection(place.viewpoint.moved(yaw, pitch), width, height))


@lru_cache(maxsize=24)
def _seen_through(place: Site, width: int, height: int, yaw: float, pitch: float, weather: Weather) -> Image:
    """The backdrop through the weather."""
    still = _backdrop(place, width, height, yaw, pitch)
    through = np.exp(-_HAZE[weather] * still.depth)[..., None]
    canvas = still.image * through + _haze_colour(weather) * (1 - through)
    if weather == "rain":  # wet ground is darker and everything greyer
        canvas = (canvas * 0.72 + canvas.mean(axis=-1, keepdims=True) * 0.28) * 0.86
    return np.clip(canvas, 0, 255).astype(np.uint8)


@lru_cache(maxsize=4)
def _grain(width: int, height: int) -> npt.NDArray[np.float32]:
    """Sensor noise of deviation about 1: fine grey grain and coarser tints."""
    rng = np.random.default_rng(29)
    size = (height + _ROAM, width + _ROAM)
    grain = rng.standard_normal(size, np.float32)[..., None]
    tint = rng.standard_normal((size[0] // 2, size[1] // 2, 3), np.float32)
    return 0.8 * grain + 0.5 * cv2.resize(tint, size[::-1], interpolation=cv2.INTER_LINEAR)


def _haze_colour(weather: Weather) -> npt.NDArray[np.float32]:
    return np.array([196, 200, 204] if weather != "clear" else [190, 204, 220], np.float32)


class Renderer:
    """One camera under one set of conditions.

    Parameters
    ----------
    place : Site
    width, height : int
        Of the pictures, pixels.
    conditions : Conditions
    seed : int
        Of what belongs to the hour: sun, exposure, posts.
    posts : int
        Lamp posts and signs between the camera and the road.
    """

    def __init__(
        self, place: Site, width: int, height: int, conditions: Conditions, seed: int, posts: int = 0
    ) -> None:
        self.place, self.conditions = place, conditions
        self.width, self.height = width, height
        view = place.viewpoint.moved(conditions.moved_yaw, conditions.moved_pitch)
        self.canvas_view = Projection(view, width * _OVER, height * _OVER)
        self.view = Projection(view, width, height)
        rng = np.random.default_rng(np.random.SeedSequence([seed, 11]))
        azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(28, 62))
        flat = np.array([np.cos(azimuth), 0, np.sin(azimuth) * 0.6 - 0.3])
        sun = flat / np.linalg.norm(flat) * np.cos(elevation) + np.array([0, np.sin(elevation), 0])
        self.sun = (float(sun[0]), float(sun[1]), float(sun[2]))
        self._overcast = conditions.weather != "clear" or conditions.light != "day" or rng.random() < 0.3
        self._exposure = float(rng.uniform(0.88, 1.1))
        self._tint = 1 + rng.normal(0, 0.025, 3)
        self._posts = self._make_posts(rng, posts)
        self._haze, self._haze_colour = _HAZE[conditions.weather], _haze_colour(conditions.weather)
        size = (width * _OVER, height * _OVER)
        shift = (conditions.moved_yaw, conditions.moved_pitch)
        self._canvas = _seen_through(place, *size, *shift, conditions.weather)
        self._grain = _grain(width, height)
        self._gain, self._lit = self._light(_backdrop(place, *size, *shift))

    def _make_posts(self, rng: np.random.Generator, count: int) -> list[Shown]:
        posts = []
        for _ in range(count):
            if self.place.kind == "avenue":
                x = float(rng.uniform(self.place.reach[0] + 6, self.place.reach[1] - 6))
            else:
                x = self.place.line_at + float(rng.choice([-1, 1])) * float(rng.uniform(3, 7))
            z = self.place.kerb - 0.3
            feet, depth = self.canvas_view.project(np.array([[x, 0.0, z], [x, 4.5, z]]))
            if depth.min() < 2:
                continue
            scale = self.canvas_view.focal / float(depth[0])
            tone = float(rng.uniform(50, 120))
            sketch = Sketch(float(depth[0]))
            sketch.solid(capsule(feet[0], feet[1], 0.06 * scale, 0.045 * scale), (tone, tone, tone))
            sketch.paint(
                capsule(feet[0], feet[1], 0.02 * scale, 0.015 * scale), (tone * 1.4, tone * 1.4, tone * 1.4)
            )
            posts.append(Shown(0, sketch, x, z))
        return posts

    def _light(self, still: Backdrop) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """What every pixel is multiplied with, and what is added to it."""
        size = (self.width, self.height)
        lamps = cv2.resize(still.lamps, size, interpolation=cv2.INTER_AREA)[..., None]
        glow = cv2.resize(still.glow, size, interpolation=cv2.INTER_AREA)[..., None]
        warm = np.array([1.0, 0.82, 0.55], np.float32)
        light = self.conditions.light
        if light == "day":
            base = self._exposure * (0.88 if self._overcast else 1.0) * self._tint
            return base.astype(np.float32)[None, None], np.zeros((1, 1, 1), np.float32)
        if light == "dusk":
            base = self._exposure * np.array([0.52, 0.47, 0.5]) * self._tint
            return (base + 0.3 * lamps * warm).astype(np.float32), glow * warm * 70
        base = self._exposure * np.array([0.17, 0.18, 0.24]) * self._tint
        return (base + 0.45 * lamps * warm).astype(np.float32), glow * warm * 150

    def render(self, things: Sequence[Shown], rng: np.random.Generator) -> tuple[Image, list[Seen]]:
        """Draw one picture.

        Parameters
        ----------
        things : sequence of Shown
            Sketched for `canvas_view`.
        rng : numpy Generator
            For what differs from frame to frame: rain, sensor noise.

        Returns
        -------
        picture : uint8 array (H, W, 3), RGB
        seen : list of Seen, in the order of tracks
        """
        canvas = self._canvas.copy()
        marks = np.zeros((self.height, self.width), np.int32)
        # The strips of a site do not cross: what stands nearer to the camera's own line hides what is behind.
        order = sorted([*things, *self._posts], key=lambda t: (-round(abs(t.z), 3), -abs(t.x)))
        self._cast(canvas, order)
        areas: dict[int, int] = {}
        for number, thing in enumerate(order, start=1):
            self._draw(canvas, thing.sketch)
            areas[number] = self._mark(marks, thing.sketch, number)
        left = np.bincount(marks.ravel(), minlength=len(order) + 1)
        seen = [
            self._seen(thing, areas[n], int(left[n]))
            for n, thing in enumerate(order, start=1)
            if thing.track > 0 and areas[n] > 0
        ]
        picture = cv2.resize(canvas, (self.width, self.height), interpolation=cv2.INTER_AREA).astype(np.float32)
        picture = picture * self._gain + self._lit
        if self.conditions.light != "day":
            self._lamps(picture, order, marks)
        if self.conditions.weather == "rain":
            self._rain(picture, rng)
        picture = self._sensor(picture, rng)
        return picture, sorted(seen, key=lambda s: s.track)

    def _draw(self, canvas: Image, sketch: Sketch) -> None:
        through = float(np.exp(-self._haze * sketch.depth))
        veil = self._haze_colour * (1 - through)
        wet = 0.9 if self.conditions.weather == "rain" else 1.0
        for polygon, colour in sketch.fills:
            points = (polygon * (1 << _SHIFT)).round().astype(np.int32)
            tone = [float(c * through * wet + v) for c, v in zip(colour, veil, strict=True)]
            cv2.fillPoly(canvas, [points], tone, cv2.LINE_AA, _SHIFT)

    def _mark(self, marks: npt.NDArray[np.int32], sketch: Sketch, number: int) -> int:
        """Cover what is behind; how many pixels of the picture the thing has by itself."""
        x1, y1, x2, y2 = (v / _OVER for v in sketch.box())
        x1, y1 = max(0, int(x1) - 1), max(0, int(y1) - 1)
        x2, y2 = min(self.width, int(x2) + 2), min(self.height, int(y2) + 2)
        if x2 <= x1 or y2 <= y1:
            return 0
        scale = (1 << _SHIFT) / _OVER
        for polygon in sketch.outline:
            cv2.fillPoly(marks, [(polygon * scale).round().astype(np.int32)], number, cv2.LINE_8, _SHIFT)
        return int((marks[y1:y2, x1:x2] == number).sum())

    def _seen(self, thing: Shown, area: int, left: int) -> Seen:
        x1, y1, x2, y2 = (v / _OVER for v in thing.sketch.box())
        cx1, cy1 = max(0.0, x1), max(0.0, y1)
        cx2, cy2 = min(float(self.width), x2), min(float(self.height), y2)
        whole = max(1e-6, (x2 - x1) * (y2 - y1))
        inside = max(0.0, cx2 - cx1) * max(0.0, cy2 - cy1) / whole
        return Seen(thing.track, (cx1, cy1, cx2, cy2), left / area, inside)

    def _cast(self, canvas: Image, order: Sequence[Shown]) -> None:
        """Darken the ground below everything, and where the sun does not reach it."""
        layers = [([p for t in order for p in t.sketch.contacts], self.height / 90, 0.62)]
        if self._overcast:
            layers.append(([p for t in order for p in t.sketch.shadows], self.height / 30, 0.1))
        else:
            layers.append(([p for t in order for p in t.sketch.shadows], self.height / 220, 0.5))
        scale = (1 << _SHIFT) / _OVER
        keep = np.full((self.height, self.width), 255, np.uint8)
        for polygons, sigma, strength in layers:
            shade = np.zeros((self.height, self.width), np.uint8)
            for polygon in polygons:
                cv2.fillPoly(shade, [(polygon * scale).round().astype(np.int32)], 255, cv2.LINE_AA, _SHIFT)
            if not shade.any():
                continue
            soft = cv2.GaussianBlur(shade, (0, 0), sigma)
            keep = cv2.multiply(keep, cv2.convertScaleAbs(soft, alpha=-strength, beta=255), scale=1 / 255)
        fine = cv2.resize(keep, (canvas.shape[1], canvas.shape[0]), interpolation=cv2.INTER_LINEAR)
        cv2.multiply(canvas, cv2.merge([fine, fine, fine]), canvas, 1 / 255)

    def _lamps(
        self, picture: npt.NDArray[np.float32], order: Sequence[Shown], marks: npt.NDArray[np.int32]
    ) -> None:
        """Let the lamps glow that nothing nearer hides."""
        force = 0.9 if self.conditions.light == "night" else 0.45
        for number, thing in enumerate(order, start=1):
            for x, y, radius, colour in thing.sketch.lamps:
                x, y, r = x / _OVER, y / _OVER, max(2.0, radius / _OVER * 1.6)
                if 0 <= x < self.width and 0 <= y < self.height and marks[int(y), int(x)] > number:
                    continue
                x1, y1 = max(0, int(x - 2 * r)), max(0, int(y - 2 * r))
                x2, y2 = min(self.width, int(x + 2 * r) + 1), min(self.height, int(y + 2 * r) + 1)
                if x2 <= x1 or y2 <= y1:
                    continue
                gx, gy = np.arange(x1, x2) - x, np.arange(y1, y2) - y
                squared = (gx[None] ** 2 + gy[:, None] ** 2) / (r * r)
                beam = force * (np.exp(-squared * 14) + 0.28 * np.exp(-squared * 1.6))
                picture[y1:y2, x1:x2] += beam[..., None].astype(np.float32) * np.array(colour, np.float32)

    def _rain(self, picture: npt.NDArray[np.float32], rng: np.random.Generator) -> None:
        layer = np.zeros((self.height, self.width), np.uint8)
        count = self.width * self.height // 700
        x, y = rng.uniform(-10, self.width, count), rng.uniform(-20, self.height, count)
        long = rng.uniform(0.02, 0.06, count) * self.height
        lean = 0.18
        for a, b, c, tone in zip(x, y, long, rng.uniform(60, 150, count), strict=True):
            start = (int(a * 8), int(b * 8))
            end = (int((a + c * lean) * 8), int((b + c) * 8))
            cv2.line(layer, start, end, float(tone), 1, cv2.LINE_AA, 3)
        light = {"day": 0.45, "dusk": 0.3, "night": 0.2}[self.conditions.light]
        picture += cv2.GaussianBlur(layer, (3, 3), 0)[..., None].astype(np.float32) * light

    def _sensor(self, picture: npt.NDArray[np.float32], rng: np.random.Generator) -> Image:
        if self.conditions.light == "night":
            picture = picture * 1.35
        sigma = 0.35 + self.conditions.blur
        picture = cv2.GaussianBlur(picture, (0, 0), sigma)
        noise = self.conditions.noise + {"day": 0.0, "dusk": 1.5, "night": 4.0}[self.conditions.light]
        if noise > 0:
            # A window into one larger field, elsewhere in each frame: drawing grain anew takes longest of all.
            y, x = int(rng.integers(_ROAM)), int(rng.integers(_ROAM))
            picture = picture + noise * self._grain[y : y + self.height, x : x + self.width]
        return np.clip(picture, 0, 255).astype(np.uint8)

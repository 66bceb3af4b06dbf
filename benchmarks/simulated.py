"""Hard detections without a detector: planned clips, and what a detector would make of them in three weathers.

Counting is judged on its own here, so every counter gets the very same detections, made in seconds for hours of
traffic. `simulated_detections` takes a plan of the scene generator (nothing is drawn) and spoils the true boxes as
detectors do:

- the score falls with what nearer objects cover, with what the picture's border cuts off, and with smallness; it
  wanders, so that misses come in runs; what is coming into the picture is therefore seen late;
- boxes tremble relative to their size, and shrink to what is visible behind something nearer: the feet are lost;
- a vehicle is sometimes another vehicle, or two at once; a part of an object is an object of its own for a while;
- clutter looks like an object for a moment, and at some places again and again;
- suppression within a class loses one of two boxes that nearly coincide.

The truth is the plan's: crossings worked out on the ground, which know nothing of boxes.

    from benchmarks.simulated import CELLS, SIZE, simulated_detections, scene_of, true_counts, count_error
    for cell in CELLS["unseen"]:
        plan = cell.plan()
        frames = simulated_detections(plan, cell.level, seed=cell.seed)  # [(seconds, Detections), ...]
        counted = count_detections(frames, plan.classes, scene_of(plan), SIZE)
        error, true = count_error(counted.counts.to_dict(), true_counts(plan))

The towns of `CELLS["tuned"]` may be looked at while an engine is being changed; those of `CELLS["unseen"]` are for
final figures only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from camera_counting.detections import Detections
from camera_counting.geometry import box_areas, common_areas
from camera_counting.scene import Scene
from pipelines.datasets.generator.clips import ClipPlan, plan_clip, scene_dict
from pipelines.datasets.generator.conditions import PRESETS
from pipelines.datasets.generator.projection import Projection
from pipelines.datasets.generator.traffic import Actor
from pipelines.datasets.generator.truth import cuboid_boxes

__all__ = [
    "CELLS",
    "LEVELS",
    "SIZE",
    "Cell",
    "Level",
    "count_error",
    "scene_of",
    "simulated_detections",
    "true_counts",
]

_Floats = npt.NDArray[np.float64]

SIZE = (640, 360)
# A detector's own cut, well below what any counter takes; and the overlap above which it keeps one box of a class.
_LEAST_SCORE, _SUPPRESSION = 0.05, 0.7
# Points per side of the grid on which it is worked out how much of a box can be seen.
_GRID = 6


@dataclass(frozen=True, slots=True)
class Level:
    """How hard it is to see.

    Parameters
    ----------
    certainty : float
        Log-odds of the score of a large object in full view.
    wander : float
        Standard deviation of that, over time.
    small : float
        Height in pixels below which an object becomes uncertain.
    jitter : float
        Standard deviation of each side of a box, as a part of its size.
    clutter : float
        Objects per second that are none.
    doubles : float
        Share of the time for which an object is seen twice, whole or in part.
    flicker : float
        Share of the time for which a vehicle is taken for another one.
    """

    certainty: float
    wander: float
    small: float
    jitter: float
    clutter: float
    doubles: float
    flicker: float


LEVELS: dict[str, Level] = {
    "clear": Level(certainty=2.4, wander=0.8, small=24, jitter=0.02, clutter=0.1, doubles=0.02, flicker=0.05),
    "rain": Level(certainty=1.4, wander=1.2, small=32, jitter=0.035, clutter=0.4, doubles=0.05, flicker=0.1),
    "night": Level(certainty=0.5, wander=1.5, small=40, jitter=0.05, clutter=0.8, doubles=0.08, flicker=0.15),
}
"""Clear day; rain or dusk; fog or night."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One clip of the comparison, with all that decides it."""

    town: int
    camera: int
    density: str
    fps: float
    seconds: float
    level: str
    seed: int

    def plan(self) -> ClipPlan:
        """The clip's plan; planned once for all levels."""
        return _plan(self.town, self.camera, self.density, self.fps, self.seconds, self.seed)


@cache
def _plan(town: int, camera: int, density: str, fps: float, seconds: float, seed: int) -> ClipPlan:
    return plan_clip(
        camera,
        seconds=seconds,
        fps=fps,
        width=SIZE[0],
        height=SIZE[1],
        seed=seed,
        town=town,
        density=PRESETS[density],
    )


def _cells(towns: tuple[int, ...]) -> tuple[Cell, ...]:
    """Every density at every frame rate, street after avenue; a minute each, in all levels."""
    found = []
    for town in towns:
        for i, density in enumerate(PRESETS):
            for j, fps in enumerate((5.0, 10.0, 15.0, 25.0, 30.0)):
                for level in LEVELS:
                    found.append(Cell(town, i + j + town, density, fps, 60.0, level, 1000 * town + 10 * i + j))
    return tuple(found)


CELLS: dict[str, tuple[Cell, ...]] = {"tuned": _cells((1, 2, 3)), "unseen": _cells((11, 12, 13, 14))}


def scene_of(plan: ClipPlan) -> Scene:
    """The lines and zones of a plan."""
    return Scene.from_dict(scene_dict(plan))


def true_counts(plan: ClipPlan) -> dict[str, dict[str, int]]:
    """Crossings of every line, in and out."""
    return {
        line.name: {
            way: sum(c.line == line.name and c.direction == way for c in plan.crossings) for way in ("in", "out")
        }
        for line in plan.lines
    }


def count_error(counted: Mapping[str, Any], true: Mapping[str, Mapping[str, int]]) -> tuple[int, int]:
    """Sum of ``|counted - true|`` over lines and directions, and the sum of what is true.

    Parameters
    ----------
    counted
        Either ``{line: {"in": n, "out": n}}`` or that under the key ``lines``, as `SceneCount.to_dict` has it.

    Examples
    --------
    >>> count_error({"gate": {"in": 3, "out": 1}}, {"gate": {"in": 2, "out": 2}})
    (2, 4)
    """
    lines = counted.get("lines", counted)
    pairs = [(lines[name][way], number) for name, ways in true.items() for way, number in ways.items()]
    return sum(abs(seen - number) for seen, number in pairs), sum(number for _, number in pairs)


def simulated_detections(
    plan: ClipPlan, level: str | Level = "clear", *, seed: int = 0
) -> list[tuple[float, Detections]]:
    """What a detector would see of a plan, frame by frame.

    Parameters
    ----------
    plan : ClipPlan
    level : str or Level
        Of `LEVELS`: clear, rain, night.
    seed : int
        The same seed gives the same detections.

    Returns
    -------
    list of (seconds, Detections)
        One per frame of the plan, frames without a detection too. Boxes in pixels of the plan's picture; scores
        from 0.05 up; classes are the plan's.

    Examples
    --------
    >>> plan = plan_clip(0, seconds=2, seed=3)
    >>> frames = simulated_detections(plan)
    >>> len(frames), frames[0][1].names
    (20, ('person', 'car', 'truck'))
    """
    level = LEVELS[level] if isinstance(level, str) else level
    rng = np.random.default_rng(np.random.SeedSequence([seed, 23]))
    view, names = plan.renderer.view, plan.classes
    seconds = np.arange(plan.frames) / plan.fps
    dt = 1 / plan.fps
    boxes = np.stack([cuboid_boxes(actor, view, seconds) for actor in plan.actors])
    full = np.stack([_full_areas(actor, view, seconds) for actor in plan.actors])
    visible, shown = _visible(boxes)
    present = np.isfinite(boxes[..., 0])
    with np.errstate(invalid="ignore", divide="ignore"):
        within = np.clip(_areas(boxes) / full, 0, 1)
        height = boxes[..., 3] - boxes[..., 1]
        size = np.sqrt(_areas(boxes))
        certainty = (
            level.certainty
            + 2.0 * np.minimum(np.log2(height / level.small), 0)
            - 4.5 * (1 - visible)
            - 3.0 * np.clip(1 - within - 0.2, 0, 1)
        )
    number = len(plan.actors)
    certainty += level.wander * _wander(rng, (number, plan.frames), dt, 0.4, 0.6)
    # what hides the feet draws the box's lower side up, more or less well guessed at
    guess = np.clip(0.5 + 0.5 * _wander(rng, (number, plan.frames), dt, 0.5, 0.9), 0, 1)[..., None]
    seen = boxes + guess * (shown - boxes)
    seen = seen + level.jitter * size[..., None] * _wander(rng, (number, plan.frames, 4), dt, 0.3, 0.5)
    doubles = _share(rng, (number, plan.frames), dt, 0.5, level.doubles)
    swapped = _share(rng, (number, plan.frames), dt, 0.4, level.flicker)
    part = rng.random(number) < 0.5
    faint = rng.normal(1.0, 0.5, (number, plan.frames))
    kinds = np.array([names.index(actor.kind) for actor in plan.actors])
    vehicles = [i for i, name in enumerate(names) if name != "person"]
    clutter = _clutter(rng, level, plan)

    frames = []
    for f in range(plan.frames):
        rows: list[tuple[_Floats, float, int]] = list(clutter[f])
        for a in np.flatnonzero(present[:, f]):
            kind = int(kinds[a])
            other = _other(kind, vehicles)
            rows.append((seen[a, f], certainty[a, f], other if swapped[a, f] else kind))
            if doubles[a, f]:
                box = seen[a, f].copy()
                if part[a] or other == kind:  # a part: the upper body, the cab
                    box[3] = box[1] + 0.55 * (box[3] - box[1])
                    other = kind
                rows.append((box, certainty[a, f] - 1.0 - abs(faint[a, f]), other))
        frames.append((float(seconds[f]), _detections(rows, names, view)))
    return frames


def _detections(rows: list[tuple[_Floats, float, int]], names: tuple[str, ...], view: Projection) -> Detections:
    """Clipped, cut at the least score, and suppressed class by class."""
    if not rows:
        return Detections.none(names)
    boxes = np.stack([box for box, _, _ in rows])
    boxes[:, [0, 2]] = boxes[:, [0, 2]].clip(0, view.width)
    boxes[:, [1, 3]] = boxes[:, [1, 3]].clip(0, view.height)
    scores = 1 / (1 + np.exp(-np.array([logit for _, logit, _ in rows])))
    keep = (scores >= _LEAST_SCORE) & ((boxes[:, 2:] - boxes[:, :2]) >= 3).all(1)
    found = Detections.of(
        boxes[keep], scores[keep], [row[2] for row, k in zip(rows, keep, strict=True) if k], names
    )
    if len(found) < 2:
        return found
    order = np.argsort(-found.scores, kind="stable")
    found = found.take(order)
    common, area = common_areas(found.boxes, found.boxes), box_areas(found.boxes)
    overlap = common / np.maximum(area[:, None] + area[None] - common, 1e-9)
    same = found.class_ids[:, None] == found.class_ids[None]
    kept = np.ones(len(found), bool)
    for i in range(len(found)):
        if kept[i]:
            kept[i + 1 :] &= ~(same[i] & (overlap[i] > _SUPPRESSION))[i + 1 :]
    return found.take(kept)


def _other(kind: int, vehicles: list[int]) -> int:
    """The vehicle that this one is taken for; a person is taken for nothing else."""
    if kind not in vehicles or len(vehicles) < 2:
        return kind
    return vehicles[(vehicles.index(kind) + 1) % len(vehicles)]


def _wander(rng: np.random.Generator, shape: tuple[int, ...], dt: float, lasting: float, slow: float) -> _Floats:
    """Standard normal noise over time (axis 1), of which the share `slow` changes over `lasting` seconds."""
    keep = np.exp(-dt / lasting)
    drawn = rng.normal(size=shape)
    lazy = np.empty(shape)
    lazy[:, 0] = drawn[:, 0]
    for f in range(1, shape[1]):
        lazy[:, f] = keep * lazy[:, f - 1] + np.sqrt(1 - keep**2) * drawn[:, f]
    return np.sqrt(slow) * lazy + np.sqrt(1 - slow) * rng.normal(size=shape)


def _share(
    rng: np.random.Generator, shape: tuple[int, int], dt: float, lasting: float, share: float
) -> npt.NDArray[np.bool_]:
    """True for about this share of the time, in runs."""
    if share == 0:
        return np.zeros(shape, bool)
    return np.asarray(_wander(rng, shape, dt, lasting, 0.9) > NormalDist().inv_cdf(1 - share))


def _areas(boxes: _Floats) -> _Floats:
    return np.asarray((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))


def _full_areas(actor: Actor, view: Projection, seconds: _Floats) -> _Floats:
    """Area (N,) of the actor's box if the picture had no border."""
    wide = _Wide(view)
    boxes = cuboid_boxes(actor, wide, seconds)  # type: ignore[arg-type]
    return _areas(boxes)


class _Wide:
    """The same camera with a picture of five times the width and height around it."""

    def __init__(self, view: Projection) -> None:
        self._view = view
        self.width, self.height = 5 * view.width, 5 * view.height

    def project(self, points: _Floats) -> tuple[_Floats, _Floats]:
        pixels, depth = self._view.project(points)
        return pixels + 2 * np.array([self._view.width, self._view.height]), depth


def _visible(boxes: _Floats) -> tuple[_Floats, _Floats]:
    """How much of each box (A, F) is not behind a nearer one, and the box (A, F, 4) around what is not."""
    number, frames = boxes.shape[:2]
    share, shown = np.ones((number, frames)), boxes.copy()
    steps = (np.arange(_GRID) + 0.5) / _GRID
    across, down = (grid.ravel() for grid in np.meshgrid(steps, steps))
    for f in range(frames):
        here = np.flatnonzero(np.isfinite(boxes[:, f, 0]))
        b = boxes[here, f]
        wide, high = b[:, 2] - b[:, 0], b[:, 3] - b[:, 1]
        x, y = b[:, :1] + wide[:, None] * across, b[:, 1:2] + high[:, None] * down
        # nothing fills its box: a tenth is seen past it at each side
        low, right = b[:, 0] + 0.1 * wide, b[:, 2] - 0.1 * wide
        nearer = b[None, :, 3] > b[:, None, 3] + 1e-6  # what stands lower in the picture is nearer
        behind = (
            nearer[:, None]
            & (x[..., None] >= low)
            & (x[..., None] <= right)
            & (y[..., None] >= b[:, 1])
            & (y[..., None] <= b[:, 3])
        ).any(2)
        share[here, f] = 1 - behind.mean(1)
        for i in np.flatnonzero(behind.any(1) & ~behind.all(1)):
            px, py = across[~behind[i]], down[~behind[i]]
            half = 0.5 / _GRID
            shown[here[i], f] = [
                b[i, 0] + wide[i] * (px.min() - half),
                b[i, 1] + high[i] * (py.min() - half),
                b[i, 0] + wide[i] * (px.max() + half),
                b[i, 1] + high[i] * (py.max() + half),
            ]
    return share, shown


def _clutter(rng: np.random.Generator, level: Level, plan: ClipPlan) -> list[list[tuple[_Floats, float, int]]]:
    """What looks like an object and is none, frame by frame; half of it at the same few places."""
    width, height = plan.renderer.width, plan.renderer.height
    found: list[list[tuple[_Floats, float, int]]] = [[] for _ in range(plan.frames)]
    places = rng.uniform([0, 0.3 * height], [width, height], (3, 2))
    for _ in range(int(rng.poisson(level.clutter * plan.frames / plan.fps))):
        begin = int(rng.integers(plan.frames))
        frames = 1 + int(rng.exponential(0.25 * plan.fps))
        kind = int(rng.integers(len(plan.classes)))
        tall = float(rng.uniform(0.06, 0.2)) * height
        broad = tall * (0.4 if plan.classes[kind] == "person" else 1.6)
        x, y = places[rng.integers(3)] if rng.random() < 0.5 else rng.uniform([0, 0.3 * height], [width, height])
        logit = float(rng.normal(-1.2, 0.7))
        for f in range(begin, min(begin + frames, plan.frames)):
            box = np.array([x - broad / 2, y - tall, x + broad / 2, y]) + rng.normal(0, 0.04 * tall, 4)
            found[f].append((box, logit + float(rng.normal(0, 0.4)), kind))
    return found

"""The clips that counting is measured on: generated cameras with their exact truth, and the detections on them.

A clip is drawn once and a detector is run over it once; both are kept in a cache folder. Towns below 900 are open
to whoever tunes the engine; those from 900 on are looked at when figures are taken, and at no other time. No
detector is trained on any of them (the demo's is trained on town 0, that of the published figures on town 500).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.mot_truth import MotTracks, read_tracks
from benchmarks.simulated import CELLS, scene_of, simulated_detections
from camera_counting.detections import Detections
from camera_counting.model import CountingModel
from camera_counting.scene import Scene
from camera_counting.video import open_source
from pipelines.datasets.generator import PRESETS, Conditions
from pipelines.datasets.generator.clips import plan_clip, write_clip

__all__ = [
    "SETS",
    "Case",
    "Crossing",
    "Plan",
    "detections_of",
    "generated_case",
    "plans",
    "simulated_cases",
    "thinned",
    "truly_seen",
]

WEATHERS = {
    "clear": Conditions(),
    "rain": Conditions(weather="rain"),
    "fog": Conditions(weather="fog"),
    "night": Conditions(light="night", noise=6.0),
}
SETS = {"tuned": 100, "unseen": 900}  # the first town of each
_FAINTEST = 0.05  # scores below are no detections for anybody


@dataclass(frozen=True, slots=True)
class Crossing:
    """One true crossing."""

    line: str
    direction: str
    class_name: str
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Detections of one clip, frame by frame, and what is true of it.

    Parameters
    ----------
    name, cell, part : str
        The clip; the row of the table it belongs to; "tuned" or "unseen".
    scene : Scene
        In pixels; lines only.
    detections : tuple of Detections
        One for every frame, scores from 0.05 on.
    confidence : float
        The detector's own.
    truth : tuple of Crossing
    tracks : MotTracks or None
        The true boxes, for CLEAR, IDF1 and HOTA.
    """

    name: str
    cell: str
    part: str
    scene: Scene
    size: tuple[int, int]
    fps: float
    names: tuple[str, ...]
    detections: tuple[Detections, ...]
    confidence: float
    truth: tuple[Crossing, ...]
    tracks: MotTracks | None = None

    @property
    def group(self) -> str:
        """The table it belongs to: drawn and simulated clips are told apart."""
        return self.part if self.part == "clip" else f"{self.part}, {self.kind}"

    @property
    def kind(self) -> str:
        """Drawn or simulated."""
        return self.cell.split(",")[0]

    @property
    def clear(self) -> bool:
        """Whether the weather is clear and it is day."""
        return self.cell.endswith(", clear")

    @property
    def seconds(self) -> float:
        """How long the clip plays."""
        return len(self.detections) / self.fps

    def true_counts(self) -> dict[tuple[str, str], int]:
        """Crossings by line and direction."""
        counts = {(line.name, way): 0 for line in self.scene.lines for way in ("in", "out")}
        for crossing in self.truth:
            counts[crossing.line, crossing.direction] += 1
        return counts


@dataclass(frozen=True, slots=True)
class Plan:
    """Which clip to draw."""

    part: str
    density: str
    weather: str
    number: int
    fps: float = 12.5
    seconds: float = 24.0
    width: int = 480
    height: int = 270

    @property
    def name(self) -> str:
        """Of its files: all that it depends on."""
        return f"{self.part}-{self.density}-{self.weather}-{self.number}-{self.fps:g}fps-{self.seconds:g}s"


def plans(parts: Sequence[str], *, quick: bool = False, rounds: int = 1) -> list[Plan]:
    """Every density in every weather at another camera of another town; one at 25 frames a second per density."""
    found = []
    for part in parts:
        for turn in range(1 if quick else rounds):
            for i, density in enumerate(PRESETS):
                for j, weather in enumerate(WEATHERS):
                    if not quick or (i + j) % 3 == 0:
                        found.append(Plan(part, density, weather, 12 * turn + 4 * i + j))
                if not quick and not turn:
                    found.append(Plan(part, density, "clear", 50 + i, fps=25.0, seconds=12.0))
    return found


def generated_case(plan: Plan, model: CountingModel, cache: Path) -> Case:
    """Draw the clip and detect on it, or take both from the cache."""
    files = _drawn(plan, cache / "clips")
    truth = json.loads(files["truth"].read_text(encoding="utf-8"))
    scene = Scene.load(files["scene"])
    return Case(
        name=plan.name,
        cell=f"drawn, {plan.density}, {plan.weather}",
        part=plan.part,
        scene=_lines_of(scene, plan.width, plan.height),
        size=(plan.width, plan.height),
        fps=plan.fps,
        names=tuple(model.names),
        detections=detections_of(files["video"], model, cache / "detections"),
        confidence=model.confidence,
        truth=tuple(Crossing(e["line"], e["direction"], e["class"], e["seconds"]) for e in truth["events"]),
        tracks=read_tracks(files["mot"], int(truth["frames"])),
    )


def simulated_cases(part: str, *, quick: bool = False, rounds: int = 1) -> Iterator[Case]:
    """Each density in each weather, at 5, 10 and 25 frames a second in turn; a town a round."""
    towns = sorted({cell.town for cell in CELLS[part]})[:rounds]
    densities = list(PRESETS)
    levels = sorted({cell.level for cell in CELLS[part]})
    for cell in CELLS[part]:
        i, j = densities.index(cell.density), levels.index(cell.level)
        rate = (5.0, 10.0, 25.0)[(i + j + cell.town) % 3]
        if cell.town not in towns or cell.fps != rate or (quick and i != j):
            continue
        plan = cell.plan()
        size = plan.renderer.width, plan.renderer.height
        seen = simulated_detections(plan, cell.level, seed=cell.seed)
        yield Case(
            name=f"simulated-{part}-{cell.town}-{cell.density}-{cell.level}-{cell.fps:g}fps",
            cell=f"simulated, {cell.density}, {cell.level}",
            part=part,
            scene=_lines_of(scene_of(plan), *size),
            size=size,
            fps=cell.fps,
            names=plan.classes,
            detections=tuple(detections for _, detections in seen),
            confidence=0.25,
            truth=tuple(Crossing(c.line, c.direction, c.kind, c.seconds) for c in plan.crossings),
        )


def _lines_of(scene: Scene, width: int, height: int) -> Scene:
    """The scene's lines alone, in pixels."""
    return Scene.from_dict({**scene.to_dict(), "zones": []}).for_size(width, height)


def _drawn(plan: Plan, folder: Path) -> dict[str, Path]:
    ends = {"video": "mp4", "scene": "scene.yaml", "mot": "gt.txt", "truth": "truth.json"}
    files = {key: folder / f"{plan.name}.{end}" for key, end in ends.items()}
    if not files["truth"].exists():  # the last that is written
        for seed in range(1000 * plan.number, 1000 * plan.number + 40):
            planned = plan_clip(
                plan.number,
                seconds=plan.seconds + 1 / plan.fps,
                fps=plan.fps,
                width=plan.width,
                height=plan.height,
                seed=seed,
                town=SETS[plan.part] + plan.number,
                density=PRESETS[plan.density],
                conditions=WEATHERS[plan.weather],
            )
            if len(planned.crossings) >= 4:
                break
        write_clip(planned, folder, plan.name)
    return files


def truly_seen(case: Case) -> Case:
    """The same clip as seen by a detector without fault: the true boxes of all that can be seen of everybody.

    What is wrongly counted then is the counter's own fault.
    """
    if case.tracks is None:
        raise ValueError(f"expected a clip with its true boxes, {case.name} has none")
    seen = []
    for frame in range(len(case.detections)):
        here = case.tracks.frame == frame
        boxes = case.tracks.boxes[here].reshape(-1, 4)
        seen.append(Detections.of(boxes, [0.9] * len(boxes), case.tracks.kind[here] - 1, case.names))
    kind = case.cell.replace("drawn", "true boxes")
    return replace(case, name=f"{case.name}, true boxes", cell=kind, detections=tuple(seen))


def detections_of(video: Path, model: CountingModel, folder: Path) -> tuple[Detections, ...]:
    """What the model sees in each frame of a clip, scores from 0.05 on; kept under the model's digest."""
    stamp = video.stat()
    key = hashlib.sha256(
        f"{video.name} {stamp.st_size} {stamp.st_mtime_ns} {model.digest} {_FAINTEST}".encode()
    ).hexdigest()[:24]
    kept = folder / f"{video.stem}.{key}.npz"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with open_source(video) as source:
            images = (frame.image for frame in source)
            seen = [model.detector.detect([image], _FAINTEST)[0] for image in images]
        part = kept.with_suffix(".part.npz")
        np.savez_compressed(
            part,
            boxes=np.concatenate([one.boxes for one in seen]),
            scores=np.concatenate([one.scores for one in seen]),
            class_ids=np.concatenate([one.class_ids for one in seen]),
            lengths=np.array([len(one) for one in seen]),
        )
        part.replace(kept)
    with np.load(kept) as held:
        ends = np.cumsum(held["lengths"])
        boxes, scores, class_ids = held["boxes"], held["scores"], held["class_ids"]
    names = tuple(model.names)
    return tuple(
        Detections(boxes[a:b], scores[a:b], class_ids[a:b], names)
        for a, b in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)
    )


def thinned(case: Case, every: int) -> Case:
    """The same clip with every n-th frame only: a slower camera."""
    tracks = None if case.tracks is None else case.tracks.every(every)
    return replace(
        case,
        name=f"{case.name}, every {every}",
        fps=case.fps / every,
        detections=case.detections[::every],
        tracks=tracks,
    )

"""Clips with their tracks, crossings and zone visits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import yaml

from pipelines.datasets.generator.acceptance import accepted, is_labelled
from pipelines.datasets.generator.conditions import Conditions, Density
from pipelines.datasets.generator.rendering import Renderer, Seen, Shown
from pipelines.datasets.generator.sites import Site, SiteLine, SiteZone, site, site_lines, site_zones
from pipelines.datasets.generator.traffic import Actor, traffic
from pipelines.datasets.generator.truth import Crossing, ZoneTruth, true_crossings, true_zones

__all__ = ["ClipPlan", "GeneratedClip", "generate_clip", "plan_clip", "write_clip"]

_START = datetime(2026, 3, 16, 9, tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class ClipPlan:
    """A clip before it is drawn: who takes part, and what is true of it.

    Parameters
    ----------
    actors : tuple of Actor
    lines, zones
        In relative coordinates.
    crossings : tuple of Crossing
        In order of time.
    """

    place: Site
    renderer: Renderer
    actors: tuple[Actor, ...]
    lines: tuple[SiteLine, ...]
    zones: tuple[SiteZone, ...]
    crossings: tuple[Crossing, ...]
    occupancy: tuple[ZoneTruth, ...]
    frames: int
    fps: float
    seed: int
    classes: tuple[str, ...]

    def draw(self) -> Iterator[tuple[npt.NDArray[np.uint8], list[Seen]]]:
        """Frame by frame: the RGB picture (H, W, 3), and what is in it."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, 17]))
        for index in range(self.frames):
            seconds = index / self.fps
            shown = []
            for actor in self.actors:
                sketch = actor.sketch(self.renderer.canvas_view, seconds, self.renderer.sun)
                if sketch is None:
                    continue
                x, z = actor.path.at(np.array([seconds]))
                shown.append(Shown(actor.track, sketch, float(x[0]), float(z[0])))
            yield self.renderer.render(shown, rng)


@dataclass(frozen=True, slots=True)
class GeneratedClip:
    """The files of one clip, and its truth.

    Parameters
    ----------
    video, scene, mot, truth_file : Path
        H.264 mp4; the scene as YAML; tracks in MOT format; the truth as JSON.
    truth : dict
        As in the file: lines with in, out and by_class; zones; events; frames; fps.
    """

    name: str
    video: Path
    scene: Path
    mot: Path
    truth_file: Path
    truth: dict[str, object]
    tags: dict[str, str | float | bool]
    camera: str
    time: datetime


def plan_clip(
    camera: int,
    *,
    seconds: float = 20.0,
    fps: float = 10.0,
    width: int = 640,
    height: int = 360,
    seed: int = 0,
    town: int = 0,
    density: Density | None = None,
    conditions: Conditions | None = None,
    classes: tuple[str, ...] = ("person", "car", "truck"),
) -> ClipPlan:
    """Decide everything about a clip but its pixels.

    Parameters
    ----------
    camera : int
        Which camera of the town; its lines and zones make the scene.
    conditions : Conditions
        Light, weather, blur, noise, a moved camera: the knobs of a shifted window.

    Raises
    ------
    ValueError
        For an odd width or height.
    """
    density, conditions = density or Density(), conditions or Conditions()
    if width % 2 or height % 2:
        raise ValueError(f"expected an even width and height for H.264, got {width}x{height}")
    frames = max(2, round(seconds * fps))
    place = site(camera, town)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 19]))
    renderer = Renderer(place, width, height, conditions, seed, density.posts)
    lines = site_lines(place, width, height, classes)
    zones = site_zones(place, width, height, classes)
    candidates = traffic(place, density, classes, frames / fps, rng, rain=conditions.weather == "rain")
    actors = accepted(candidates, renderer.view, lines, frames, fps, density.overlap)
    crossings = [c for a in actors for c in true_crossings(a, renderer.view, lines, frames, fps)]
    return ClipPlan(
        place=place,
        renderer=renderer,
        actors=tuple(actors),
        lines=lines,
        zones=zones,
        crossings=tuple(sorted(crossings, key=lambda c: (c.seconds, c.track))),
        occupancy=tuple(true_zones(actors, renderer.view, zones, frames, fps)),
        frames=frames,
        fps=fps,
        seed=seed,
        classes=classes,
    )


def generate_clip(
    folder: Path | str,
    name: str,
    camera: int,
    *,
    time: datetime = _START,
    on_frame: Callable[[int, int], None] | None = None,
    **options: Any,
) -> GeneratedClip:
    """Plan a clip of a camera with the options of `plan_clip`, and write it as `write_clip` does."""
    return write_clip(plan_clip(camera, **options), folder, name, time=time, on_frame=on_frame)


def write_clip(
    plan: ClipPlan,
    folder: Path | str,
    name: str,
    *,
    time: datetime = _START,
    on_frame: Callable[[int, int], None] | None = None,
) -> GeneratedClip:
    """Draw a clip and write it with its scene, tracks and truth into a folder.

    Parameters
    ----------
    folder : path
        Gets NAME.mp4, NAME.scene.yaml, NAME.gt.txt (MOT) and NAME.truth.json.
    on_frame : callable, optional
        Told (frames done, frames in all).
    """
    classes, pixels = plan.classes, plan.renderer.width * plan.renderer.height
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[str] = []
    kinds = {actor.track: actor.kind for actor in plan.actors}

    def pictures() -> Iterator[npt.NDArray[np.uint8]]:
        for number, (image, seen) in enumerate(plan.draw(), start=1):
            for one in seen:
                if is_labelled(one, pixels):
                    x1, y1, x2, y2 = one.box
                    klass = classes.index(kinds[one.track]) + 1
                    rows.append(
                        f"{number},{one.track},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},1,{klass},"
                        f"{one.visible:.3f}"
                    )
            if on_frame is not None:
                on_frame(number, plan.frames)
            yield image

    video = folder / f"{name}.mp4"
    write_video(video, pictures(), plan.fps)
    mot = folder / f"{name}.gt.txt"
    mot.write_text("\n".join(rows) + "\n", encoding="utf-8")
    scene = folder / f"{name}.scene.yaml"
    scene.write_text(yaml.safe_dump(scene_dict(plan), sort_keys=False), encoding="utf-8")
    truth = truth_dict(plan)
    truth_file = folder / f"{name}.truth.json"
    truth_file.write_text(json.dumps(truth) + "\n", encoding="utf-8")
    tags = plan.renderer.conditions.tags()
    return GeneratedClip(name, video, scene, mot, truth_file, truth, tags, plan.place.name, time)


def scene_dict(plan: ClipPlan) -> dict[str, object]:
    """The scene as `camera_counting.scene` reads it, in relative coordinates."""
    lines: list[object] = [
        {"name": line.name, "from": list(line.start), "to": list(line.end), "classes": list(line.classes)}
        for line in plan.lines
    ]
    zones: list[object] = [
        {"name": z.name, "polygon": [list(p) for p in z.polygon], "classes": list(z.classes)} for z in plan.zones
    ]
    return {"camera": plan.place.name, "units": "relative", "lines": lines, "zones": zones}


def truth_dict(plan: ClipPlan) -> dict[str, object]:
    """What is true of a clip, as JSON has it; the lines' shape is that of `camera-counting count`."""
    lines: dict[str, object] = {}
    for line in plan.lines:
        mine = [c for c in plan.crossings if c.line == line.name]
        by_class = {
            kind: {way: sum(c.kind == kind and c.direction == way for c in mine) for way in ("in", "out")}
            for kind in line.classes
        }
        lines[line.name] = {
            "in": sum(c.direction == "in" for c in mine),
            "out": sum(c.direction == "out" for c in mine),
            "by_class": {kind: count for kind, count in by_class.items() if any(count.values())},
        }
    zones = {
        zone.name: {
            "peak": zone.peak,
            "mean": zone.mean,
            "entered": zone.entered,
            "visits": zone.visits,
            "occupancy": list(zone.occupancy),
        }
        for zone in plan.occupancy
    }
    events = [
        {"line": c.line, "track": c.track, "class": c.kind, "direction": c.direction, "seconds": c.seconds}
        for c in plan.crossings
    ]
    return {
        "lines": lines,
        "zones": zones,
        "events": events,
        "classes": list(plan.classes),
        "frames": plan.frames,
        "fps": plan.fps,
        "seed": plan.seed,
    }


def write_video(path: Path, pictures: Iterator[npt.NDArray[np.uint8]], fps: float) -> None:
    """RGB pictures (H, W, 3) to an H.264 mp4 of high quality whose bytes do not vary.

    One thread, and no macroblock tree: x264's look-ahead weighs blocks differently from run to run.
    """
    rate = Fraction(fps).limit_denominator(1000)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as out:
        stream = None
        for picture in pictures:
            if stream is None:
                stream = out.add_stream("libx264", rate=rate)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.thread_count = 1
                stream.options = {"crf": "18", "preset": "veryfast", "x264-params": "threads=1:mbtree=0"}
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                out.mux(packet)
        if stream is None:
            raise ValueError(f"expected at least one picture for {path}, got none")
        for packet in stream.encode():
            out.mux(packet)

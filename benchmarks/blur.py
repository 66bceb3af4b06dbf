"""People on pictures that are shown: how many are unrecognisable, and how much of the picture that takes.

    python -m benchmarks.blur [--model models:/camera-counter@serving] [--real FOLDER] [--seconds 8]

A person counts as covered where at least 90 % of the annotated box lies in blocks of at least a sixth of its
shorter side, so that a head is two or three blocks wide at the most. The same is told of the upper third, where
the head is. Generated clips have exact boxes; each is scored with what the model says, with a random half of that,
and with a detector that finds 97 % of the annotated people, as a well trained one would. `by region` is how many
frames were not covered as a whole, and how much of these was. The boxes of the real pictures are drawn by hand.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import camera_counting
from benchmarks.real import REAL
from benchmarks.record import keep, table
from camera_counting.blur import FAINT, Blurred, PeopleBlur, blur_people
from camera_counting.detections import Detections
from camera_counting.pictures import read_picture
from camera_counting.tracking import MotionTracker, TrackerSettings

_WEATHERS = (
    ("day", "clear"),
    ("day", "rain"),
    ("day", "fog"),
    ("dusk", "clear"),
    ("night", "clear"),
    ("night", "rain"),
)
# x1, y1, x2, y2 of every person, drawn by hand on the pictures that ultralytics carries
_REAL = {
    "bus.jpg": [(49, 398, 246, 905), (222, 405, 345, 862), (669, 392, 810, 880), (0, 550, 70, 872)],
    "zidane.jpg": [(122, 197, 1112, 715), (744, 42, 1142, 715)],
}

Boxes = list[tuple[float, float, float, float]]


@dataclass
class Score:
    """Sums over frames."""

    people: int = 0
    bodies: int = 0
    heads: int = 0
    frames: int = 0
    by_region: int = 0
    shares: list[float] = field(default_factory=list)

    def add(self, shown: Blurred, people: Boxes) -> None:
        self.frames += 1
        if not shown.whole:
            self.by_region += 1
            self.shares.append(float(shown.covered.mean()))
        for box in people:
            self.people += 1
            self.bodies += is_covered(shown.blocks, box, 1.0)
            self.heads += is_covered(shown.blocks, box, 1 / 3)

    def __add__(self, other: Score) -> Score:
        return Score(
            self.people + other.people,
            self.bodies + other.bodies,
            self.heads + other.heads,
            self.frames + other.frames,
            self.by_region + other.by_region,
            self.shares + other.shares,
        )

    def cells(self) -> list[str]:
        share = f"{np.mean(self.shares):.0%}" if self.shares else "-"
        return [
            str(self.people),
            f"{self.bodies / max(self.people, 1):.2%}",
            f"{self.heads / max(self.people, 1):.2%}",
            f"{self.by_region / max(self.frames, 1):.0%}",
            share,
        ]


def is_covered(blocks: npt.NDArray[np.int32], box: tuple[float, float, float, float], upper: float) -> bool:
    """Whether the upper part of a box is covered, as the module says."""
    x1, y1, x2, y2 = box
    height, width = blocks.shape
    rows = slice(max(0, int(y1)), min(height, max(int(y1) + 1, int(np.ceil(y1 + upper * (y2 - y1))))))
    part = blocks[rows, max(0, int(x1)) : min(width, int(np.ceil(x2)))]
    return bool(part.size) and float((part >= max(1.0, min(x2 - x1, y2 - y1) / 6)).mean()) >= 0.9


def played(
    frames: Iterable[tuple[npt.NDArray[np.uint8], Boxes, Detections]], fps: float, confidence: float
) -> Score:
    """One clip, frame by frame, as the page shows it; twice in a row, because a camera is looked at for longer."""
    blur, score, tracker = PeopleBlur(), Score(), None
    frames = list(frames)
    for i, (image, people, seen) in enumerate(frames * 2):
        if tracker is None:
            size = (image.shape[1], image.shape[0])
            tracker = MotionTracker(TrackerSettings(confidence=confidence, low=0.4 * confidence), size)
        tracks = tracker.update(seen.at_least(0.4 * confidence), i / fps)
        score.add(blur.cover(image, seen.at_least(FAINT), tracks, i / fps), people)
    return score


def weaker(seen: Detections, people: Boxes, rng: np.random.Generator) -> Detections:
    """A random half of the detections."""
    return seen.take(rng.random(len(seen)) < 0.5)


def stronger(seen: Detections, people: Boxes, rng: np.random.Generator) -> Detections:
    """97 % of the annotated people, a few pixels off, and the model's vehicles."""
    found = [box for box in people if rng.random() < 0.97]
    boxes = np.array(found, np.float32).reshape(-1, 4)
    boxes += rng.normal(0, 0.05, boxes.shape).astype(np.float32) * np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    others = seen.of_classes([name for name in seen.names if name != "person"]).at_least(0.3)
    person = seen.names.index("person")
    return Detections(
        np.concatenate([boxes, others.boxes]),
        np.concatenate([rng.uniform(0.3, 0.95, len(boxes)).astype(np.float32), others.scores]),
        np.concatenate([np.full(len(boxes), person, np.int64), others.class_ids]),
        seen.names,
    )


STRENGTHS: dict[str, Callable[[Detections, Boxes, np.random.Generator], Detections]] = {
    "the model": lambda seen, people, rng: seen,
    "half of it": weaker,
    "97 % found": stronger,
}


def generated(model: Any, seconds: float, densities: list[str], fps: float = 10.0) -> dict[str, Score]:
    """Every one of these densities in every weather with every strength of detector."""
    from pipelines.datasets.generator.acceptance import is_labelled
    from pipelines.datasets.generator.clips import plan_clip
    from pipelines.datasets.generator.conditions import PRESETS, Conditions

    scores: dict[str, Score] = {}
    number = 0
    for density_name in densities:
        density = PRESETS[density_name]
        for light, weather in _WEATHERS:
            number += 1
            plan = plan_clip(
                number % 6,
                seconds=seconds,
                fps=fps,
                seed=900 + number,
                density=density,
                conditions=Conditions(light=light, weather=weather),
            )
            people_of = {actor.track for actor in plan.actors if actor.kind == "person"}
            frames = []
            for image, seen in plan.draw():
                pixels = image.shape[0] * image.shape[1]
                people = [one.box for one in seen if one.track in people_of and is_labelled(one, pixels)]
                frames.append((image.copy(), people, model.detector.detect([image], FAINT)[0]))
            for name, strength in STRENGTHS.items():
                rng = np.random.default_rng(number)
                clip = [(image, people, strength(seen, people, rng)) for image, people, seen in frames]
                told = f"{density_name}, {light}, {weather}: {name}"
                scores[told] = played(clip, fps, model.confidence)
                print(told, *scores[told].cells(), flush=True)
    return scores


def real_pictures(folder: Path) -> dict[str, Score]:
    """bus.jpg and zidane.jpg with the real detector, each picture by itself."""
    import ultralytics

    assets = Path(ultralytics.__file__).parent / "assets"
    scores = {}
    with tempfile.TemporaryDirectory() as scratch:
        camera_counting.save_model(folder / "yolo11n_int8_openvino_model", Path(scratch) / "model", classes="coco")
        model = camera_counting.load_model(str(Path(scratch) / "model"))
        for name, people in _REAL.items():
            image = read_picture(assets / name)
            score = Score()
            score.add(blur_people(image, model.detector.detect([image], FAINT)[0]), list(people))
            scores[name] = score
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models:/camera-counter@serving", help="by default what make demo left")
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each clip")
    parser.add_argument("--densities", nargs="+", default=["easy", "street", "crowded"])
    arguments = parser.parse_args()

    demo = Path(".demo/mlflow.db")
    if demo.exists():
        os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{demo}")
    scores = generated(camera_counting.load_model(arguments.model), arguments.seconds, arguments.densities)
    totals = {
        f"all clips: {strength}": sum(
            (score for name, score in scores.items() if name.endswith(strength)), Score()
        )
        for strength in STRENGTHS
    }
    told = scores | totals
    if (arguments.real / "yolo11n_int8_openvino_model").is_dir():
        told |= real_pictures(arguments.real)
    table(
        "people covered on pictures that are shown",
        ["clip: detector", "people", "covered", "heads", "frames by region", "of these covered"],
        [[name, *score.cells()] for name, score in told.items()],
    )
    keep("blur", {name: score.cells() for name, score in told.items()})


if __name__ == "__main__":
    main()

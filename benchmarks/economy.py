"""What each economy saves, and what it costs in counts.

    python -m benchmarks.economy [--model URI | --detector FILE] [--real FOLDER] [--seconds 16]

Each switch alone, and the ready sets, on generated clips with their exact truth (densities, frame rates,
weathers) and on the real clips with counts checked by eye. `detected` is the share of the frames in which objects
were looked for, `time` the time against that of the exact count of the same clips, in one process and in turns,
and `error` the sum of |counted - true| over lines and directions. The generated clips need a detector that knows
them: by default the one that `make demo` left.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.real import REAL, real_file
from benchmarks.record import keep, table
from camera_counting.counting import Economy, count_video
from camera_counting.detectors import Detector, open_detector
from camera_counting.scene import Scene
from camera_counting.video import open_source
from pipelines.datasets.generator import PRESETS, Conditions, generate_clip

_EXACT = Economy.exact()
ECONOMIES: dict[str, Economy] = {
    "exact": _EXACT,
    "gate alone": _EXACT.model_copy(update={"gate": True}),
    "stride alone": _EXACT.model_copy(update={"stride": True}),
    "region alone": _EXACT.model_copy(update={"region": True}),
    "default": Economy.default(),
    "fast": Economy.fast(),
}
# density, frames per second, conditions, camera
GENERATED = [
    ("easy", 25.0, Conditions(), 0),
    ("street", 30.0, Conditions(), 1),
    ("crowded", 25.0, Conditions(), 2),
    ("street", 10.0, Conditions(), 3),
    ("street", 25.0, Conditions(weather="rain"), 0),
    ("easy", 25.0, Conditions(weather="fog"), 2),
    ("street", 25.0, Conditions(light="night"), 1),
]
_VEHICLES = ["bicycle", "car", "motorcycle", "bus", "truck"]


@dataclass(frozen=True)
class Clip:
    """A clip with its scene, and what is true of its lines: name -> (in, out)."""

    path: Path
    scene: Scene
    truth: dict[str, tuple[int, int]]


def generated(folder: Path, seconds: float) -> list[Clip]:
    """The generated clips, drawn into a folder where they do not lie there yet."""
    clips = []
    for number, (density, fps, conditions, camera) in enumerate(GENERATED):
        name = f"{number}-{density}-{fps:g}fps-{conditions.light}-{conditions.weather}-{seconds:g}s"
        truth_file = folder / f"{name}.truth.json"
        if not truth_file.exists():
            generate_clip(
                folder,
                name,
                camera,
                seconds=seconds,
                fps=fps,
                seed=500 + number,
                density=PRESETS[density],
                conditions=conditions,
            )
        truth = {
            line: (told["in"], told["out"]) for line, told in json.loads(truth_file.read_text())["lines"].items()
        }
        clips.append(Clip(folder / f"{name}.mp4", Scene.load(folder / f"{name}.scene.yaml"), truth))
    return clips


def real(folder: Path) -> list[Clip]:
    """The real clips, with their counts as checked by eye."""
    road = {"name": "L", "from": [150, 215], "to": [640, 215], "classes": _VEHICLES}
    gate = {"name": "L", "from": [560, 0], "to": [560, 432], "classes": ["person"]}
    return [
        Clip(
            real_file(folder, "road-traffic.mp4"),
            Scene.from_dict({"size": [640, 352], "lines": [road]}),
            {"L": (8, 0)},
        ),
        Clip(
            real_file(folder, "one-by-one-person-detection.mp4"),
            Scene.from_dict({"size": [768, 432], "lines": [gate]}),
            {"L": (0, 6)},
        ),
    ]


def measure(detector: Detector, clips: list[Clip]) -> dict[str, dict[str, float]]:
    """Each economy on each clip, in turns."""
    sums = {name: {"detected": 0, "frames": 0, "seconds": 0.0, "error": 0, "true": 0} for name in ECONOMIES}
    for clip in clips:
        for name, economy in ECONOMIES.items():
            began = time.perf_counter()
            counted = count_video(
                open_source(clip.path),
                detector,
                detector.names,
                clip.scene,
                confidence=detector.confidence,
                economy=economy,
            )
            told = sums[name]
            told["seconds"] += time.perf_counter() - began
            told["detected"] += counted.detected
            told["frames"] += counted.frames
            for line, (into, out) in clip.truth.items():
                got = counted.counts.lines[line]
                told["error"] += abs(got.into - into) + abs(got.out - out)
                told["true"] += into + out
    return sums


def show(title: str, sums: dict[str, dict[str, float]]) -> None:
    """The table of one set of clips."""
    exact = sums["exact"]
    table(
        f"{title}: {exact['frames']:.0f} frames, {exact['true']:.0f} crossings",
        ["economy", "detected", "frames/s", "time", "error"],
        [
            [
                name,
                f"{told['detected'] / told['frames']:.0%}",
                f"{told['frames'] / told['seconds']:.0f}",
                f"{told['seconds'] / exact['seconds']:.2f}x",
                f"{told['error']:.0f} of {told['true']:.0f}",
            ]
            for name, told in sums.items()
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", default="models:/camera-counter@serving", help="knows the generated clips")
    which.add_argument("--detector", type=Path, help="a detector's file instead")
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--seconds", type=float, default=16.0, help="length of each generated clip")
    parser.add_argument("--clips", type=Path, help="folder that keeps the generated clips")
    arguments = parser.parse_args()

    if arguments.detector is not None:
        detector: Detector = open_detector(arguments.detector)
    else:
        import camera_counting

        detector = camera_counting.load_model(arguments.model).detector
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        clips = generated(arguments.clips or Path(scratch), arguments.seconds)
        figures["generated"] = measure(detector, clips)
    show("generated clips", figures["generated"])
    coco = open_detector(real_file(arguments.real, "yolo11n_int8_openvino_model"))
    figures["real"] = measure(coco, real(arguments.real))
    show("real clips", figures["real"])
    keep("economy", figures)


if __name__ == "__main__":
    main()

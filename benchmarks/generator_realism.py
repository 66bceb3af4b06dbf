"""Would a detector trained on real photographs see what the scene generator draws?

    python -m benchmarks.generator_realism [--detector PATH] [--cameras 12] [--density street]

Draws clear-day clips of many cameras, and runs a detector trained on COCO over them: by default the YOLO11n that
lies beside the checkout. The recall per class (IoU >= 0.5, confidence >= 0.25) says how far accuracy on generated
scenes may be taken to say something about real cameras; its last column takes any vehicle for any other. Where
recall is low, the generator is a cartoon.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.real import REAL
from benchmarks.record import keep, table
from camera_counting.detectors import open_detector
from pipelines.datasets.generator import PRESETS
from pipelines.datasets.generator.acceptance import is_labelled
from pipelines.datasets.generator.clips import plan_clip

VEHICLES = frozenset({"car", "truck", "bus"})


def overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of one box with others (N, 4)."""
    width = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    height = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    shared = width.clip(0) * height.clip(0)
    area = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    return shared / ((box[2] - box[0]) * (box[3] - box[1]) + area - shared)


def size_of(height: float) -> str:
    """How tall it is in the picture."""
    return "<32 px" if height < 32 else "32-64 px" if height < 64 else ">=64 px"


def measure(detector_path: Path, cameras: int, density: str, size: tuple[int, int]) -> list[list[str]]:
    """Rows of class, height in the picture, how many, recall, recall with any vehicle for a vehicle."""
    detector = open_detector(detector_path, classes="coco", confidence=0.25)
    total: Counter[tuple[str, str]] = Counter()
    strict: Counter[tuple[str, str]] = Counter()
    loose: Counter[tuple[str, str]] = Counter()
    for camera in range(cameras):
        plan = plan_clip(
            camera,
            seconds=8,
            fps=1,
            width=size[0],
            height=size[1],
            seed=500 + camera,
            density=PRESETS[density],
        )
        kinds = {actor.track: actor.kind for actor in plan.actors}
        for picture, seen in plan.draw():
            found = detector.detect([picture])[0]
            for one in seen:
                if not is_labelled(one, size[0] * size[1]):
                    continue
                kind = kinds[one.track]
                key = (kind, size_of(one.box[3] - one.box[1]))
                near = overlap(np.array(one.box), found.boxes) >= 0.5 if len(found) else np.zeros(0, bool)
                names = {found.names[i] for i in found.class_ids[near]}
                clear = [(kind, "in full view")] if one.visible > 0.9 and one.inside > 0.99 else []
                for k in (key, (kind, "all"), *clear):
                    total[k] += 1
                    strict[k] += kind in names
                    loose[k] += kind in names or bool(kind in VEHICLES and names & VEHICLES)
    return [
        [kind, height, str(n), f"{strict[kind, height] / n:.2f}", f"{loose[kind, height] / n:.2f}"]
        for (kind, height), n in sorted(total.items())
    ]


def main() -> None:
    """Measure, print, keep."""
    default = REAL / "yolo11n_int8_openvino_model"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--detector", type=Path, default=default, help="a detector trained on COCO")
    parser.add_argument("--cameras", type=int, default=12)
    parser.add_argument("--density", choices=sorted(PRESETS), default="street")
    parser.add_argument("--size", default="640x360", help="of the clips")
    arguments = parser.parse_args()
    if not arguments.detector.exists():
        sys.stderr.write(f"skipped: expected a detector at {arguments.detector}, found none; see --detector\n")
        return
    width, height = (int(v) for v in arguments.size.split("x"))
    rows = measure(arguments.detector, arguments.cameras, arguments.density, (width, height))
    columns = ("class", "height", "boxes", "recall", "recall, any vehicle")
    table(f"{arguments.detector.name} on generated clear-day clips ({arguments.density})", columns, rows)
    keep("generator_realism", [dict(zip(columns, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()

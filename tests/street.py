"""A street of coloured rectangles, as a clip and as settings of the camera worker, whose counts are known.

Every 6 seconds a person walks down the picture and a car drives up it, each over the line `middle`; the person
ends in the zone `square`, the car begins there. So n rounds are n crossings in (people) and n out (cars).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

import camera_counting
from camera_counting.video import ClipWriter
from tests.toy_detector import build, picture

SIZE = 320
FPS = 10
ROUND = 60  # frames
SCENE = {
    "lines": [{"name": "middle", "from": [0, 0.5], "to": [1, 0.5]}],
    "zones": [{"name": "square", "polygon": [[0, 0.7], [1, 0.7], [1, 1], [0, 1]]}],
}


def street(frames: int, size: int = SIZE) -> Iterator[npt.NDArray[np.uint8]]:
    """The pictures, RGB (size, size, 3)."""
    scale = size / SIZE
    for index in range(frames):
        k = index % ROUND
        objects = []
        if k < 55:
            y = 20 + 4.5 * k
            objects.append(("person", 60, y, 90, y + 48))
        if k >= 3:
            y = 300 - 4.5 * (k - 3)
            objects.append(("car", 180, y - 40, 240, y))
        yield picture(
            size, size, [(name, *(float(np.clip(c * scale, 0, size)) for c in box)) for name, *box in objects]
        )


def write_street(path: Path, rounds: int, fps: int = FPS) -> Path:
    """The clip; `rounds` people and cars. With more frames per second they are quicker."""
    with ClipWriter(path, fps) as writer:
        for index, image in enumerate(street(rounds * ROUND)):
            writer.write(image, index / fps)
    return path


def save_toy(folder: Path, **settings: Any) -> Path:
    """A model folder of the toy detector; settings as for `build`, and `confidence`."""
    confidence = settings.pop("confidence", 0.3)
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = build(folder.with_suffix(".onnx"), **settings)
    camera_counting.save_model(file, folder, confidence=confidence)
    return folder


def write_config(path: Path, **said: Any) -> Path:
    """A file of the worker's settings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
    return path

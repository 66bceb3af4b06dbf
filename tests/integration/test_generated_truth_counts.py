"""Two independent answers to one question: the generator's truth, and the counter on the generator's boxes.

The truth comes from paths on the ground and knows nothing of the counting engine; the engine sees boxes alone.
That they agree says that both mean the same by in, out and a line, and that a clip's crossings can be told at all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from camera_counting.counting.loop import count_detections
from camera_counting.detections import Detections
from camera_counting.scene import Scene
from pipelines.datasets.generator import PRESETS, generate_clip
from pipelines.datasets.readers.mot_format import read_mot

CLASSES = ("person", "car", "truck")


@pytest.mark.parametrize(
    ("camera", "preset", "seed"),
    [
        (0, "easy", 40),
        (1, "street", 41),
        (2, "easy", 42),
        (3, "street", 43),
        # people who come into the zone, two of them together and one after the other
        (1, "street", 45),
        (2, "street", 50),
    ],
)
def test_the_engine_counts_the_truth_on_perfect_boxes(tmp_path: Path, camera: int, preset: str, seed: int) -> None:
    clip = generate_clip(
        tmp_path, "gate", camera, seconds=10, width=320, height=240, seed=seed, density=PRESETS[preset]
    )
    frames, findings = read_mot(clip.mot, CLASSES)
    assert findings == []
    detections = []
    for number in range(1, clip.truth["frames"] + 1):  # type: ignore[operator]
        found = frames.get(number)
        if found is None:
            detections.append(((number - 1) / 10, Detections.none(CLASSES)))
            continue
        ids = [CLASSES.index(label) for label in found.labels]
        detections.append(((number - 1) / 10, Detections.of(found.boxes, np.full(len(ids), 0.9), ids, CLASSES)))
    count = count_detections(detections, CLASSES, Scene.load(clip.scene), (320, 240))
    lines = clip.truth["lines"]
    assert isinstance(lines, dict)
    told = {name: count.counts.lines[name].to_dict() for name in lines}
    assert told == lines
    zones = clip.truth["zones"]
    assert isinstance(zones, dict)
    assert seed < 45 or any(zone["entered"] == 2 for zone in zones.values())
    for name, zone in zones.items():
        counted = count.counts.zones[name]
        assert (counted.entered, counted.peak) == (zone["entered"], zone["peak"])
        assert counted.occupancy == zone["occupancy"][-1]
        assert counted.mean == pytest.approx(zone["mean"], abs=0.15)
    assert sum(line["in"] + line["out"] for line in lines.values()) >= 2

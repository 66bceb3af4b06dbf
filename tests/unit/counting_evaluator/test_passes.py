"""The pass over the pictures: what it records of them, and what it refuses."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toy_detector import picture

from camera_counting.detections import Detections
from counting_evaluator.digests import picture_digests
from counting_evaluator.errors import EvaluationError
from counting_evaluator.passes import detect_all
from counting_evaluator.truth import LabelledPicture


class _Sees:
    """Finds one car everywhere; `burden` bytes are in use while it looks."""

    def __init__(self, box: Sequence[float] = (1, 1, 9, 9), score: float = 0.9, burden: int = 0) -> None:
        self.box, self.score, self.burden = box, score, burden

    def detect(self, images: Sequence[Any], confidence: float | None = None) -> list[Detections]:
        used = np.ones(self.burden, np.uint8)
        return [Detections.of([self.box], [self.score * used[:1].max(initial=1)], [0], ["car"]) for _ in images]


@pytest.fixture
def pictures(tmp_path: Path) -> list[LabelledPicture]:
    made = []
    for number, (width, height) in enumerate([(64, 48), (80, 40)]):
        Image.fromarray(picture(width, height, [("car", 5, 5, 25, 20 + number)])).save(tmp_path / f"{number}.png")
        made.append(LabelledPicture(tmp_path / f"{number}.png", np.zeros((0, 4), np.float32), ()))
    return made


def test_sizes_and_times_are_told(pictures: list[LabelledPicture]) -> None:
    done = detect_all(_Sees(), pictures, 0.1)
    assert done.sizes.tolist() == [[64, 48], [80, 40]]
    metrics = done.metrics()
    assert metrics["latency/p50_ms"] <= metrics["latency/p95_ms"] <= metrics["latency/p99_ms"]


def test_digests_are_those_of_the_files(pictures: list[LabelledPicture]) -> None:
    said = subprocess.run(
        ["sha256sum", *(each.path for each in pictures)], capture_output=True, check=True, text=True
    )
    assert list(picture_digests(pictures)) == [line.split()[0] for line in said.stdout.splitlines()]


def test_memory_is_the_most_while_it_looked(pictures: list[LabelledPicture]) -> None:
    heavy = detect_all(_Sees(burden=400_000_000), pictures, 0.1).metrics()["memory/peak_mb"]
    light = detect_all(_Sees(), pictures, 0.1).metrics()["memory/peak_mb"]
    assert heavy > light + 300, "a peak that is over when the next pass begins is none of its"


def test_a_picture_that_stands_there_twice_is_named(pictures: list[LabelledPicture], tmp_path: Path) -> None:
    twin = tmp_path / "copy.png"
    twin.write_bytes(pictures[0].path.read_bytes())
    copy = LabelledPicture(twin, pictures[0].boxes, ())
    with pytest.raises(EvaluationError, match=r"copy\.png is the same picture as .*0\.png"):
        picture_digests([*pictures, copy])
    with pytest.raises(EvaluationError, match=r"0\.png is the same picture as .*0\.png"):
        picture_digests([pictures[0], pictures[0]])
    assert len(detect_all(_Sees(), [*pictures, copy], 0.1).found) == 3, "who fits a threshold may have it twice"


@pytest.mark.parametrize(
    "model", [_Sees((1, 1, float("nan"), 9)), _Sees((1, 1, float("inf"), 9)), _Sees(score=float("nan"))]
)
def test_boxes_that_are_no_numbers_are_named(pictures: list[LabelledPicture], model: _Sees) -> None:
    with pytest.raises(
        EvaluationError, match=r"0\.png: the model gives a box or a score that is no finite number"
    ):
        detect_all(model, pictures, 0.1)


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_files_that_are_no_pictures_are_named(pictures: list[LabelledPicture], content: bytes) -> None:
    pictures[1].path.write_bytes(content)
    with pytest.raises(EvaluationError, match=r"expected a picture in .*1\.png, it cannot be read"):
        detect_all(_Sees(), pictures, 0.1)
    pictures[0].path.write_bytes(content)
    with pytest.raises(EvaluationError, match=r"expected a picture in .*1\.png, it cannot be read"):
        picture_digests(pictures)

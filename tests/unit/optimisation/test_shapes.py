"""Other inputs: which are made, and that what is made is the same detector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pytest
from colour_cells_detector import CLASSES, detector_file

import camera_counting
from camera_counting.detectors import InputSpec
from counting_evaluator import LabelledPicture
from pipelines.optimisation import OptimisationError
from pipelines.optimisation.candidates import build
from pipelines.optimisation.parent import Parent, opened_parent
from pipelines.optimisation.recipes import Recipe, recipes


@pytest.mark.parametrize(
    ("precisions", "shapes", "sizes", "names"),
    [
        (["own"], ["own"], [(640, 640)], []),
        (["own", "fp16", "int8"], ["own"], [(640, 480)], ["fp16", "int8"]),
        (["int8"], ["fit"], [(1920, 1080)], ["int8-640x384"]),
        (["own"], ["fit"], [(1920, 1080), (640, 480)], ["640x480"]),  # both must fit in
        (["own"], ["fit"], [(1920, 1080), (480, 640)], []),
        (["own"], ["fit", "640x384", "320x320"], [(1920, 1080)], ["640x384", "320x320"]),
    ],
)
def test_which_are_made(
    precisions: list[str], shapes: list[str], sizes: list[tuple[int, int]], names: list[str]
) -> None:
    assert [each.name for each in recipes(precisions, shapes, InputSpec(width=640, height=640), sizes)] == names


@pytest.mark.parametrize("shape", ["672x640", "320x300", "0x32", "wide", "-32x32", "32x32x32", ""])
def test_shapes_that_are_none(shape: str) -> None:
    with pytest.raises(OptimisationError, match="shapes: expected"):
        recipes(["own"], [shape], InputSpec(width=640, height=640), [(640, 640)])


@pytest.fixture
def parent_of(tracking: str, tmp_path: Path) -> Callable[..., str]:
    def log(**changes: object) -> str:
        detector = detector_file(tmp_path / "detector.onnx", **changes)
        with mlflow.start_run():
            return str(camera_counting.log_model(detector, classes=CLASSES, confidence=0.3).model_uri)

    return log


def made(parent: Parent, folder: Path, size: tuple[int, int], picture: Path):
    recipe = Recipe("small", "own", size)
    return build(
        recipe, parent, None, "mixed", [LabelledPicture(picture, np.zeros((0, 4), np.float32), ())], folder
    )


@pytest.mark.parametrize("free", [False, True])
def test_a_smaller_input_sees_the_same(
    parent_of: Callable[..., str], tmp_path: Path, picture_file: Path, free: bool
) -> None:
    with opened_parent(parent_of(free=free)) as parent:
        (tmp_path / "made").mkdir()
        done = made(parent, tmp_path / "made", (320, 192), picture_file)
        assert (done.detector.spec.width, done.detector.spec.height) == (320, 192)
        assert done.bytes == sum(file.stat().st_size for file in (tmp_path / "made").glob("small.*"))
        [before], [after] = (
            each.detect([camera_counting.pictures.read_picture(picture_file)])
            for each in (parent.detector, done.detector)
        )
    assert len(before) > 0
    assert len(before) == len(after)
    np.testing.assert_allclose(after.boxes, before.boxes, atol=0.05)
    np.testing.assert_array_equal(after.class_ids, before.class_ids)


@pytest.fixture
def picture_file(tmp_path: Path) -> Path:
    """320x192, in cells of 32 pixels that are each of one colour, so that no cell sees the border."""
    import cv2

    cells = np.random.default_rng(4).choice([20, 250], (6, 10, 3)).astype(np.uint8)
    path = tmp_path / "cells.png"
    cv2.imwrite(str(path), cells.repeat(32, axis=0).repeat(32, axis=1))
    return path


@pytest.mark.parametrize("fault", [{"baked_stride": 16}, {"swapped_stride": 32}])
def test_another_detector_is_not_made(
    parent_of: Callable[..., str], tmp_path: Path, picture_file: Path, fault: dict[str, int]
) -> None:
    (tmp_path / "made").mkdir()
    with (
        opened_parent(parent_of(**fault)) as parent,
        pytest.raises(OptimisationError, match="it is another detector"),
    ):
        made(parent, tmp_path / "made", (160, 160), picture_file)

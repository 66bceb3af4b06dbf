"""A detector is given a smaller input only where it is the same one there, at every stride and in every class."""

from __future__ import annotations

from pathlib import Path

import pytest
from colour_cells_detector import detector_file

from camera_counting.detectors import open_detector


@pytest.mark.parametrize(("width", "height"), [(320, 640), (640, 360), (1920, 1080), (200, 640)])
def test_the_same_detector_is_fitted(tmp_path: Path, width: int, height: int) -> None:
    detector = open_detector(detector_file(tmp_path / "right.onnx"))
    assert detector.for_frames(width, height) is not detector


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_a_grid_that_is_wrong_at_one_stride_is_not_believed(tmp_path: Path, stride: int, free: bool) -> None:
    detector = open_detector(detector_file(tmp_path / "baked.onnx", baked_stride=stride, free=free))
    assert detector.for_frames(320, 640) is detector


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_classes_that_change_their_places_are_not_believed(tmp_path: Path, stride: int) -> None:
    detector = open_detector(detector_file(tmp_path / "swapped.onnx", swapped_stride=stride))
    assert detector.for_frames(320, 640) is detector
    # where the width stays, nothing is wrong
    assert detector.for_frames(640, 360) is not detector

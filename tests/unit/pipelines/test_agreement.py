"""Agreement of two detectors, on cases worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_counting.detections import Detections
from camera_counting.detectors import Detector
from pipelines.trainers import Trained, Trainer, TrainingError, TrainingListener, TrainingPlan
from pipelines.trainers.agreement import Agreement, box_iou, compare_detections, require_agreement
from pipelines.trainers.checked_export import agreement_of, input_shape

NAMES = ["person", "car"]
BOX, OTHER = [0, 0, 10, 10], [50, 50, 60, 60]


def _seen(*objects: tuple[list[float], float, int]) -> Detections:
    return Detections.of([o[0] for o in objects], [o[1] for o in objects], [o[2] for o in objects], NAMES)


@pytest.mark.parametrize(
    ("original", "exported", "expected"),
    [
        pytest.param(_seen((BOX, 0.9, 0)), _seen((BOX, 0.9, 0)), (2, 0, 1.0, 0.0), id="same"),
        pytest.param(_seen(), _seen(), (0, 0, 1.0, 0.0), id="nothing"),
        pytest.param(_seen((BOX, 0.9, 0)), _seen(), (1, 1, 1.0, 0.0), id="lost"),
        pytest.param(_seen(), _seen((BOX, 0.9, 0)), (1, 1, 1.0, 0.0), id="invented"),
        pytest.param(_seen((BOX, 0.9, 0)), _seen((BOX, 0.9, 1)), (2, 2, 1.0, 0.0), id="other class"),
        pytest.param(_seen((BOX, 0.9, 0)), _seen((OTHER, 0.9, 0)), (2, 2, 1.0, 0.0), id="other place"),
        # 10x8 of 10x10, and a score 0.25 lower
        pytest.param(_seen((BOX, 0.9, 0)), _seen(([0, 0, 10, 8], 0.65, 0)), (2, 0, 0.8, 0.25), id="moved"),
        # just above the threshold on one side, just below on the other: no box is lost
        pytest.param(_seen((BOX, 0.51, 0)), _seen((BOX, 0.49, 0)), (1, 0, 1.0, 0.02), id="at the threshold"),
    ],
)
def test_agreement_by_hand(
    original: Detections, exported: Detections, expected: tuple[int, int, float, float]
) -> None:
    agreement = compare_detections([original], [exported], 0.5)
    found = (agreement.boxes, agreement.unmatched, agreement.least_iou, agreement.score_difference)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("agreement", "fault"),
    [
        (Agreement(4, 20, 1, 1.0, 0.0), "1 have no partner"),
        (Agreement(4, 20, 0, 0.5, 0.0), "least overlap is 0.500"),
        (Agreement(4, 20, 0, 1.0, 0.2), "difference of scores 0.200"),
    ],
)
def test_disagreement_is_refused(agreement: Agreement, fault: str) -> None:
    with pytest.raises(TrainingError, match=fault):
        require_agreement(agreement)


def test_agreement_passes() -> None:
    require_agreement(Agreement(4, 20, 0, 0.99, 0.01))


class _Same(Trainer, Detector):
    """Trains nothing, and sees the same things in every picture: one side of a comparison or the other."""

    names = tuple(NAMES)
    confidence = 0.5

    def __init__(self, *objects: tuple[list[float], float, int]) -> None:
        self.objects = objects
        self.shown: list[int] = []

    def library(self) -> str:
        return "none"

    def train(self, plan: TrainingPlan, folder: Path, listener: TrainingListener) -> Trained:
        raise NotImplementedError

    def export(self, checkpoint: Path, folder: Path, shape: tuple[int, int]) -> Path:
        raise NotImplementedError

    def detect(self, *arguments: Any) -> list[Detections]:  # of a trainer, or of a detector
        pictures, floor = (arguments[1], arguments[3]) if len(arguments) == 4 else arguments
        self.shown += [int(picture[0, 0, 0]) for picture in pictures]
        return [_seen(*(o for o in self.objects if o[1] >= floor)) for _ in pictures]


@pytest.fixture
def grey(tmp_path: Path) -> list[Path]:
    """Forty pictures, each as bright as its number."""
    for number in range(40):
        cv2.imwrite(str(tmp_path / f"{number:02d}.png"), np.full((8, 8, 3), number, np.uint8))
    return sorted(tmp_path.iterdir())


def _compared(original: _Same, exported: _Same, paths: list[Path]) -> Agreement:
    return agreement_of(original, Trained(Path("none"), ()), exported, paths, (32, 32))


def test_pictures_of_all_cameras_are_compared(grey: list[Path]) -> None:
    original = _Same((BOX, 0.9, 0))
    agreement = _compared(original, _Same((BOX, 0.9, 0)), grey)
    assert (agreement.pictures, agreement.boxes, agreement.confidence) == (16, 32, 0.1)
    assert original.shown[0] == 0
    assert original.shown[-1] == 39
    assert set(np.diff(original.shown)) == {2, 3}
    assert _compared(_Same((BOX, 0.9, 0)), _Same((BOX, 0.9, 0)), grey[:3]).pictures == 3


def test_weak_boxes_are_compared_where_there_are_no_others(grey: list[Path]) -> None:
    # Of the strongest only: what comes far behind it is chance.
    agreement = _compared(_Same((BOX, 0.02, 0), (OTHER, 0.004, 1)), _Same((BOX, 0.019, 0)), grey[:4])
    assert (agreement.boxes, agreement.unmatched) == (8, 0)
    assert agreement.confidence == pytest.approx(0.018)
    require_agreement(agreement)
    with pytest.raises(TrainingError, match="does not see what the trained one saw"):
        require_agreement(_compared(_Same((BOX, 0.02, 0)), _Same((OTHER, 0.02, 0)), grey[:4]))


@pytest.mark.parametrize("pictures", [0, 4])
def test_a_comparison_without_a_box_shows_nothing(grey: list[Path], pictures: int) -> None:
    with pytest.raises(TrainingError, match=f"on {pictures} validation pictures: train longer"):
        require_agreement(_compared(_Same(), _Same(), grey[:pictures]))


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), min_size=8, max_size=8))
def test_overlap_agrees_with_counting_pixels(numbers: list[int]) -> None:
    boxes = np.array(numbers, np.float32).reshape(2, 2, 2)
    corners = np.concatenate([boxes.min(axis=1), boxes.max(axis=1)], axis=1)
    masks = np.zeros((2, 41, 41), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, corners.astype(int), strict=True):
        mask[y1:y2, x1:x2] = True
    union = (masks[0] | masks[1]).sum()
    expected = (masks[0] & masks[1]).sum() / union if union else 0
    assert box_iou(corners[0], corners[1:])[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("sizes", "image_size", "shape"),
    [
        ([(320, 240)] * 3, 256, (192, 256)),
        ([(320, 240)], 320, (256, 320)),  # 240 rounded up to the stride
        ([(240, 320)], 320, (320, 256)),
        ([(1920, 1080), (1280, 720)], 640, (384, 640)),
        ([(320, 240), (240, 320)], 256, (256, 256)),
        ([(500, 500)], 250, (256, 256)),
    ],
)
def test_the_input_has_the_cameras_shape(
    sizes: list[tuple[int, int]], image_size: int, shape: tuple[int, int]
) -> None:
    assert input_shape(sizes, image_size) == shape

"""The threshold that counts best, and how well it counts what it was not fitted on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from camera_counting.detections import Detections
from counting_evaluator import LabelledPicture
from pipelines.datasets.manifest import Sample
from pipelines.optimisation.thresholds import blocks_of, count_figures, fit


def labelled(cars: int) -> LabelledPicture:
    boxes = np.array([[20 * i, 0, 20 * i + 10, 10] for i in range(cars)], np.float32).reshape(-1, 4)
    return LabelledPicture(Path("x.png"), boxes, ("car",) * cars)


def seen(*scores: float) -> Detections:
    return Detections.of(
        [[20 * i, 0, 20 * i + 10, 10] for i in range(len(scores))], scores, [0] * len(scores), ["car"]
    )


def test_a_threshold_that_only_remembers_does_not_count_as_good() -> None:
    # In one half what scores 0.3 is a car, in the other half it is none: no threshold suits both, and each half's
    # is wrong for the other one.
    pictures = [labelled(2), labelled(2), labelled(1), labelled(1)]
    found = [seen(0.8, 0.3)] * 4
    fitted = fit(pictures, found, ("car",), np.array([0, 0, 1, 1]))
    assert fitted.figures["count/mae"] == 1, "each is off by one at the others' threshold"
    same = fit(pictures[:2], found[:2], ("car",), np.array([0, 1]))
    assert same.figures["count/mae"] == 0
    assert same.confidence < 0.3


def test_where_the_others_are_empty_all_of_them_decide() -> None:
    fitted = fit([labelled(1), labelled(0)], [seen(0.6), seen(0.4)], ("car",), np.array([0, 1]))
    assert 0.4 < fitted.confidence <= 0.6
    # the empty one is counted at what the other one alone suggests: anything up to 0.6
    assert fitted.figures["count/mae"] in (0, 0.5)


def test_figures_by_hand() -> None:
    # two pictures, classes person and car: (2, 0) counted where (1, 1) are, (0, 3) where (0, 5) are
    figures = count_figures(np.array([[2, 0], [0, 3]]), np.array([[1, 1], [0, 5]]))
    assert figures == pytest.approx(
        {
            "count/mae": 1.0,  # (0 + 2) / 2
            "count/rmse": 2**0.5,  # root of (0 + 4) / 2
            "count/nae": 0.2,  # (0/2 + 2/5) / 2
            "count/wape": 2 / 7,
            "count/mae_by_class": 2.0,  # (2 + 2) / 2
            "count/nae_by_class": 0.7,  # (2/2 + 2/5) / 2
        }
    )


def test_pictures_of_one_moment_share_a_block() -> None:
    def sample(camera: str, minute: int) -> Sample:
        time = datetime(2026, 1, 1, 12, minute, tzinfo=UTC)
        return Sample(Path(f"{camera}{minute}.png"), 8, 8, np.zeros((0, 4), np.float32), (), camera, time, {})

    samples = [sample(camera, minute) for minute in (3, 1, 2, 0) for camera in ("b", "a")]
    blocks = blocks_of(samples, 4)
    assert {
        (s.camera, s.time.minute // 2 if s.time else 0): int(b) for s, b in zip(samples, blocks, strict=True)
    } == {
        ("a", 0): 0,
        ("a", 1): 1,
        ("b", 0): 2,
        ("b", 1): 3,
    }
    assert np.bincount(blocks).tolist() == [2, 2, 2, 2]
    assert blocks_of(samples[:2], 5).tolist() == [1, 0]

"""The simulated detector of the benchmarks: the same for every counter, and as hard as it says."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.simulated import (
    CELLS,
    LEVELS,
    SIZE,
    Level,
    count_error,
    scene_of,
    simulated_detections,
    true_counts,
)
from camera_counting.counting import count_detections
from pipelines.datasets.generator import PRESETS
from pipelines.datasets.generator.clips import plan_clip

PERFECT = Level(certainty=6, wander=0, small=1, jitter=0, clutter=0, doubles=0, flicker=0)


@pytest.fixture(scope="module")
def plan():
    return plan_clip(1, seconds=20, fps=10, seed=7, density=PRESETS["easy"])


def test_the_same_seed_gives_the_same_detections(plan):
    one, again, other = (simulated_detections(plan, "rain", seed=seed) for seed in (1, 1, 2))
    assert len(one) == plan.frames
    assert all(np.array_equal(a.boxes, b.boxes) for (_, a), (_, b) in zip(one, again, strict=True))
    assert any(not np.array_equal(a.boxes, b.boxes) for (_, a), (_, b) in zip(one, other, strict=True))


def test_scores_fall_from_level_to_level_and_boxes_stay_in_the_picture(plan):
    means = []
    for level in LEVELS:
        seen = [detections for _, detections in simulated_detections(plan, level)]
        means.append(float(np.concatenate([d.scores for d in seen]).mean()))
        boxes = np.concatenate([d.boxes for d in seen])
        assert boxes.min() >= 0
        assert (boxes[:, 2:].max(0) <= SIZE).all()
    assert means[0] > means[1] > means[2]


def test_a_perfect_detector_leads_to_the_truth(plan):
    true = true_counts(plan)
    counted = count_detections(simulated_detections(plan, PERFECT), plan.classes, scene_of(plan), SIZE)
    error, number = count_error(counted.counts.to_dict(), true)
    assert error == 0
    assert number >= 4


def test_no_town_is_both_tuned_on_and_unseen():
    tuned, unseen = ({cell.town for cell in CELLS[name]} for name in ("tuned", "unseen"))
    assert not tuned & unseen

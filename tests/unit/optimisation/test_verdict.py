"""What is kept: a table of candidates, and detectors whose time is known."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest

from camera_counting.detections import Detections
from camera_counting.detectors import Detector
from model_governance.policy import OptimisationRule
from pipelines.optimisation.recipes import THRESHOLDS, Recipe
from pipelines.optimisation.timing import Latency, time_by_turns
from pipelines.optimisation.verdict import Figures, judge

RULE = OptimisationRule(metric="count/mae", worse_by_at_most=0.1, reason="a test")
INT8, FP16, SMALL = Recipe("int8", "int8", None), Recipe("fp16", "fp16", None), Recipe("x", "own", (64, 64))


def figures(error: float, ratio: float = 1.0, size: int = 100) -> Figures:
    return Figures(
        0.4, size, Latency(10 * ratio, 12 * ratio, ratio, ratio - 0.05, ratio + 0.05), {"count/mae": error}
    )


@pytest.mark.parametrize(
    ("recipe", "candidate", "refusal"),
    [
        (INT8, figures(1.1, 0.5), None),  # the margin itself is allowed
        (INT8, figures(1.0 + 0.1 + 1e-12, 0.5), None),
        (INT8, figures(1.11, 0.5), "that is 0.01 too much"),
        (INT8, figures(0.9, 0.96), "it is not faster: 0.96 times"),  # 1.01 is within its confidence
        (SMALL, figures(0.9, 0.9), None),
        (SMALL, figures(0.9, 1.2), "it is not faster"),
        (FP16, figures(1.0, 1.0, 60), None),
        (FP16, figures(1.0, 1.0, 100), "it is not smaller"),
        (FP16, figures(1.0, 1.3, 60), "smaller, but slower"),
        (THRESHOLDS, figures(0.99), None),
        (THRESHOLDS, figures(1.0), "counts no better"),
    ],
)
def test_what_is_kept(recipe: Recipe, candidate: Figures, refusal: str | None) -> None:
    verdict = judge(recipe, figures(1.0), candidate, RULE, keep=False)
    assert verdict.accepted == (refusal is None)
    assert refusal is None or refusal in verdict.refusals[0]
    assert verdict.difference == pytest.approx(candidate.errors["count/mae"] - 1)
    kept = judge(recipe, figures(1.0), candidate, RULE, keep=True)
    assert kept.accepted == (candidate.errors["count/mae"] <= 1.1 + 1e-9), (
        "--keep never lets a worse count through"
    )


class Sleeper(Detector):
    """Takes its time."""

    names, confidence = ("car",), 0.5

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def detect(self, pictures: Sequence[np.ndarray], confidence: float | None = None) -> list[Detections]:
        time.sleep(self.seconds)
        return [Detections.of([], [], [], self.names) for _ in pictures]


def test_times_are_compared_turn_by_turn() -> None:
    pictures = [np.zeros((8, 8, 3), np.uint8)] * 6
    taken = time_by_turns({"": Sleeper(0.02), "half": Sleeper(0.01)}, pictures, 2, 0)
    assert taken[""].ratio == taken[""].ratio_low == 1
    assert taken["half"].ratio_low <= taken["half"].ratio <= taken["half"].ratio_high < 0.9
    assert taken["half"].p50_ms >= 10
    assert taken["half"].p50_ms <= taken["half"].p95_ms

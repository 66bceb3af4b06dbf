"""Chance and drift told apart: false alarms and power, on rows that resemble their neighbours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipelines.drift.calibration import Windows, correlation_time, null_scores, plan_windows, score, threshold
from pipelines.drift.report import compare

LogOf = Callable[..., pd.DataFrame]


@pytest.mark.parametrize(
    ("reference", "current", "expected"),
    [
        ([0, 2], [0, 2], 0.0),
        ([0, 2], [1, 3], 1.0),  # moved by 1, standard deviation 1
        ([0, 2], [3, 5], 3.0),
        ([0, 0, 4, 4], [2, 2, 2, 2], 1.0),  # every row moves by 2, standard deviation 2
        ([-10, 10], [-10, 10, -10, 10], 0.0),
    ],
)
def test_the_score_is_the_way_that_rows_must_move(
    reference: list[float], current: list[float], expected: float
) -> None:
    assert score(np.array(reference, float), np.array(current, float)) == pytest.approx(expected)


@pytest.mark.parametrize("likeness", [0.0, 0.5, 0.9])
def test_the_correlation_time_of_ar1_is_known(log_of: LogOf, likeness: float) -> None:
    values = log_of(1, 50_000, likeness=likeness)["brightness"].to_numpy()
    assert correlation_time(values) == pytest.approx((1 + likeness) / (1 - likeness), rel=0.2)


def test_a_constant_has_no_correlation_time() -> None:
    assert correlation_time(np.ones(100)) == 1.0


@pytest.mark.parametrize(
    ("rows", "current", "likeness", "expected"),
    [
        (2000, 1000, 0.0, Windows(100, 20, 10)),
        (2000, 50, 0.0, Windows(50, 40, 1)),
        (2000, 5000, 0.0, Windows(100, 20, 10)),
        (100, 100, 0.0, Windows(5, 20, 10)),
        (30, 30, 0.0, None),
        (400, 200, 0.99, None),  # two hundred rows for each that says something new
    ],
)
def test_windows(log_of: LogOf, rows: int, current: int, likeness: float, expected: Windows | None) -> None:
    values = log_of(3, rows, likeness=likeness)["brightness"].to_numpy()
    assert plan_windows(values, current) == expected


def test_null_scores_are_the_exact_distances_of_the_windows(log_of: LogOf) -> None:
    """Leave one window out, done by hand with the exact distance instead of the grid."""
    values = log_of(4, 1000)["brightness"].to_numpy()
    null = null_scores(values, Windows(50, 20, 1))
    for index in (0, 7, 19):
        window = values[index * 50 : (index + 1) * 50]
        rest = np.concatenate([values[: index * 50], values[(index + 1) * 50 :]])
        exact = score(rest, window) * rest.std() / values.std()
        assert null[index] == pytest.approx(exact, rel=0.02)


def test_a_stricter_budget_raises_the_threshold() -> None:
    null = np.abs(np.random.default_rng(0).normal(0.3, 0.1, 200))
    for windows in (Windows(50, 20, 1), Windows(50, 20, 10)):
        limits = [threshold(null, windows, alarms) for alarms in (0.1, 0.01, 0.001)]
        assert limits == sorted(limits)
        assert limits[0] > null.mean()


@pytest.mark.parametrize(
    ("likeness", "rows", "current"), [(0.5, 2000, 1000), (0.5, 2000, 200), (0.95, 2000, 1000), (0.95, 2000, 200)]
)
def test_false_alarms_keep_to_their_budget(log_of: LogOf, likeness: float, rows: int, current: int) -> None:
    """5 % of reports may hold any false alarm, over eight columns together; 10 % leaves room for 60 tries."""
    alarms = 0
    for seed in range(60):
        reference = log_of(2 * seed, rows, likeness=likeness)
        now = log_of(2 * seed + 1, current, likeness=likeness)
        alarms += bool(compare(reference, now).drifted)
    assert alarms <= 6


@pytest.mark.parametrize(("likeness", "least"), [(0.0, 1.0), (0.5, 1.0), (0.95, 0.8)])
def test_a_shift_of_one_standard_deviation_is_found(log_of: LogOf, likeness: float, least: float) -> None:
    found = 0
    for seed in range(40):
        reference = log_of(2 * seed, 2000, likeness=likeness)
        now = log_of(2 * seed + 1, 1000, likeness=likeness, shift=1.0)
        found += any(column.column == "brightness" for column in compare(reference, now).drifted)
    assert found / 40 >= least


def test_a_hundred_cameras_share_one_budget(log_of: LogOf) -> None:
    cameras = tuple(f"camera {number}" for number in range(100))
    alarms = sum(
        bool(compare(log_of(seed, 400, cameras=cameras), log_of(seed + 9, 100, cameras=cameras)).drifted)
        for seed in range(3)
    )
    assert alarms <= 1

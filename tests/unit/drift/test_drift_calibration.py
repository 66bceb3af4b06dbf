"""Chance and drift told apart: false alarms and power, on rows that resemble their neighbours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from conftest import autoregressive

from pipelines.drift.calibration import correlation_time, null_scores, plan_windows, score, threshold
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


def every(seconds: float, rows: int) -> np.ndarray:
    return seconds * np.arange(rows)


@pytest.mark.parametrize(
    ("rows", "current", "likeness", "expected"),
    [
        (2000, 50, 0.0, (500.0, 40, 1)),  # windows of the current span's own duration
        (2000, 250, 0.0, (2500.0, 8, 1)),
        (2000, 1000, 0.0, (1000.0, 20, 10)),  # two such durations are too few: ten parts of it
        (2000, 5000, 0.0, (1000.0, 20, 10)),
        (100, 100, 0.0, (50.0, 20, 10)),
        (30, 30, 0.0, None),
        (400, 200, 0.99, None),  # two hundred rows for each that says something new
    ],
)
def test_windows(
    log_of: LogOf, rows: int, current: int, likeness: float, expected: tuple[float, int, int] | None
) -> None:
    values = log_of(3, rows, likeness=likeness)["brightness"].to_numpy()
    plan = plan_windows(every(10, rows), values, current, 10.0 * current)
    assert (plan and (plan.seconds, plan.count, plan.drawn)) == expected


def test_a_window_in_which_the_camera_was_silent_is_left_out() -> None:
    times = every(10, 1000)
    kept = (times < 3000) | (times >= 4600)
    values = np.random.default_rng(0).normal(size=1000)
    plan = plan_windows(times[kept], values[kept], 50, 500)
    assert plan is not None
    assert plan.count == 17  # of twenty, three without a row
    assert np.bincount(plan.of_row[plan.of_row >= 0]).tolist() == [50] * 6 + [40] + [50] * 10


def test_a_span_with_few_rows_is_not_held_against_windows_of_many() -> None:
    """Half as many rows in the same time: windows of half its duration."""
    values = np.random.default_rng(0).normal(size=2000)
    plan = plan_windows(every(10, 2000), values, 100, 2000.0)
    assert plan is not None
    assert plan.seconds == 1000.0


def test_null_scores_are_the_exact_distances_of_the_windows(log_of: LogOf) -> None:
    """Leave one window out, done by hand with the exact distance instead of the grid."""
    values = log_of(4, 1000)["brightness"].to_numpy()
    windows = plan_windows(every(10, 1000), values, 50, 500)
    assert windows is not None
    null = null_scores(values, windows)
    for index in (0, 7, 19):
        window = values[index * 50 : (index + 1) * 50]
        rest = np.concatenate([values[: index * 50], values[(index + 1) * 50 :]])
        exact = score(rest, window) * rest.std() / values.std()
        assert null[index] == pytest.approx(exact, rel=0.02)


def test_a_stricter_budget_raises_the_threshold() -> None:
    null = np.abs(np.random.default_rng(0).normal(0.3, 0.1, 200))
    values = np.random.default_rng(1).normal(size=1000)
    for current in (50, 500):
        windows = plan_windows(every(10, 1000), values, current, 10.0 * current)
        assert windows is not None
        limits = [threshold(null, windows, alarms) for alarms in (0.1, 0.01, 0.001)]
        assert limits == sorted(limits)
        assert limits[0] > null.mean()


@pytest.mark.parametrize(
    ("likeness", "rows", "current"), [(0.5, 2000, 1000), (0.5, 2000, 200), (0.95, 2000, 1000), (0.95, 2000, 200)]
)
def test_false_alarms_keep_to_their_budget(log_of: LogOf, likeness: float, rows: int, current: int) -> None:
    """5 % of reports may hold any false alarm, over all columns together; 10 % leaves room for 60 tries."""
    alarms = 0
    for seed in range(60):
        reference = log_of(2 * seed, rows, likeness=likeness)
        now = log_of(2 * seed + 1, current, likeness=likeness)
        alarms += bool(compare(reference, now).drifted)
    assert alarms <= 6


def waves(rng: np.random.Generator, rows: int, likeness: float, every: str, start: str) -> pd.DataFrame:
    """One camera with seven columns of AR(1)."""
    names = ("brightness", "contrast", "sharpness", "confidence_mean", "total", "count_person", "count_car")
    times = pd.date_range(start, periods=rows, freq=every, tz="UTC")
    values = {name: autoregressive(rng, rows, likeness) for name in names}
    return pd.DataFrame({"camera_id": "gate", "time": times, **values})


@pytest.mark.parametrize(
    ("old", "new", "judged"),
    [
        # training pictures, one an hour, and the consecutive frames of a log, in one of which a cloud may stay
        ((300, 0.0, "1h"), (2000, 0.999, "10s"), False),
        # the same, where the log is long enough for the slow changes that the reference does show
        ((600, 0.5, "1h"), (20_000, 0.5 ** (1 / 360), "10s"), True),
        # more than 20,000 rows in one span, fewer in the other
        ((60_000, 0.99, "10s"), (10_000, 0.99, "10s"), True),
        # a camera that has become slow
        ((4000, 0.9, "10s"), (150, 0.9**12, "2min"), True),
    ],
    ids=["hourly against frames", "hourly against days", "large against small", "dense against sparse"],
)
def test_spans_of_different_rates_keep_to_the_budget(
    old: tuple[int, float, str], new: tuple[int, float, str], judged: bool
) -> None:
    """Reference and current are of one distribution: one alarm in twenty reports is allowed, two leave room."""
    alarms, verdicts = 0, set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        report = compare(waves(rng, *old, "2026-11-01"), waves(rng, *new, "2027-01-01"))
        alarms += bool(report.drifted)
        verdicts.add(report.verdict)
    assert alarms <= 2
    assert ("no drift" in verdicts) is judged


def test_rates_that_differ_are_told_with_what_to_do() -> None:
    rng = np.random.default_rng(0)
    hourly, frames = (waves(rng, 300, 0, "1h", "2026-11-01"), waves(rng, 2000, 0.999, "10s", "2027-01-01"))
    reasons = {column.reason for column in compare(hourly, frames).columns}
    assert reasons == {
        "the reference has a row every 60 minutes, the current span one every 10 seconds; at one rate for both: "
        "6 rows now; at least 30 are needed"
    }


@pytest.mark.parametrize(("likeness", "least"), [(0.0, 1.0), (0.5, 1.0), (0.95, 0.75)])
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

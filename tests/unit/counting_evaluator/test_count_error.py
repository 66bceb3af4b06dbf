"""The field's count errors against numbers worked out by hand."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counting_evaluator import EvaluationError, count_error
from counting_evaluator.count_error import (
    count_figures,
    cumulative_counts,
    effectiveness,
    efficiency,
    geh,
    nwrmse,
    s1,
    total_error,
)


def test_examples() -> None:
    assert doctest.testmod(count_error).failed == 0


@pytest.mark.parametrize(
    ("counted", "true", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], 1.0),
        # weights 1/6, 2/6, 3/6 and errors 0, 0, 1: wRMSE = sqrt(1/2), of 2 vehicles
        ([1, 1, 3], [1, 1, 2], 1 - math.sqrt(0.5) / 2),
        # the same error in the first segment alone weighs sqrt(1/6)
        ([2, 1, 2], [1, 1, 2], 1 - math.sqrt(1 / 6) / 2),
        # off by more than there were
        ([0, 0, 9], [0, 0, 2], 0.0),
        # nothing counted: off by exactly as many as there were, all along
        ([0, 0, 0], [2, 2, 2], 0.0),
    ],
)
def test_nwrmse(counted: list[int], true: list[int], expected: float) -> None:
    assert nwrmse(counted, true) == pytest.approx(expected)


def test_ten_segments_weigh_one_to_ten_fiftyfifths() -> None:
    true = np.arange(1, 11)
    for late in range(10):
        counted = true.copy()
        counted[late] += 1
        assert nwrmse(counted, true) == pytest.approx(1 - math.sqrt((late + 1) / 55) / 10)


def test_effectiveness_weighs_movements_by_how_many_there_were() -> None:
    right, half = ([3], [3]), ([1], [2])
    nothing_there = ([5], [0])
    assert effectiveness([right, half, nothing_there]) == pytest.approx((3 * 1 + 2 * 0.5) / 5)


def test_where_nothing_was_true() -> None:
    assert total_error([2, 1], [0, 0]) == 3
    assert total_error([], []) == 0
    assert geh(0, 0) == 0
    assert "nae" not in count_figures([1, 0], [0, 0], [1, 1])
    for ask in (lambda: nwrmse([1], [0]), lambda: effectiveness([([1], [0])]), lambda: effectiveness([])):
        with pytest.raises(EvaluationError, match="expected at least one true crossing"):
            ask()


def test_efficiency_and_s1() -> None:
    assert efficiency(0, 10) == 1
    assert efficiency(1.1, 2) == pytest.approx(0.5)
    assert efficiency(1.1, 2, base_factor=0.5) == pytest.approx(0.75)
    assert efficiency(1, 2, reach=5) == pytest.approx(0.9)
    assert s1(0.2, 0.6) == pytest.approx(0.48)


@pytest.mark.parametrize(
    ("counted", "true", "hours", "expected"),
    [
        (100, 64, 1, math.sqrt(2 * 36**2 / 164)),
        (25, 16, 0.25, math.sqrt(2 * 36**2 / 164)),
        (0, 50, 1, 10.0),
        (8, 0, 1, 4.0),
    ],
)
def test_geh(counted: float, true: float, hours: float, expected: float) -> None:
    assert geh(counted, true, hours) == pytest.approx(expected)


def test_counts_belong_to_the_segment_in_which_they_are_made() -> None:
    assert cumulative_counts([], 4, 4).tolist() == [0, 0, 0, 0]
    assert cumulative_counts([3.2, 0.5, 1.0], 4, 4).tolist() == [2, 2, 2, 3]
    assert cumulative_counts([4.01], 4, 4).tolist() == [0, 0, 0, 1]


@given(st.lists(st.floats(0, 60), max_size=40), st.integers(1, 20))
def test_the_last_segment_holds_all(times: list[float], segments: int) -> None:
    counts = cumulative_counts(times, 60.0, segments)
    assert counts[-1] == len(times)
    assert (np.diff(counts) >= 0).all()


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=20))
def test_errors_are_none_exactly_where_the_counts_are_right(pairs: list[tuple[int, int]]) -> None:
    counted, true = zip(*pairs, strict=True)
    figures = count_figures(counted, true, [1.0] * len(pairs))
    assert (figures["error"] == 0) == (figures["mae"] == 0) == (figures["geh"] == 0) == (counted == true)
    assert total_error(counted, true) * max(sum(true), 1) == pytest.approx(figures["mae"] * len(pairs))


@pytest.mark.parametrize(
    "ask",
    [
        lambda: nwrmse([1, 2], [1]),
        lambda: nwrmse([], []),
        lambda: total_error([1], [1, 2]),
        lambda: geh(-1, 2),
        lambda: geh(1, 2, 0),
        lambda: efficiency(1, 0),
        lambda: cumulative_counts([1], 0),
        lambda: cumulative_counts([1], 5, 0),
        lambda: cumulative_counts([1], math.nan),
    ],
)
def test_what_makes_no_sense_is_refused(ask) -> None:
    with pytest.raises(EvaluationError, match="expected"):
        ask()

"""The paired bootstrap: against SciPy, by simulation, and what it says of models that do not differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from counting_evaluator.errors import EvaluationError
from counting_evaluator.paired_bootstrap import paired_difference


def test_the_interval_is_scipys_at_the_level_that_makes_up_for_few_pictures() -> None:
    rng = np.random.default_rng(5)
    mine, theirs = rng.gamma(2.0, 0.5, 30), rng.gamma(2.0, 0.4, 30)
    found = paired_difference(mine, theirs, resamples=20000)
    # Hesterberg's expanded percentiles: those of a wider normal interval, by Student's t and a variance's n - 1
    wider = 1 - 2 * stats.norm.cdf(np.sqrt(30 / 29) * stats.t.ppf(0.025, 29))
    reference = stats.bootstrap(
        (mine - theirs,), np.mean, confidence_level=wider, n_resamples=20000, method="percentile", rng=rng
    ).confidence_interval
    assert wider == pytest.approx(0.9624, abs=1e-3)
    assert found.low == pytest.approx(reference.low, abs=0.02)
    assert found.high == pytest.approx(reference.high, abs=0.02)
    assert found.value == pytest.approx((mine - theirs).mean())
    assert found.n == 30


def test_with_many_pictures_p_and_interval_are_those_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    mine, theirs = rng.poisson(1.2, 400).astype(float), rng.poisson(1.05, 400).astype(float)
    found = paired_difference(mine, theirs, resamples=20000)
    reference = stats.ttest_rel(mine, theirs)
    assert found.p == pytest.approx(reference.pvalue, abs=0.01)
    assert (found.low, found.high) == pytest.approx(tuple(reference.confidence_interval(0.95)), abs=0.01)


@pytest.mark.parametrize("pictures", [12, 44])
@pytest.mark.parametrize("share", [1.0, 0.15], ids=["on all pictures", "on few pictures"])
def test_equal_models_are_seldom_told_apart_and_the_interval_covers(pictures: int, share: float) -> None:
    """By simulation, with errors of hard and easy pictures; `share` of the pictures tell the two apart."""
    rng = np.random.default_rng(7)
    alarms = missed = 0
    shift, trials = 0.5, 400  # a half is exact in binary: quantiles fall right on it
    for trial in range(trials):
        hard = rng.gamma(1.0, 1.0, pictures)
        common = rng.poisson(hard)
        telling = rng.random(pictures) < share
        mine, theirs = (np.where(telling, rng.poisson(hard), common) for _ in range(2))
        equal = paired_difference(mine, theirs, resamples=800, seed=trial)
        alarms += equal.p < 0.05
        other = paired_difference(mine + shift, theirs, resamples=800, seed=trial)
        missed += not other.low <= shift <= other.high
    # 5 % are meant; three standard deviations of 400 trials are another 3.3 %
    assert alarms <= trials * 0.083
    assert missed <= trials * 0.083


def test_a_worse_model_is_found_out() -> None:
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(100):
        theirs = rng.poisson(0.4, 100)
        found += paired_difference(theirs + (rng.random(100) < 0.1), theirs, resamples=500).low > 0
    assert found >= 95, "one object too many on every tenth of a hundred pictures"


def test_frames_of_one_clip_are_one_witness() -> None:
    """Two clips of 50 frames: what looks like 100 witnesses is two, and two tell nothing for sure."""
    groups = np.repeat(["first", "second"], 50)
    mine, theirs = np.where(groups == "first", 2.0, 0.0), np.ones(100)
    alone, together = paired_difference(mine, theirs), paired_difference(mine, theirs, groups=groups)
    assert alone.value == together.value == 0
    assert (alone.n, together.n) == (100, 2)
    assert alone.high < 0.3
    assert together.high == 1


def test_weights_make_it_a_ratio_of_sums() -> None:
    found = paired_difference([1, 0, 3], [0, 0, 1], weights=[2, 5, 3])
    assert (found.mine, found.theirs) == (0.4, 0.1)
    assert found.value == pytest.approx(0.3)


def test_a_single_witness_gives_no_interval() -> None:
    found = paired_difference([1, 2], [0, 0], groups=["clip", "clip"])
    assert found.metrics("x") == {"x/difference": 1.5, "x/n": 1.0, "x/theirs": 0.0}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30), st.integers(0, 99))
def test_whoever_is_called_mine_the_answer_is_the_same(pairs: list[tuple[int, int]], seed: int) -> None:
    mine, theirs = np.array(pairs, float).T
    there = paired_difference(mine, theirs, resamples=300, seed=seed)
    back = paired_difference(theirs, mine, resamples=300, seed=seed)
    assert back.value == pytest.approx(-there.value)
    assert back.p == there.p
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert there.low - 1e-9 <= there.high
    assert 0 < there.p <= 1
    assert (there.p == 1) >= np.array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("mine", "theirs", "weights", "message"),
    [
        ([1, 2], [1], None, "on the same things"),
        ([], [], None, "on the same things"),
        ([1, float("nan")], [1, 1], None, "finite errors"),
        ([1, 2], [1, 1], [0, 0], "one is above it"),
    ],
)
def test_what_cannot_be_compared_is_refused(mine: list, theirs: list, weights: list | None, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        paired_difference(mine, theirs, weights)

"""What a search concludes from figures: the front, and which trial to stop."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.search import front, pruning
from pipelines.search.front import Point, pareto_front, plot_front
from pipelines.search.pruning import Progress, reason_to_stop

_POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)).map(lambda p: (float(p[0]), float(p[1]))))


@given(_POINTS)
def test_the_front_is_what_nothing_beats_and_beats_all_else(points: list[tuple[float, float]]) -> None:
    front = pareto_front(points)
    kept = [points[number] for number in front]
    for a in kept:
        assert not any(b[0] <= a[0] and b[1] <= a[1] and b != a for b in points)
    for number, point in enumerate(points):
        if number not in front:
            assert any(a[0] <= point[0] and a[1] <= point[1] and a != point for a in kept)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(1, 100)), max_size=8), st.floats(0, 1))
def test_whoever_is_clearly_the_fastest_is_never_stopped(others: list[tuple[float, float]], seen: float) -> None:
    rivals = [Progress((level, level, level), latency) for level, latency in others]
    assert reason_to_stop(Progress((0.0, 0.0, seen), 0.9), rivals, warmup=0, startup=1) is None


def test_a_slow_trial_is_held_against_what_is_no_slower_alone() -> None:
    quick = [Progress((0.1, level), 10.0) for level in (0.30, 0.40, 0.50)]
    slow = [Progress((0.1, level), 50.0) for level in (0.70, 0.80, 0.90)]
    mine = Progress((0.1, 0.45), 20.0)
    assert reason_to_stop(mine, quick + slow, warmup=1, startup=3) is None, "above 0.40, the median of its peers"
    told = reason_to_stop(Progress((0.1, 0.39), 20.0), quick + slow, warmup=1, startup=3)
    assert told is not None
    assert "0.390" in told
    assert "0.400" in told


@pytest.mark.parametrize(
    ("mine", "why"),
    [
        (Progress((0.0, 0.0), 20.0), "as many epochs as the warm-up"),
        (Progress((0.0, 0.0, 0.0), None), "nobody knows how fast it is"),
        (Progress((0.0, 0.0, 0.0, 0.0), 20.0), "the others did not come as far"),
    ],
)
def test_nothing_is_concluded_too_early(mine: Progress, why: str) -> None:
    others = [Progress((0.5, 0.6, 0.7), 10.0)] * 3
    assert reason_to_stop(mine, others, warmup=2, startup=3) is None, why


def test_what_is_slower_than_allowed_is_stopped_after_its_first_epoch() -> None:
    told = reason_to_stop(Progress((0.9,), 80.0), [], warmup=5, startup=3, latency_limit_ms=50.0)
    assert told == "a picture takes 80.0 ms, at most 50 are allowed"


def test_the_plot_rings_the_chosen_one_and_names_all() -> None:
    points = [Point(10, 2, "a", "one"), Point(20, 1, "b", "two"), Point(30, 3, "b", "three")]
    axes = plot_front(points, error="count error", chosen="two").axes[0]
    assert {text.get_text() for text in axes.texts} == {"one", "two", "three"}
    shown = [text.get_text() for text in axes.get_legend().get_texts()]
    assert shown == ["a", "b", "Pareto front", "chosen: two"]
    [line] = axes.lines
    assert line.get_xydata().tolist() == [[10, 2], [20, 1]], "three is slower than two and errs more"
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlim()[1] > 30


def test_the_examples_in_the_docstrings_run() -> None:
    for module in (front, pruning):
        result = doctest.testmod(module)
        assert result.attempted > 0
        assert result.failed == 0

"""Two evaluations held against each other, the baseline that looks at nothing, and the gate that is not flaky."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from counting_evaluator.baseline import CountBaseline, Moment
from counting_evaluator.comparison import against_metrics, compare_crossings, compare_pictures
from counting_evaluator.errors import EvaluationError


def evaluation(true: list[int], counted: list[int], *, names: list[str] | None = None) -> pd.DataFrame:
    """Of pictures with cars alone."""
    names = names or [f"{number}.jpg" for number in range(len(true))]
    columns = {"image": names, "digest": [f"sha-{name}" for name in names], "true": true, "counted": counted}
    return pd.DataFrame({**columns, "true_car": true, "counted_car": counted})


def test_figures_by_hand() -> None:
    mine, theirs = evaluation([2, 0, 4, 2], [2, 1, 3, 2]), evaluation([2, 0, 4, 2], [0, 0, 4, 4])
    found = compare_pictures(mine, theirs)
    assert {name: (each.mine, each.theirs) for name, each in found.items()} == {
        "count/mae": (0.5, 1.0),
        "count/bias": (0.0, 0.0),
        "count/mae_by_class": (0.5, 1.0),
        "count/nae": pytest.approx((0.25 / 3, 2 / 3)),
        "count/wape": (0.25, 0.5),
    }
    metrics = against_metrics("champion", found)
    assert metrics["against/champion/count/mae/difference"] == -0.5
    assert metrics["against/champion/count/mae/theirs"] == 1.0
    assert metrics["against/champion/count/mae/n"] == 4
    assert (
        metrics["against/champion/count/mae/low"]
        <= metrics["against/champion/count/mae/difference"]
        <= metrics["against/champion/count/mae/high"]
    )
    assert 0.05 < metrics["against/champion/count/mae/p"] <= 1


def test_a_car_taken_for_a_truck_counts_twice_by_class() -> None:
    mine = evaluation([1, 1], [1, 1]).assign(true_truck=[0, 0], counted_truck=[0, 1], counted_car=[1, 0])
    found = compare_pictures(mine, mine.assign(counted_truck=[0, 0], counted_car=[1, 1]))
    assert found["count/mae"].value == 0
    assert (found["count/mae_by_class"].mine, found["count/mae_by_class"].theirs) == (1.0, 0.0)


def test_only_common_pictures_are_compared_in_whatever_order_and_under_whatever_name() -> None:
    mine = evaluation([1, 2, 3, 4], [1, 2, 3, 9])
    theirs = evaluation([3, 1, 2], [3, 1, 1], names=["2.jpg", "0.jpg", "1.jpg"]).assign(image=["x", "y", "z"])
    found = compare_pictures(mine, theirs)["count/mae"]
    assert (found.mine, found.theirs, found.n) == (0.0, pytest.approx(1 / 3), 3)


def test_empty_pictures_alone_have_no_relative_error() -> None:
    found = compare_pictures(evaluation([0, 0], [1, 0]), evaluation([0, 0], [0, 0]))
    assert set(found) == {"count/mae", "count/bias", "count/mae_by_class"}


def test_frames_of_a_clip_are_drawn_together() -> None:
    names = [f"gate__{number:06d}.jpg" for number in range(20)] + ["alone.jpg"]
    both = evaluation([1] * 21, [1] * 21, names=names)
    assert compare_pictures(both, both)["count/mae"].n == 2


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (evaluation([1], [1], names=["other.jpg"]), r"without one in common \(0.jpg, 1.jpg; other.jpg\)"),
        (evaluation([1, 3], [1, 2]), r"do not agree on what is on 1.jpg \(true: 2 and 3\).*labels were\s+changed"),
        (evaluation([1, 2], [1, 2]).drop(columns="true_car"), "not evaluated on the class car"),
        (evaluation([1, 2], [1, 2]).drop(columns="digest"), "theirs: expected the table.*digest is missing"),
        (pd.concat([evaluation([1, 2], [1, 2])] * 2), "theirs: expected each picture once, 0.jpg is there twice"),
    ],
)
def test_what_cannot_be_compared_is_said(theirs: pd.DataFrame, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        compare_pictures(evaluation([1, 2], [1, 2]), theirs)


def crossings(rows: list[tuple[str, str, int, int]]) -> pd.DataFrame:
    """Of one line and class: (clip, direction, counted, true)."""
    return pd.DataFrame(
        [
            {"clip": clip, "line": "gate", "direction": way, "class_name": "car", "counted": counted, "true": true}
            for clip, way, counted, true in rows
        ]
    )


def test_crossings_are_compared_clip_by_clip() -> None:
    mine = crossings([("a", "in", 4, 4), ("a", "out", 1, 2), ("b", "in", 4, 4)])
    theirs = crossings([("a", "in", 2, 4), ("a", "out", 2, 2), ("b", "in", 4, 4), ("b", "out", 3, 0)])
    found = compare_crossings(mine, theirs)["line/error"]
    assert (found.mine, found.theirs) == (pytest.approx(0.1), pytest.approx(0.5))
    assert found.n == 2
    assert compare_crossings(crossings([("a", "in", 1, 0)]), crossings([("a", "in", 0, 0)])) == {}


def test_crossings_of_other_clips_or_of_another_truth_are_refused() -> None:
    mine = crossings([("a", "in", 4, 4)])
    with pytest.raises(EvaluationError, match="same clips, got a and b"):
        compare_crossings(mine, crossings([("b", "in", 4, 4)]))
    with pytest.raises(EvaluationError, match="how many car truly crossed gate in in a: 4 and 3"):
        compare_crossings(mine, crossings([("a", "in", 4, 3)]))


def test_the_baseline_falls_back_from_hour_to_camera_to_all() -> None:
    moments = [Moment("gate", 8), Moment("gate", 8), Moment("gate", 17), Moment("yard", 8), Moment(None, None)]
    counts = [[4, 0], [2, 0], [9, 3], [0, 1], [0, 1]]
    guess = CountBaseline.fit(moments, counts, ["car", "person"])
    asked = [Moment("gate", 8), Moment("gate", 3), Moment("roof", 8), Moment("gate", None), Moment(None, 8)]
    assert guess.predict(asked).tolist() == [[3, 0], [5, 1], [3, 1], [5, 1], [3, 1]]
    with pytest.raises(EvaluationError, match="at least one training picture"):
        CountBaseline.fit([], np.empty((0, 2)), ["car", "person"])


def test_a_model_that_sees_nothing_new_is_no_better_than_the_baseline() -> None:
    """A model that always says what is usual there differs from the baseline in nothing."""
    true = [3, 1, 3, 1, 4, 0]
    moments = [Moment("gate", 8), Moment("yard", 8)] * 3
    guess = CountBaseline.fit(moments[:4], [[3], [1], [3], [1]], ["car"])
    usual = evaluation(true, [3, 1] * 3)
    found = compare_pictures(usual, guess.table(usual, moments))["count/mae"]
    assert (found.value, found.p) == (0, 1)
    perfect = evaluation(true, true)
    assert compare_pictures(perfect, guess.table(perfect, moments))["count/mae"].value == pytest.approx(-1 / 3)


def test_an_equal_model_passes_in_at_least_95_of_100_resamplings_of_recorded_predictions() -> None:
    """The gate: nothing shows mine to be worse, that is, the interval of mine - theirs reaches down to zero.

    Recorded are 600 pictures on which two detectors of the same worth err each in its own way; each resampling is
    a test set of 60 of them, in which chance calls now the one, now the other the candidate.
    """
    rng = np.random.default_rng(11)
    true = rng.poisson(rng.gamma(2.0, 1.5, 600))
    recorded = [rng.binomial(true, 0.85) + rng.poisson(0.15, 600) for _ in range(2)]
    passed = 0
    for _ in range(100):
        drawn = rng.choice(600, 60, replace=False)
        swap = rng.random(60) < 0.5
        mine = np.where(swap, recorded[0][drawn], recorded[1][drawn])
        theirs = np.where(swap, recorded[1][drawn], recorded[0][drawn])
        names = [f"{number}.jpg" for number in drawn]
        tables = [evaluation(true[drawn].tolist(), each.tolist(), names=names) for each in (mine, theirs)]
        passed += compare_pictures(*tables, resamples=500)["count/mae"].low <= 0
    assert passed >= 95

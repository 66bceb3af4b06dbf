"""Count figures against tables worked out by hand and one-liners of NumPy and scikit-learn."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from camera_counting.detections import Detections
from counting_evaluator.counting import best_confidence, confidence_errors, count_errors, count_table
from counting_evaluator.errors import EvaluationError
from counting_evaluator.truth import LabelledPicture

COUNTS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("counted", "true", "expected"),
    [
        # errors 0 -2 +1: mean 1, squares 0 4 1, signed mean -1/3; relative (0/4 + 2/4) / 2, total 3/8
        (
            [4, 2, 1],
            [4, 4, 0],
            {"mae": 1, "rmse": math.sqrt(5 / 3), "bias": -1 / 3, "exact": 1 / 3, "nae": 0.25, "wape": 0.375},
        ),
        ([3, 3], [3, 3], {"mae": 0, "rmse": 0, "bias": 0, "exact": 1, "nae": 0, "wape": 0}),
        # every object counted twice
        ([2, 4, 6], [1, 2, 3], {"mae": 2, "rmse": math.sqrt(14 / 3), "bias": 2, "exact": 0, "nae": 1, "wape": 1}),
        # nothing is there: no relative error exists
        ([1, 0], [0, 0], {"mae": 0.5, "rmse": math.sqrt(0.5), "bias": 0.5, "exact": 0.5}),
    ],
)
def test_count_errors_of_a_table(counted: list[int], true: list[int], expected: dict[str, float]) -> None:
    assert count_errors(counted, true) == pytest.approx(expected)


def test_no_pictures_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="at least one picture"):
        count_errors([], [])


@settings(deadline=None)  # other processes share the machine
@given(COUNTS)
def test_count_errors_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    counted, true = np.array(pairs).T
    errors = count_errors(counted, true)
    assert errors["mae"] == pytest.approx(metrics.mean_absolute_error(true, counted))
    assert errors["rmse"] == pytest.approx(metrics.root_mean_squared_error(true, counted))
    assert errors["exact"] == pytest.approx(metrics.accuracy_score(true, counted))
    filled = true > 0
    if filled.any():
        expected = metrics.mean_absolute_percentage_error(true[filled], counted[filled])
        assert errors["nae"] == pytest.approx(expected)


@settings(deadline=None)  # other processes share the machine
@given(COUNTS)
def test_bias_turns_its_sign_with_the_counts_and_the_rest_does_not(pairs: list[tuple[int, int]]) -> None:
    counted, true = np.array(pairs).T
    mirrored = count_errors(2 * true - counted, true)
    errors = count_errors(counted, true)
    assert mirrored.pop("bias") == pytest.approx(-errors.pop("bias"))
    assert mirrored == pytest.approx(errors)


def _seen(*scores: float, class_id: int = 0) -> Detections:
    boxes = [[10 * number, 0, 10 * number + 9, 9] for number in range(len(scores))]
    return Detections.of(boxes, scores, [class_id] * len(scores), ["person", "car"])


def _picture(*labels: str) -> LabelledPicture:
    boxes = np.array([[0, 0, 9, 9]] * len(labels), np.float32).reshape(-1, 4)
    return LabelledPicture(Path("none.jpg"), boxes, labels)


def test_the_confidence_is_in_the_middle_of_where_counts_are_right() -> None:
    # Two persons at 0.8 and 0.6, clutter at 0.3: right from 0.31 to 0.60, whose middle is about 0.45.
    pictures = [_picture("person", "person")] * 3
    found = [_seen(0.8, 0.6, 0.3)] * 3
    assert best_confidence(pictures, found, ["person", "car"]) == pytest.approx(0.455, abs=0.02)


def test_the_confidence_minds_the_class_not_only_the_total() -> None:
    # A car below 0.5 taken for a person: the total would be right at any confidence below 0.5.
    pictures = [_picture("person", "car")] * 2
    found = [
        Detections.of([[0, 0, 9, 9], [20, 0, 29, 9]], [0.9, 0.5], [0, 0], ["person", "car"]),
    ] * 2
    chosen = best_confidence(pictures, found, ["person", "car"])
    assert 0.5 < chosen < 0.9


def test_the_confidence_error_is_the_sum_over_pictures_and_classes() -> None:
    pictures = [_picture("person"), _picture("car", "car")]
    found = [_seen(0.9, 0.4), _seen(0.7, class_id=1)]
    confidences, errors = confidence_errors(pictures, found, ["person", "car"], least=0.3, most=0.8, step=0.1)
    by_confidence = dict(zip(confidences.tolist(), errors.tolist(), strict=True))
    # 0.3: one person too many, one car too few; 0.5: one car too few; 0.8: two cars too few
    assert by_confidence == {0.3: 2, 0.4: 2, 0.5: 1, 0.6: 1, 0.7: 1, 0.8: 2}


def test_no_object_gives_no_confidence() -> None:
    with pytest.raises(EvaluationError, match="all are empty"):
        best_confidence([_picture()], [_seen(0.9)], ["person"])


def test_a_class_that_the_model_does_not_know_counts_as_nothing() -> None:
    assert count_table([_seen(0.9)], ["person", "bus"], 0.5).tolist() == [[1, 0]]


def test_every_confidence_is_counted_as_at_least_would() -> None:
    """Also where a score is the very confidence, which float32 and float64 write differently."""
    rng = np.random.default_rng(3)
    names = ("person", "dog", "car")
    labelled, found = [], []
    for number in range(25):
        labels = tuple(rng.choice(["person", "car"], int(rng.integers(0, 6))))
        boxes = np.tile(np.array([0, 0, 5, 5], np.float32), (len(labels), 1))
        labelled.append(LabelledPicture(Path(f"{number}.jpg"), boxes, labels))
        seen = int(rng.integers(0, 9))
        scores = rng.integers(0, 101, seen) / 100  # every one of them is a candidate
        found.append(Detections.of(np.tile([0, 0, 5, 5], (seen, 1)), scores, rng.integers(0, 3, seen), names))
    candidates, errors = confidence_errors(labelled, found, ["car", "person"])
    for value, error in zip(candidates, errors, strict=True):
        counted = [each.at_least(float(value)).counts() for each in found]
        expected = sum(
            abs(row[name] - picture.labels.count(name))
            for row, picture in zip(counted, labelled, strict=True)
            for name in ("car", "person")
        )
        assert error == expected
    assert len(candidates) == 91

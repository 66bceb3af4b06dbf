"""Slices: which pictures they hold, what is refused, and their figures against those of the pictures alone."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_counting.detections import Detections
from counting_evaluator.counting import count_errors, count_table, true_counts
from counting_evaluator.detection import evaluate_detection
from counting_evaluator.errors import EvaluationError
from counting_evaluator.slices import (
    find_slices,
    metric_names,
    renamed_slices,
    size_metrics,
    slice_metrics,
)
from counting_evaluator.truth import LabelledPicture

NAMES = ("person", "car")


def _picture(number: int, objects: int = 1, **slices: str) -> LabelledPicture:
    x = 30 * np.arange(objects)
    boxes = np.stack([x, np.zeros(objects), x + 20, np.full(objects, 20)], axis=1).astype(np.float32)
    labels = tuple(NAMES[(number + place) % 2] for place in range(objects))
    return LabelledPicture(Path(f"{number}.jpg"), boxes, labels, slices)


def _found(pictures: list[LabelledPicture], columns: list[str] | None = None) -> dict[str, dict[str, list[int]]]:
    total = np.array([len(picture.labels) for picture in pictures])
    slices = find_slices(pictures, total, columns)
    return {
        column: {value: np.flatnonzero(mask).tolist() for value, mask in m.items()} for column, m in slices.items()
    }


def test_density_tells_empty_pictures_from_full_ones() -> None:
    pictures = [_picture(number, objects) for number, objects in enumerate([0, 1, 4, 5, 9, 10, 25])]
    assert _found(pictures) == {"density": {"empty": [0], "few": [1, 2], "some": [3, 4], "many": [5, 6]}}
    assert _found(pictures[:1]) == {"density": {"empty": [0]}}


def test_every_value_of_a_column_is_a_slice_and_missing_ones_are_in_none() -> None:
    pictures = [_picture(0, light="day"), _picture(1, light="night"), _picture(2), _picture(3, light="")]
    assert _found(pictures)["light"] == {"day": [0], "night": [1]}


def test_a_table_s_own_column_goes_first() -> None:
    assert _found([_picture(0, density="crowd")]) == {"density": {"crowd": [0]}}


def test_only_what_was_asked_for() -> None:
    pictures = [_picture(0, light="day", weather="rain")]
    assert set(_found(pictures, ["weather"])) == {"weather"}
    assert set(_found(pictures, ["density", "size"])) == {"density"}


def test_an_empty_slice_is_named() -> None:
    pictures = [_picture(0, light="day"), _picture(1, light="", site="")]
    with pytest.raises(
        EvaluationError, match=r"slice weather: no picture has a value .* values for light, .*density"
    ):
        _found(pictures, ["weather"])


def test_values_that_would_be_one_metric_are_told_apart() -> None:
    pictures = [_picture(0, camera_id="hall/1"), _picture(1, camera_id="hall_1"), _picture(2, camera_id="hall:1")]
    # printf %s hall/1 | sha256sum; the same for hall:1
    expected = {"hall_1-4b808275": [0], "hall_1": [1], "hall_1-b79f9f32": [2]}
    assert _found(pictures)["camera_id"] == expected
    assert _found(pictures[::-1])["camera_id"] == {name: [2 - place[0]] for name, place in expected.items()}
    masks = find_slices(pictures, np.array([1, 1, 1]))
    told = renamed_slices(pictures, masks).to_dict("records")
    assert [(row["value"], row["metrics"], row["n"]) for row in told] == [
        ("hall/1", "slice/camera_id/hall_1-4b808275", 1),
        ("hall:1", "slice/camera_id/hall_1-b79f9f32", 1),
    ]
    assert renamed_slices(pictures[1:2], find_slices(pictures[1:2], np.array([1]))).empty


@given(st.sets(st.text(alphabet="ab/_:.", max_size=4) | st.text(max_size=120), max_size=8))
def test_no_two_texts_have_one_name(texts: set[str]) -> None:
    names = metric_names(sorted(texts))
    assert len(set(names.values())) == len(texts)
    assert all(re.fullmatch(r"[\w.\- ]*", name) and len(name) <= 145 for name in names.values())
    assert metric_names(sorted(texts, reverse=True)) == names


def test_columns_that_would_be_one_metric_are_told_apart() -> None:
    empty = np.zeros((0, 4), np.float32)
    found = _found([LabelledPicture(Path("0.jpg"), empty, (), {"a/b": "1", "a_b": "2"})])
    assert {column: values for column, values in found.items() if column != "density"} == {
        "a_b-c14cddc0": {"1": [0]},
        "a_b": {"2": [0]},
    }


@pytest.mark.parametrize(
    ("value", "name"), [("..", "__"), ("Höhe 3", "Höhe 3"), ("a" * 150, "a" * 100), ("x:y", "x_y")]
)
def test_values_become_what_mlflow_takes(value: str, name: str) -> None:
    assert list(_found([_picture(0, camera_id=value)])["camera_id"]) == [name]


def test_a_column_of_ids_is_no_slice_but_many_cameras_are(caplog: pytest.LogCaptureFixture) -> None:
    pictures = [_picture(number, frame=f"f{number}", camera_id=f"c{number}") for number in range(30)]
    with caplog.at_level(logging.WARNING, "counting_evaluator"):
        found = _found(pictures)
    assert "frame" not in found
    assert len(found["camera_id"]) == 30
    assert "slice frame: 30 values, more than 24" in caplog.text
    with pytest.raises(EvaluationError, match="slice frame: 30 values, more than 24"):
        _found(pictures, ["frame"])


def test_figures_of_a_slice_are_those_of_its_pictures_alone() -> None:
    rng = np.random.default_rng(4)
    pictures = [_picture(n, int(rng.integers(0, 6)), camera_id=f"c{n % 3}") for n in range(30)]
    found = []
    for picture in pictures:
        keep = rng.random(len(picture.labels)) < 0.7
        extra = np.array([[200, 100, 220, 120]] * int(rng.integers(0, 3)), np.float32).reshape(-1, 4)
        ids = [NAMES.index(label) for label, kept in zip(picture.labels, keep, strict=True) if kept]
        boxes = np.concatenate([picture.boxes[keep], extra])
        found.append(Detections.of(boxes, rng.uniform(0.2, 1, len(boxes)), [*ids, *([1] * len(extra))], NAMES))
    counted, true = count_table(found, NAMES, 0.4), true_counts(pictures, NAMES)
    matches = evaluate_detection(pictures, found, NAMES, 0.4).matches
    slices = find_slices(pictures, true.sum(axis=1))
    metrics = slice_metrics(slices, [matches[name] for name in NAMES], counted, true, 0.4)
    for value in ("c0", "c1", "c2"):
        mine = [number for number, picture in enumerate(pictures) if picture.slices["camera_id"] == value]
        alone = evaluate_detection([pictures[n] for n in mine], [found[n] for n in mine], NAMES, 0.4).metrics
        errors = count_errors(counted[mine].sum(axis=1), true[mine].sum(axis=1))
        prefix = f"slice/camera_id/{value}"
        assert metrics[f"{prefix}/n"] == len(mine) == 10
        for name in ("map50", "precision", "recall", "f1"):
            assert metrics[f"{prefix}/detection/{name}"] == pytest.approx(alone[name])
        for name in ("mae", "rmse", "bias", "nae"):
            assert metrics[f"{prefix}/count/{name}"] == pytest.approx(errors[name])
    assert metrics["slice/density/empty/count/mae"] == metrics["slice/density/empty/count/bias"] > 0
    assert "slice/density/empty/count/nae" not in metrics, "nothing to relate it to"
    assert "slice/density/empty/detection/map50" not in metrics


def test_sizes_have_no_counts() -> None:
    metrics = size_metrics({"small": {"n": 4, "recall": 0.5, "map50": 0.4, "map50_95": float("nan")}})
    assert metrics == {
        "slice/size/small/n": 4,
        "slice/size/small/detection/recall": 0.5,
        "slice/size/small/detection/map50": 0.4,
    }

"""GAME against grids worked out by hand, and what must hold of any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_counting.detections import Detections
from counting_evaluator.game import grid_errors
from counting_evaluator.truth import LabelledPicture

NAMES = ("person", "car")
SIZE = np.array([[80, 80]])


def _at(*centres: tuple[float, float]) -> np.ndarray:
    return np.array([[x - 2, y - 2, x + 2, y + 2] for x, y in centres], np.float32).reshape(-1, 4)


def _errors(true: list[tuple[float, float]], seen: list[tuple[float, float]], level: int) -> int:
    picture = LabelledPicture(Path("a.jpg"), _at(*true), ("car",) * len(true))
    found = Detections.of(_at(*seen), [0.9] * len(seen), [1] * len(seen), NAMES)
    return int(grid_errors([picture], [found], NAMES, 0.5, SIZE, level)[0])


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        # by level: the whole, 2x2 cells of 40, 4x4 of 20, 8x8 of 10 pixels
        ([(5, 5), (75, 75)], [0, 0, 0, 0]),
        ([(15, 5), (75, 75)], [0, 0, 0, 2]),  # ten pixels beside it
        ([(25, 5), (75, 75)], [0, 0, 2, 2]),
        ([(75, 5), (5, 75)], [0, 4, 4, 4]),  # in the two other corners: right on the whole, wrong everywhere
        ([(5, 5)], [1, 1, 1, 1]),
        ([], [2, 2, 2, 2]),
        ([(5, 5), (75, 75), (40, 40)], [1, 1, 1, 1]),
    ],
)
def test_errors_worked_out_by_hand(seen: list[tuple[float, float]], expected: list[int]) -> None:
    assert [_errors([(5, 5), (75, 75)], seen, level) for level in range(4)] == expected


def test_cells_are_parts_of_each_picture_by_itself() -> None:
    """A picture twice as large has cells twice as large; width and height are not mistaken for each other."""
    wide = LabelledPicture(Path("a.jpg"), _at((150, 10)), ("car",))
    found = Detections.of(_at((90, 10)), [0.9], [1], NAMES)
    for size, expected in (([160, 20], 0), ([240, 20], 2), ([20, 240], 0)):
        assert grid_errors([wide], [found], NAMES, 0.5, np.array([size]), 1).tolist() == [expected]


def test_faint_detections_and_other_classes_do_not_count() -> None:
    picture = LabelledPicture(Path("a.jpg"), _at((5, 5), (5, 5)), ("car", "tram"))
    found = Detections.of(_at((5, 5), (5, 5), (5, 5)), [0.9, 0.4, 0.9], [1, 1, 0], NAMES)
    assert grid_errors([picture], [found], ["car"], 0.5, SIZE, 3).tolist() == [0]


def test_no_picture_and_no_object_are_no_error() -> None:
    assert grid_errors([], [], NAMES, 0.5, np.zeros((0, 2), int), 2).tolist() == []
    assert _errors([], [], 3) == 0


_CENTRES = st.lists(st.tuples(st.floats(2, 78), st.floats(2, 78)), max_size=8)


@given(_CENTRES, _CENTRES)
def test_a_finer_grid_never_forgives(true: list[tuple[float, float]], seen: list[tuple[float, float]]) -> None:
    errors = [_errors(true, seen, level) for level in range(4)]
    assert errors == sorted(errors)
    assert errors[0] == abs(len(true) - len(seen))

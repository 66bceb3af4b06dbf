"""Line errors against tables worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from counting_evaluator.errors import EvaluationError
from counting_evaluator.lines import compare_lines, line_errors


def _line(**by_class: tuple[int, int]) -> dict[str, Any]:
    return {
        "in": sum(pair[0] for pair in by_class.values()),
        "out": sum(pair[1] for pair in by_class.values()),
        "by_class": {name: {"in": pair[0], "out": pair[1]} for name, pair in by_class.items()},
    }


@pytest.mark.parametrize(
    ("counted", "true", "expected"),
    [
        pytest.param(
            {"road": _line(car=(3, 1))}, {"road": _line(car=(3, 1))},
            {"error": 0, "error/in": 0, "error/out": 0, "error_any_class": 0, "counted": 4, "true": 4},
            id="right",
        ),
        pytest.param(
            {"road": _line(car=(5, 1))}, {"road": _line(car=(4, 2))},
            # 1 too many in, 1 too few out, of 6: the directions do not make up for each other
            {"error": 2 / 6, "error/in": 1 / 4, "error/out": 1 / 2, "error_any_class": 2 / 6, "counted": 6},
            id="directions",
        ),
        pytest.param(
            {"road": _line(truck=(1, 0), car=(1, 0))}, {"road": _line(car=(2, 0))},
            # a car taken for a truck: one car too few and one truck too many of 2
            {"error": 1, "error/in": 1, "error_any_class": 0, "error/car": 0.5, "error/truck": 1},
            id="class",
        ),
        pytest.param(
            {"road": _line(car=(4, 0)), "path": _line(person=(0, 0))},
            {"road": _line(car=(2, 0)), "path": _line(person=(0, 2))},
            # every car twice, no person: 2 + 2 of 4
            {"error": 1, "error/car": 1, "error/person": 1, "counted": 4, "true": 4},
            id="double and dropped",
        ),
        pytest.param(
            {"road": _line(car=(2, 0))}, {"road": _line()},
            # nothing crossed: two false crossings are an error of 2, never 0
            {"error": 2, "counted": 2, "true": 0},
            id="nothing true",
        ),
    ],
)  # fmt: skip
def test_errors_of_a_clip(counted: dict[str, Any], true: dict[str, Any], expected: dict[str, float]) -> None:
    figures = line_errors(compare_lines("clip", counted, true))
    assert {name: figures[name] for name in expected} == pytest.approx(expected)


def test_clips_are_summed_before_dividing() -> None:
    cells = compare_lines("a", {"l": _line(car=(9, 0))}, {"l": _line(car=(10, 0))})
    cells += compare_lines("b", {"l": _line(car=(1, 0))}, {"l": _line(car=(2, 0))})
    assert line_errors(cells)["error"] == pytest.approx(2 / 12)


def test_other_classes_are_left_out() -> None:
    cells = compare_lines("a", {"l": _line(car=(1, 0), dog=(7, 7))}, {"l": _line(car=(1, 0))}, ["car"])
    assert line_errors(cells)["error"] == 0


def test_lines_must_be_those_of_the_truth() -> None:
    with pytest.raises(EvaluationError, match="clip a: expected counts for the lines gate, road"):
        compare_lines("a", {"road": _line()}, {"road": _line(), "gate": _line()})

"""When a repetition is one: worked out by hand."""

from __future__ import annotations

import math

import pytest

from pipelines.reproduction.comparison import Facts, compare


@pytest.mark.parametrize(
    ("old", "new", "tolerance", "verdict"),
    [
        ([0.5], [0.5], 0.0, "identical"),
        ([0.5], [0.5000001], 0.0, "differs"),
        ([0.5], [0.51], 0.02, "within tolerance"),
        ([0.5], [0.53], 0.02, "differs"),
        ([200.0], [203.0], 0.02, "within tolerance"),  # 1.5 % of what is above 1
        ([200.0], [205.0], 0.02, "differs"),
        ([1.0, 0.5], [1.2, 0.5], 0.1, "differs"),  # an epoch before the last
        ([1.0, 0.5], [0.5], 0.1, "differs"),
        ([0.5], [], 0.1, "differs"),
        ([], [0.5], 0.1, "differs"),
        ([math.nan], [math.nan], 0.0, "identical"),
        ([math.nan], [0.5], 0.1, "differs"),
        ([math.inf], [0.5], 0.1, "differs"),
    ],
)
def test_figures(old: list[float], new: list[float], tolerance: float, verdict: str) -> None:
    before, after = (Facts({"count/mae": values} if values else {}, data={"set": "d"}) for values in (old, new))
    assert compare(before, after, tolerance).verdict == verdict


@pytest.mark.parametrize(
    "name",
    ["latency/p95_ms", "throughput/pictures_per_second", "seconds", "system/cpu", "memory/peak_mb", "x/p50_ms"],
)
def test_what_the_machine_does_beside_is_told_and_not_judged(name: str) -> None:
    found = compare(Facts({name: [1.0], "count/mae": [1.0]}), Facts({name: [9.0], "count/mae": [1.0]}), 0.0)
    assert found.verdict == "identical"
    assert [(row.name, row.recorded, row.reproduced) for row in found.rows if row.standing == "told"] == [
        (name, "1", "9")
    ]


def test_parameters_that_are_numbers_have_the_tolerance_too() -> None:
    before = Facts(params={"confidence": "0.40", "model": "n"})
    assert compare(before, Facts(params={"confidence": "0.405", "model": "n"}), 0.01).verdict == "within tolerance"
    assert compare(before, Facts(params={"confidence": "0.40", "model": "s"}), 0.01).verdict == "differs"


def test_data_must_be_the_very_same() -> None:
    found = compare(Facts(data={"data set": "a"}), Facts(data={"data set": "b"}), 1.0)
    assert found.verdict == "differs"
    assert "data set was a, is b" in found.sentence


@pytest.mark.parametrize(("tolerance", "verdict"), [(0.0, "differs"), (0.01, "within tolerance")])
def test_the_detectors_bytes_are_binding_at_tolerance_0_alone(tolerance: float, verdict: str) -> None:
    before, after = (Facts(files={"model/d.onnx": digest, "plot.png": digest}) for digest in ("a", "b"))
    found = compare(before, after, tolerance, exact=(".onnx",))
    assert found.verdict == verdict
    assert {row.name: row.standing for row in found.rows}["plot.png"] == "told"


def test_nothing_to_compare_is_no_success() -> None:
    assert compare(Facts(), Facts(), 1.0).verdict == "differs"
    assert compare(Facts({"seconds": [1.0]}), Facts({"seconds": [1.0]}), 1.0).verdict == "differs"


def test_the_table_begins_with_what_differs() -> None:
    found = compare(Facts({"a": [1.0], "z": [1.0]}), Facts({"a": [1.0], "z": [2.0]}), 0.0)
    assert list(found.table()["name"]) == ["z", "a"]

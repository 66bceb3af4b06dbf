"""The paired bootstrap: against SciPy's, with groups, and the tables that it reads."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from model_governance.paired import paired_difference
from model_governance.rules import PairedTest
from model_governance.samples import Samples, read_samples


def samples(values: Any, groups: tuple[str, ...] | None = None) -> Samples:
    keys = tuple(f"{number:05}" for number in range(len(values)))
    return Samples(keys=keys, values=tuple(float(each) for each in values), groups=groups)


def test_it_agrees_with_scipy() -> None:
    rng = np.random.default_rng(4)
    theirs = rng.gamma(2.0, 2.0, 120)
    mine = theirs + rng.normal(0.3, 1.0, 120)
    found = paired_difference(samples(mine), samples(theirs), resamples=20_000, seed=1)
    known = stats.bootstrap(
        (mine - theirs,), np.mean, n_resamples=20_000, confidence_level=0.95, method="percentile", rng=2
    ).confidence_interval
    assert found.difference == pytest.approx((mine - theirs).mean())
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=0.01)
    assert (found.mine, found.theirs) == pytest.approx((mine.mean(), theirs.mean()))


def test_it_is_the_same_each_time_and_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    mine, theirs = samples(rng.normal(size=50)), samples(rng.normal(size=50))
    first = paired_difference(mine, theirs)
    assert paired_difference(mine, theirs) == first
    monkeypatch.setattr("model_governance.paired._DRAWS_AT_ONCE", 500)
    assert paired_difference(mine, theirs) == first


def test_only_shared_samples_count_in_whatever_order() -> None:
    mine = Samples(keys=("a", "b", "x"), values=(1.0, 2.0, 100.0))
    theirs = Samples(keys=("b", "a", "y"), values=(0.0, 0.0, -100.0))
    found = paired_difference(mine, theirs)
    assert (found.difference, found.pairs) == (1.5, 2)
    with pytest.raises(ValueError, match="no sample is in both"):
        paired_difference(samples([1.0]), Samples(keys=("other",), values=(1.0,)))


def test_samples_that_belong_together_are_drawn_as_wholes() -> None:
    """Ten cameras with a difference of their own each: 400 pictures know no more than the ten."""
    rng = np.random.default_rng(6)
    per_camera = rng.normal(0.0, 1.0, 10)
    mine, groups = np.repeat(per_camera, 40), tuple(f"c{number}" for number in range(10) for _ in range(40))
    grouped = paired_difference(samples(mine, groups), samples(np.zeros(400)))
    alone = paired_difference(samples(mine), samples(np.zeros(400)))
    assert (grouped.units, alone.units) == (10, 400)
    assert grouped.high - grouped.low > 4 * (alone.high - alone.low)


TABLE = {
    "columns": ["image", "digest", "error", "camera"],
    "data": [["b.png", "d2", -3, "c1"], ["a.png", "d1", 2.5, "c2"]],
}


def read(table: Any, **test: Any) -> Samples:
    return read_samples(json.dumps(table), PairedTest.model_validate({"key": "digest", "value": "error", **test}))


def test_a_table_is_read_by_its_columns() -> None:
    assert read(TABLE) == Samples(keys=("d1", "d2"), values=(2.5, -3.0))
    assert read(TABLE, of="absolute").values == (2.5, 3.0)
    rows = [["a", "d1", 2, "c1"], ["b", "d2", 5, "c2"]]
    counts = {"columns": ["true", "digest", "error", "camera"], "data": [[7, *row[1:]] for row in rows]}
    assert read(counts, minus="true", of="absolute", group="camera") == Samples(
        keys=("d1", "d2"), values=(5.0, 2.0), groups=("c1", "c2")
    )
    assert read(TABLE, minus="image").problem.endswith("image is 'b.png', expected a number")
    assert read(TABLE, of="square", group="camera") == Samples(
        keys=("d1", "d2"), values=(6.25, 9.0), groups=("c2", "c1")
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"columns": ["image", "x", "error", "camera"]}, "has no column digest; it has image, x, error, camera"),
        ({"data": [["a", "d1", None, "c"]]}, "row 0 of evaluation_table.json: error is None, expected a number"),
        ({"data": [["a", "d1", "2", "c"]]}, "error is '2', expected a number"),
        ({"data": [["a", None, 2, "c"]]}, "row 0 of evaluation_table.json has no digest"),
        ({"data": [["a", "d1", 1, "c"], ["b", "d1", 2, "c"]]}, "'d1' stands in evaluation_table.json twice"),
        ({"data": [["a", "d1", 1, "c"], ["b"]]}, "row 1 of evaluation_table.json is no list of 4 cells"),
        ({"data": ["abcd"]}, "row 0 of evaluation_table.json is no list of 4 cells"),
        ({"data": [["a", "d1", 10**400, "c"]]}, "expected a number"),
        ({"data": 3}, "is no table in MLflow's JSON"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(change: dict[str, Any], problem: str) -> None:
    found = read({**TABLE, **change})
    assert problem in found.problem
    assert found.keys == ()


def test_what_is_too_large_to_be_squared_is_no_sample() -> None:
    assert read({**TABLE, "data": [["a", "d1", 1e200, "c"]]}, of="square").problem.endswith("is too large")


def test_the_same_sample_twice_with_the_same_number_is_one() -> None:
    assert read({**TABLE, "data": TABLE["data"] * 2}).keys == ("d1", "d2")
    assert read_samples("no JSON", PairedTest(key="a", value="b")).problem

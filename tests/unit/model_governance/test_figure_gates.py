"""Gates on slices, on the champion slice by slice and sample by sample, and on what errors cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_gates import NOW, evidence, policy

from model_governance import Evidence, Policy, judge
from model_governance.gates import GateResult
from model_governance.rules import PairedTest
from model_governance.samples import Samples

CAMERAS = {"gate": (1.0, 30), "yard": (2.5, 40), "roof": (9.0, 3)}


def by_camera(figures: dict[str, tuple[float, float]], **changes: Any) -> Evidence:
    metrics: dict[str, float] = {}
    for name, (value, samples) in figures.items():
        metrics |= {f"slice/camera_id/{name}/count/mae": value, f"slice/camera_id/{name}/n": samples}
    return evidence(metrics, **changes)


def rows(rule: Policy, mine: Evidence, champion: Evidence | None = None) -> tuple[GateResult, ...]:
    return judge(rule, mine, champion, NOW).rows


def slices(**rule: Any) -> Policy:
    return policy("slices", **{"metric": "slice/camera_id/*/count/mae", "min_samples": 20, **rule})


def test_every_slice_with_samples_enough_is_judged() -> None:
    (row,) = rows(slices(max=2.5), by_camera(CAMERAS))
    assert row.passed
    assert (row.gate, row.expected) == ("slice/camera_id/*/count/mae", "at most 2.5 in each")
    assert row.got == "yard 2.5, gate 1; too few samples to judge: roof (3)"
    (row,) = rows(slices(max=2), by_camera(CAMERAS))
    assert not row.passed
    assert (row.gate, row.got) == ("slice/camera_id/yard/count/mae", "2.5 (40 samples)")


@pytest.mark.parametrize(
    ("figures", "got"),
    [
        ({}, "no metric has such a name; evaluate the model again"),
        ({"roof": (0.0, 19)}, "roof (19)"),
        ({"gate": (float("nan"), 30)}, "nan (30 samples)"),
    ],
)
def test_a_pattern_that_judges_nothing_fails(figures: dict[str, tuple[float, float]], got: str) -> None:
    (row,) = rows(slices(max=99), by_camera(figures))
    assert (row.passed, row.got) == (False, got)


def test_a_slice_without_its_figure_or_its_number_of_samples_fails() -> None:
    (row,) = rows(slices(max=99), evidence({"slice/camera_id/gate/n": 50}))
    assert (row.gate, row.got, row.passed) == (
        "slice/camera_id/gate/count/mae",
        "not measured (50 samples)",
        False,
    )
    (row,) = rows(slices(max=99), evidence({"slice/camera_id/gate/count/mae": 1}))
    assert (row.expected, row.passed) == ("its number of samples as slice/camera_id/gate/n", False)


def test_other_columns_and_longer_names_are_no_slices_of_this_pattern() -> None:
    shown = evidence(
        {"slice/light/night/count/mae": 99, "slice/camera_id/a/b/count/mae": 99}
        | {
            "slice/camera_id/gate/count/mae": 1,
            "slice/camera_id/gate/n": 50,
        }
    )
    (row,) = rows(slices(max=1), shown)
    assert row.passed


def test_no_slice_may_fall_behind_the_champion() -> None:
    rule = slices(better="lower", worse_by_at_most=0.5)
    champion = by_camera({"gate": (1.0, 30), "yard": (1.9, 40)})
    (row,) = rows(rule, by_camera({"gate": (0.1, 30), "yard": (2.5, 40)}), champion)
    assert (row.passed, row.gate) == (False, "slice/camera_id/yard/count/mae")
    assert (row.expected, row.got) == ("at most 2.4 (champion 1.9)", "2.5 (40 samples)")
    assert rows(rule, by_camera({"gate": (1.5, 30), "yard": (2.4, 40)}), champion)[0].passed
    assert rows(rule, by_camera({"gate": (99, 30)}))[0].passed, "there is no champion yet"
    (row,) = rows(rule, by_camera({"gate": (1.0, 30)}, data="d2"), champion)
    assert row.expected == "both measured on the same data"
    (row,) = rows(rule, by_camera({"roof": (1.0, 30)}), champion)
    assert "evaluate the champion" in row.got


def test_old_figures_of_slices_are_old() -> None:
    both = Policy.model_validate(
        {
            "format_version": 1,
            "slices": [{"metric": "slice/camera_id/*/count/mae", "max": 9, "reason": "each camera"}],
            "freshness": [{"max_age_days": 30, "unchanged_since_evaluation": False, "reason": "old"}],
        }
    )
    assert judge(both, by_camera(CAMERAS, days_old=29), None, NOW).passed
    (row,) = judge(both, by_camera(CAMERAS, days_old=31), None, NOW).failures
    assert row.gate == "age of metrics"


@pytest.mark.parametrize(
    ("relative", "mine", "passed"),
    [(True, 129, True), (True, 131, False), (False, 100.3, True), (False, 129, False)],
)
def test_a_margin_may_be_a_share_of_the_champions_value(relative: bool, mine: float, passed: bool) -> None:
    rule = policy("champion", metric="ms", better="lower", worse_by_at_most=0.3, relative=relative)
    assert judge(rule, evidence({"ms": mine}), evidence({"ms": 100}), NOW).passed is passed


# Over-counting costs 1, under-counting 2: 1.5 MAE - 0.5 bias. Worked out by hand for two pictures, counted - true
# = +3 and -1: MAE 2, bias 1, so 2.5 a picture; 3 * 1 + 1 * 2 = 5 over two pictures.
COST = {
    "cost": "wrong counts",
    "unit": "EUR",
    "terms": [
        {"metric": "count/mae", "weight": 1.5},
        {"metric": "count/bias", "weight": -0.5},
    ],
}
WRONG = {"count/mae": 2.0, "count/bias": 1.0}


def test_a_cost_is_the_weighted_sum() -> None:
    (row,) = rows(policy("business", **COST, max=2.5), evidence(WRONG))
    assert (row.got, row.passed) == ("2.5 EUR", True)
    assert not rows(policy("business", **COST, max=2.49), evidence(WRONG))[0].passed


def test_a_cost_is_held_against_the_champions() -> None:
    rule = policy("business", **COST, worse_by_at_most=0.1)
    champion = evidence({"count/mae": 1.0, "count/bias": -1.0})  # 2.0
    (row,) = rows(rule, evidence(WRONG), champion)
    assert (row.expected, row.got, row.passed) == ("at most 2.1 (champion 2)", "2.5", False)
    assert rows(rule, evidence(WRONG))[0].passed
    (row,) = rows(rule, evidence(WRONG, data="other"), champion)
    assert row.expected == "both measured on the same data"


@pytest.mark.parametrize("shown", [{}, {"count/mae": 2.0}, {"count/mae": float("nan"), "count/bias": 0.0}])
def test_a_cost_without_one_of_its_metrics_fails(shown: dict[str, float]) -> None:
    (row,) = rows(policy("business", **COST, max=1e9), evidence(shown))
    assert not row.passed
    assert row.got.startswith("not measured: ")


TEST = {"key": "digest", "value": "error"}


def sampled(errors: dict[str, float] | list[float], **changes: Any) -> Evidence:
    known = errors if isinstance(errors, dict) else {f"p{number:04}": each for number, each in enumerate(errors)}
    samples = Samples(keys=tuple(sorted(known)), values=tuple(known[key] for key in sorted(known)))
    mean = sum(known.values()) / len(known)
    return evidence({"count/mae": mean}, samples={PairedTest(**TEST).columns: samples}, **changes)


def paired(margin: float = 0.2, **changes: Any) -> Policy:
    test = {**TEST, "resamples": 1000, **changes}
    return policy("champion", metric="count/mae", better="lower", worse_by_at_most=margin, paired=test)


def test_only_what_is_shown_to_be_worse_is_refused() -> None:
    rng = np.random.default_rng(0)
    champions = rng.poisson(2.0, 200).astype(float).tolist()
    slightly = [each + step for each, step in zip(champions, rng.choice([-1.0, 0, 1.0], 200), strict=True)]
    (row,) = rows(paired(0.0), sampled(slightly), sampled(champions))
    assert row.passed, row.sentence()
    assert "over 200 pairs" in row.got
    (row,) = rows(paired(0.2), sampled([each + 1 for each in champions]), sampled(champions))
    assert not row.passed
    assert row.got == "worse by +1 [+1, +1] over 200 pairs"
    assert rows(paired(1.0), sampled([each + 1 for each in champions]), sampled(champions))[0].passed


def test_the_burden_of_proof_can_be_the_candidates() -> None:
    few = [0.0, 4.0] * 12
    other = [4.0, 0.0] * 12  # the same on average, and nothing is shown by so few
    assert rows(paired(0.2), sampled(few), sampled(other))[0].passed
    (row,) = rows(paired(0.2, refuse="not_shown_within"), sampled(few), sampled(other))
    assert not row.passed
    assert rows(paired(0.2, refuse="not_shown_within"), sampled(few), sampled(few))[0].passed


def test_a_comparison_of_few_pairs_shows_nothing() -> None:
    (row,) = rows(paired(9.0), sampled([1.0] * 19), sampled([1.0] * 19))
    assert (row.passed, row.got) == (False, "worse by +0 [+0, +0] over 19 pairs; 20 are needed")


def test_what_cannot_be_compared_fails_and_says_why() -> None:
    mine = sampled([1.0] * 30)
    (row,) = rows(paired(), mine, evidence({"count/mae": 1.0}))
    assert row.got == "the champion: no table evaluation_table.json; evaluate it again"
    (row,) = rows(paired(), evidence({"count/mae": 1.0}), mine)
    assert row.got.startswith("this: no table")
    (row,) = rows(paired(), mine, sampled([1.0] * 31))
    assert row.got == "1 of 31 samples are in one table alone; evaluate both on one data set"
    (row,) = rows(paired(), evidence({}), mine)
    assert not row.passed


def resampled(errors: np.ndarray[Any, Any], drawn: np.ndarray[Any, Any]) -> Evidence:
    return sampled(errors[drawn].tolist())


@pytest.mark.parametrize(
    ("pictures", "margin", "resamplings", "seed"), [(40, 0.0, 400, 1), (200, 0.0, 400, 2), (44, 0.2, 100, 3)]
)
def test_an_equal_model_passes_in_95_of_100_resamplings(
    pictures: int, margin: float, resamplings: int, seed: int
) -> None:
    """Two models of the same skill that err on different pictures, recorded once and drawn anew.

    Also without any margin; a comparison of the two means would then refuse about half of them.
    """
    rng = np.random.default_rng(seed)
    hard = rng.gamma(2.0, 1.0, pictures)
    mine, theirs = rng.poisson(hard).astype(float), rng.poisson(hard).astype(float)
    # The recorded models are made equal on average, so that any refusal is one too many.
    mine += theirs.mean() - mine.mean()
    passed = refused_by_means = 0
    for _ in range(resamplings):
        drawn = rng.integers(pictures, size=pictures)
        verdict = judge(paired(margin), resampled(mine, drawn), resampled(theirs, drawn), NOW)
        passed += verdict.passed
        refused_by_means += mine[drawn].mean() > theirs[drawn].mean()
    assert passed / resamplings >= 0.95
    assert refused_by_means / resamplings > 0.3


def test_a_model_that_counts_double_never_passes() -> None:
    rng = np.random.default_rng(3)
    true = rng.poisson(5.0, 60).astype(float)
    theirs = rng.poisson(1.0, 60).astype(float)
    refused = 0
    for _ in range(50):
        drawn = rng.integers(60, size=60)
        refused += not judge(paired(0.2), resampled(true + theirs, drawn), resampled(theirs, drawn), NOW).passed
    assert refused == 50

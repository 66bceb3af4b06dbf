"""Which candidate a policy prefers: worked-out rankings, ties, and what is missing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_gates import evidence

from model_governance import Policy, PolicyError, select

RULE: dict[str, Any] = {
    "metric": "mae", "better": "lower", "tie_within": 0.1, "reason": "what is sold",
    "then": [
        {"metric": "ms", "better": "lower", "tie_within": 5, "reason": "edge devices"},
        {"metric": "map", "better": "higher", "reason": "the rest"},
    ],
}  # fmt: skip


def policy(rule: dict[str, Any] | None = RULE) -> Policy:
    quality = [{"metric": "mae", "max": 9, "reason": "of use"}]
    return Policy.model_validate({"format_version": 1, "quality": quality, "selection": rule})


def shown(mae: float, ms: float, ap: float = 0.5) -> dict[str, float]:
    return {"mae": mae, "ms": ms, "map": ap}


@pytest.mark.parametrize(
    ("candidates", "ranking"),
    [
        ({"a": shown(1.0, 50), "b": shown(1.2, 1)}, "ab"),
        ({"a": shown(1.0, 50), "b": shown(1.1, 40)}, "ba"),
        ({"a": shown(1.0, 50, 0.6), "b": shown(1.05, 46, 0.7)}, "ba"),
        ({"a": shown(1.0, 50, 0.7), "b": shown(1.05, 46, 0.6)}, "ab"),
        # c ties with b, but not with a, the best of all: it wins neither with both of them nor with a alone.
        ({"a": shown(1.0, 30), "b": shown(1.08, 20), "c": shown(1.15, 1)}, "bac"),
        ({"b": shown(1, 1), "a": shown(1, 1)}, "ab"),
    ],
)
def test_the_best_within_the_tie(candidates: dict[str, dict[str, float]], ranking: str) -> None:
    found = select(policy(), candidates)
    assert "".join(each.name for each in found) == ranking
    assert [each.place for each in found] == list(range(1, len(found) + 1))
    assert all(each.why for each in found)


def test_who_lacks_a_figure_is_last_and_must_not_be_picked() -> None:
    found = select(policy(), {"a": {"mae": 0.0}, "b": shown(5, 5), "c": {**shown(0, 0), "ms": float("nan")}})
    assert [(each.name, each.eligible) for each in found] == [("b", True), ("a", False), ("c", False)]
    assert found[1].why == "not measured: ms, map"
    with pytest.raises(ValueError, match=r"no candidate has all of mae, ms, map: a lacks ms, map"):
        select(policy(), {"a": {"mae": 0.0}})
    with pytest.raises(ValueError, match="there is none at all"):
        select(policy(), {})


def test_evidence_is_a_candidate() -> None:
    assert select(policy(), {"a": evidence(shown(2, 2)), "b": evidence(shown(1, 1))})[0].name == "b"


def test_a_policy_without_the_rule_prefers_nobody() -> None:
    with pytest.raises(PolicyError, match="no key selection"):
        select(policy(None), {"a": shown(1, 1)})


numbers = st.floats(0, 10, allow_nan=False)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcdef"), st.builds(shown, numbers, numbers, numbers), min_size=1))
def test_everybody_has_one_place_and_nobody_beyond_the_tie_is_first(
    candidates: dict[str, dict[str, float]],
) -> None:
    found = select(policy(), candidates)
    assert sorted(each.name for each in found) == sorted(candidates)
    best = min(each["mae"] for each in candidates.values())
    assert candidates[found[0].name]["mae"] <= best + 0.1 + 1e-6
    assert select(policy(), dict(reversed(candidates.items()))) == found

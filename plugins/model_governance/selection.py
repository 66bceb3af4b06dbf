"""Which of several candidates a policy prefers. Pure: figures in, a ranking out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from model_governance.errors import PolicyError
from model_governance.evidence import Evidence
from model_governance.policy import Policy
from model_governance.rules import Preference

__all__ = ["Ranked", "select"]


@dataclass(frozen=True, slots=True)
class Ranked:
    """One candidate's place.

    Attributes
    ----------
    place : int
        1 is the one that the policy prefers.
    why : str
        What put it there, for a person.
    eligible : bool
        False where it lacks a figure that the rule reads: it is ranked last and must not be picked.
    """

    name: str
    place: int
    metrics: dict[str, float]
    why: str
    eligible: bool = True


def select(policy: Policy, candidates: Mapping[str, Mapping[str, float] | Evidence]) -> tuple[Ranked, ...]:
    """Rank candidates by the policy's selection rule, the preferred one first.

    All that lie within `tie_within` of the best value tie with it; the next preference decides among those, and
    where all tie to the end, the name. The second place is given by the same rule without the first, and so on.

    Parameters
    ----------
    candidates : mapping of name to metrics, or to evidence
        At least one.

    Raises
    ------
    PolicyError
        Where the policy has no selection rule.
    ValueError
        Where there is no candidate, or none with all the figures that the rule reads.

    Examples
    --------
    >>> policy = Policy.model_validate({"format_version": 1,
    ...     "quality": [{"metric": "mae", "max": 9, "reason": "of use"}],
    ...     "selection": {"metric": "mae", "better": "lower", "tie_within": 0.1, "reason": "what is sold",
    ...         "then": [{"metric": "ms", "better": "lower", "reason": "edge devices"}]}})
    >>> shown = {"a": {"mae": 1.0, "ms": 50}, "b": {"mae": 1.05, "ms": 20}, "c": {"mae": 2.0, "ms": 1}}
    >>> [each.name for each in select(policy, shown)]
    ['b', 'a', 'c']
    """
    rule = policy.selection
    if rule is None:
        raise PolicyError("the policy has no key selection, so nobody knows which candidate it prefers; write one")
    order: tuple[Preference, ...] = (rule, *rule.then)
    figures = {name: _figures(shown, order) for name, shown in sorted(candidates.items())}
    wanted = [each.metric for each in order]
    left = {name for name, known in figures.items() if all(metric in known for metric in wanted)}
    if not left:
        lacking = "; ".join(
            f"{name} lacks {', '.join(_lacking(known, wanted))}" for name, known in figures.items()
        )
        raise ValueError(f"no candidate has all of {', '.join(wanted)}: {lacking or 'there is none at all'}")
    ranking: list[Ranked] = []
    unmeasured = sorted(figures.keys() - left)
    while left:
        name, why = _preferred(left, figures, order)
        left.remove(name)
        ranking.append(Ranked(name, len(ranking) + 1, figures[name], why))
    for name in unmeasured:
        why = f"not measured: {', '.join(_lacking(figures[name], wanted))}"
        ranking.append(Ranked(name, len(ranking) + 1, figures[name], why, eligible=False))
    return tuple(ranking)


def _preferred(
    names: set[str], figures: Mapping[str, Mapping[str, float]], order: tuple[Preference, ...]
) -> tuple[str, str]:
    contenders, steps = sorted(names), []
    for each in order:
        values = {name: figures[name][each.metric] for name in contenders}
        best = max(values.values()) if each.better == "higher" else min(values.values())
        # A difference of 0.1 within 0.1 is a tie, also where 1.1 - 1.0 is a little more than 0.1 to a computer.
        slack = 1e-9 * max(1.0, abs(best))
        tied = [name for name in contenders if abs(values[name] - best) <= each.tie_within + slack]
        steps.append(
            f"{each.metric} {best:.4g} is the best" if len(tied) == 1 else f"{len(tied)} tie in {each.metric}"
        )
        contenders = tied
        if len(contenders) == 1:
            break
    else:
        steps.append("the first by name")
    return contenders[0], ", ".join(steps)


def _figures(shown: Mapping[str, float] | Evidence, order: tuple[Preference, ...]) -> dict[str, float]:
    known = {name: each.value for name, each in shown.metrics.items()} if isinstance(shown, Evidence) else shown
    return {each.metric: known[each.metric] for each in order if isfinite(known.get(each.metric, float("nan")))}


def _lacking(known: Mapping[str, float], wanted: list[str]) -> list[str]:
    return [metric for metric in wanted if metric not in known]

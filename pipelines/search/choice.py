"""Which of several candidates a policy prefers: the rule under its key ``selection``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.search.space import SearchError

__all__ = ["Ranked", "rank", "require_rule"]


class _Preference(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    better: Literal["lower", "higher"]
    tie_within: float = Field(0.0, ge=0)
    reason: str = ""


class _Selection(_Preference):
    then: tuple[_Preference, ...] = ()


@dataclass(frozen=True, slots=True)
class Ranked:
    """One candidate's place: 1 is preferred; one that lacks a figure of the rule is last and not eligible."""

    name: str
    place: int
    metrics: dict[str, float]
    why: str
    eligible: bool = True


def require_rule(policy: Path) -> None:
    """Refuse a policy that prefers nobody, before anything is measured.

    Raises
    ------
    SearchError
        Where the policy cannot be read or has no rule.
    """
    _rule(policy)


def rank(policy: Path, candidates: Mapping[str, Mapping[str, float]]) -> tuple[Ranked, ...]:
    """Rank candidates by the policy's rule, the preferred one first.

    All that lie within `tie_within` of the best value tie with it; the next preference decides among those, and
    where all tie to the end, the name. The second place is given by the same rule without the first, and so on.

    Raises
    ------
    SearchError
        Where the policy has no rule, or no candidate has all the figures that it reads.
    """
    rule = _rule(policy)
    order = (rule, *rule.then)
    figures = {
        name: {
            each.metric: shown[each.metric] for each in order if math.isfinite(shown.get(each.metric, math.nan))
        }
        for name, shown in sorted(candidates.items())
    }
    left = [name for name, known in figures.items() if len(known) == len({each.metric for each in order})]
    if not left:
        lacking = "; ".join(f"{name} lacks {_lacking(known, order)}" for name, known in figures.items())
        raise SearchError(
            f"no candidate has all the figures that {policy} selects by: {lacking or 'there is none'}"
        )
    ranking: list[Ranked] = []
    last = [name for name in figures if name not in left]
    while left:
        name, why = _preferred(left, figures, order)
        left.remove(name)
        ranking.append(Ranked(name, len(ranking) + 1, figures[name], why))
    for name in last:
        why = f"not measured: {_lacking(figures[name], order)}"
        ranking.append(Ranked(name, len(ranking) + 1, figures[name], why, eligible=False))
    return tuple(ranking)


def _rule(policy: Path) -> _Selection:
    try:
        content: Any = yaml.safe_load(policy.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SearchError(f"expected a policy in {policy}, it cannot be read: {error}") from error
    if not isinstance(content, dict) or "selection" not in content:
        raise SearchError(f"{policy} has no key selection, so nobody knows which candidate it prefers: write one")
    try:
        return _Selection.model_validate(content["selection"])
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise SearchError(f"{policy}: selection: {wrong}") from error


def _preferred(
    names: list[str], figures: Mapping[str, Mapping[str, float]], order: tuple[_Preference, ...]
) -> tuple[str, str]:
    contenders, steps = names, []
    for each in order:
        values = {name: figures[name][each.metric] for name in contenders}
        best = max(values.values()) if each.better == "higher" else min(values.values())
        contenders = [name for name in contenders if abs(values[name] - best) <= each.tie_within]
        if len(contenders) == 1:
            steps.append(f"{each.metric} {best:.4g} is the best")
            break
        steps.append(f"{len(contenders)} tie in {each.metric}")
    else:
        steps.append("the first by name")
    return contenders[0], ", ".join(steps)


def _lacking(known: Mapping[str, float], order: tuple[_Preference, ...]) -> str:
    return ", ".join(each.metric for each in order if each.metric not in known)

"""Verdicts: a policy held against evidence. Pure: no clock, no network, no MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import singledispatch

from pydantic import BaseModel, ConfigDict

from model_governance.evidence import Evidence
from model_governance.policy import Policy
from model_governance.rules import ChampionRule, CostRule, Rule, SliceRule, Threshold

__all__ = ["Case", "GateResult", "Row", "Verdict", "check", "judge", "slices_of"]


class GateResult(BaseModel):
    """One row of a verdict: what was expected, what came, and why it matters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    section: str
    gate: str
    expected: str
    got: str
    passed: bool
    reason: str

    def sentence(self) -> str:
        """The row as a person would say it."""
        verb = "passed" if self.passed else "failed"
        return f"{self.gate} {verb}: expected {self.expected}, got {self.got} ({self.reason})"


class Verdict(BaseModel):
    """What all gates of a policy say of one evidence.

    Attributes
    ----------
    judged_at : datetime
        With a time zone; figures age, and a promotion long after asks their age again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    judged_at: datetime
    policy_digest: str
    evidence_digest: str
    champion_digest: str | None
    rows: tuple[GateResult, ...]

    @property
    def passed(self) -> bool:
        """Every gate passed, and there was one."""
        return bool(self.rows) and all(row.passed for row in self.rows)

    @property
    def failures(self) -> tuple[GateResult, ...]:
        return tuple(row for row in self.rows if not row.passed)


class Case:
    """What the gates look at: the evidence, the champion's, and the time of judgement.

    Parameters
    ----------
    now : datetime
        Time of judgement, with a time zone; given, so that a verdict can be made again.
    read_metrics : frozenset of str
        Metrics that the policy's rules read: those whose age counts.
    """

    def __init__(
        self, evidence: Evidence, champion: Evidence | None, now: datetime, read_metrics: frozenset[str]
    ) -> None:
        self.evidence, self.champion, self.now, self.read_metrics = evidence, champion, now, read_metrics


def judge(policy: Policy, evidence: Evidence, champion: Evidence | None, now: datetime) -> Verdict:
    """Hold a policy against what a model shows.

    Parameters
    ----------
    champion : Evidence or None
        What the version in Production shows; None where there is none, and rules against it then pass.
    now : datetime
        Time of judgement, with a time zone.
    """
    metrics = frozenset(name for _, rule in policy.rules() for name in _read_by(rule, evidence))
    case = Case(evidence, champion, now, metrics)
    return Verdict(
        judged_at=now,
        policy_digest=policy.digest,
        evidence_digest=evidence.digest,
        champion_digest=champion.digest if champion else None,
        rows=tuple(
            GateResult(section=section, gate=gate, expected=expected, got=got, passed=passed, reason=rule.reason)
            for section, rule in policy.rules()
            for gate, expected, got, passed in check(rule, case)
        ),
    )


def _read_by(rule: Rule, evidence: Evidence) -> Iterator[str]:
    """The metrics that a rule reads: those whose age counts."""
    if isinstance(rule, Threshold | ChampionRule):
        yield rule.metric
    elif isinstance(rule, SliceRule):
        yield from (rule.metric_of(each) for each in slices_of(rule.metric, evidence))
    elif isinstance(rule, CostRule):
        yield from (term.metric for term in rule.terms)


def slices_of(pattern: str, evidence: Evidence) -> list[str]:
    """Names of the slices of a pattern such as ``slice/camera_id/*/count/mae``, sorted.

    Every slice that has a number of samples (``slice/camera_id/<name>/n``) or the metric itself.
    """
    parts = pattern.split("/")
    at = parts.index("*")
    shapes = (parts, [*parts[: at + 1], "n"])
    found = set()
    for name in evidence.metrics:
        given = name.split("/")
        for shape in shapes:
            if len(given) == len(shape) and all(w in ("*", g) for w, g in zip(shape, given, strict=True)):
                found.add(given[at])
    return sorted(found)


Row = tuple[str, str, str, bool]


@singledispatch
def check(rule: Rule, case: Case) -> Iterator[Row]:
    """Yield (gate, expected, got, passed) for one rule; a kind of rule without a gate is a defect, not a pass."""
    raise NotImplementedError(f"no gate reads {type(rule).__name__}; write one before the policy can hold it")

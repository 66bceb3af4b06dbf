"""The gates: a policy held against evidence. Pure: no clock, no network, no MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from functools import singledispatch
from math import isfinite

from pydantic import BaseModel, ConfigDict

from model_governance.evidence import Evidence, Measured
from model_governance.policy import (
    ArtifactRule,
    ChampionRule,
    DatasetRule,
    FreshnessRule,
    ParamRule,
    Policy,
    Rule,
    TagRule,
    Threshold,
)

__all__ = ["Case", "GateResult", "Verdict", "check", "judge"]


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
    metrics = frozenset(rule.metric for _, rule in policy.rules() if isinstance(rule, Threshold | ChampionRule))
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


Row = tuple[str, str, str, bool]


@singledispatch
def check(rule: Rule, case: Case) -> Iterator[Row]:
    """Yield (gate, expected, got, passed) for one rule; a kind of rule without a gate is a defect, not a pass."""
    raise NotImplementedError(f"no gate reads {type(rule).__name__}; write one before the policy can hold it")


@check.register
def _(rule: Threshold, case: Case) -> Iterator[Row]:
    bounds = []
    if rule.min is not None:
        bounds.append(f"at least {rule.min:g}")
    if rule.max is not None:
        bounds.append(f"at most {rule.max:g}")
    measured = case.evidence.metrics.get(rule.metric)
    passed = (
        measured is not None
        and isfinite(measured.value)
        and (rule.min is None or measured.value >= rule.min)
        and (rule.max is None or measured.value <= rule.max)
    )
    yield rule.metric, " and ".join(bounds), _number(measured), passed


@check.register
def _(rule: ChampionRule, case: Case) -> Iterator[Row]:
    gate = f"{rule.metric} against the champion"
    mine = case.evidence.metrics.get(rule.metric)
    if mine is None or not isfinite(mine.value):
        yield gate, "a measured value", _number(mine), False
        return
    if case.champion is None:
        yield gate, "no worse than the champion", f"{mine.value:.6g}; there is no champion yet", True
        return
    theirs = case.champion.metrics.get(rule.metric)
    if theirs is None or not isfinite(theirs.value):
        yield (
            gate,
            "a value of the champion to compare with",
            f"champion: {_number(theirs)}; evaluate the champion with this policy's metrics",
            False,
        )
        return
    if rule.same_data and (mine.dataset_digest is None or mine.dataset_digest != theirs.dataset_digest):
        yield (
            gate,
            "both measured on the same data",
            f"this on {mine.dataset_digest or 'unrecorded data'}, the champion on "
            f"{theirs.dataset_digest or 'unrecorded data'}; evaluate both on one data set",
            False,
        )
        return
    if rule.better == "higher":
        limit, word = theirs.value - rule.worse_by_at_most, "at least"
        passed = mine.value >= limit
    else:
        limit, word = theirs.value + rule.worse_by_at_most, "at most"
        passed = mine.value <= limit
    yield gate, f"{word} {limit:.6g} (champion {theirs.value:.6g})", f"{mine.value:.6g}", passed


@check.register
def _(rule: ArtifactRule, case: Case) -> Iterator[Row]:
    files = case.evidence.artifact.files
    strange = [
        file.path
        for file in files
        if not any(fnmatchcase(file.path.rsplit("/", 1)[-1], pattern) for pattern in rule.allowed_files)
    ]
    allowed = f"only {_listed(list(rule.allowed_files), '')}"
    yield "file types", allowed, _listed(strange, f"{len(files)} files, all allowed"), not strange
    if rule.forbid_pickle:
        pickles = [file.path for file in files if file.pickle]
        yield "no pickle", "no pickle", _listed(pickles, "none"), not pickles
    size = case.evidence.artifact.size / 1e6
    yield "size", f"at most {rule.max_size_mb:g} MB", f"{size:.3g} MB", size <= rule.max_size_mb


@check.register
def _(rule: TagRule, case: Case) -> Iterator[Row]:
    yield _record(f"tag {rule.tag}", rule.equals, case.evidence.tags.get(rule.tag))


@check.register
def _(rule: ParamRule, case: Case) -> Iterator[Row]:
    yield _record(f"parameter {rule.param}", rule.equals, case.evidence.params.get(rule.param))


@check.register
def _(rule: DatasetRule, case: Case) -> Iterator[Row]:
    fitting = [data for data in case.evidence.datasets if rule.dataset in ("*", data.context) and data.digest]
    got = ", ".join(f"{data.name} ({data.digest})" for data in fitting)
    yield f"data {rule.dataset}", "a data set input with a digest", got or "none", bool(fitting)


@check.register
def _(rule: FreshnessRule, case: Case) -> Iterator[Row]:
    if rule.unchanged_since_evaluation:
        mine, evaluated = case.evidence.artifact.digest, case.evidence.evaluated_digest
        yield (
            "files unchanged since evaluation",
            f"digest {evaluated[:12]}" if evaluated else "a digest recorded by the evaluation",
            f"digest {mine[:12]}" if evaluated else "none recorded; evaluate the model again",
            mine == evaluated,
        )
    times = [case.evidence.metrics[name].timestamp for name in case.read_metrics if name in case.evidence.metrics]
    if times:
        days = (case.now.timestamp() - min(times) / 1000) / 86400
        yield (
            "age of metrics",
            f"at most {rule.max_age_days:g} days",
            f"{days:.1f} days",
            days <= rule.max_age_days,
        )
    else:
        yield "age of metrics", f"at most {rule.max_age_days:g} days", "no metric to date", False


def _record(gate: str, equals: str | None, value: str | None) -> Row:
    expected = repr(equals) if equals is not None else "any value"
    passed = bool(value) if equals is None else value == equals
    return gate, expected, _shortened(value), passed


def _shortened(value: str | None) -> str:
    """A digest of 64 letters says no more than its beginning, and breaks every table."""
    if value is None:
        return "not recorded"
    return repr(value if len(value) <= 40 else value[:16] + "…")


def _number(measured: Measured | None) -> str:
    return "not measured" if measured is None else f"{measured.value:.6g}"


def _listed(names: list[str], otherwise: str) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more if names else otherwise

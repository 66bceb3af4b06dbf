"""The status of a version, area by area: what somebody answers for, and what it rests on.

The gates of the policy under which it was judged say most of it; what a server knows beside comes from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from model_governance.bundle import Bundle
from model_governance.gates import GateResult
from model_governance.rules.base import Area

__all__ = ["AREAS", "Finding", "State", "Status", "compliance_of"]

AREAS: tuple[Area, ...] = get_args(Area)

State = Literal["met", "not met", "open", "not asked"]
"""`open`: somebody has yet to act; `not asked`: no rule and no server says anything of it."""

_BY_SECTION: Mapping[str, Area] = {
    "quality": "quality",
    "slices": "quality",
    "champion": "quality",
    "business": "quality",
    "performance": "performance",
    "security": "security",
    "records": "audit",
    "freshness": "audit",
    "compliance": "documentation",
    "risk": "regulatory",
    "acceptance": "regulatory",
}
_WORST: tuple[State, ...] = ("not met", "open", "met", "not asked")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that counts for an area, in a sentence."""

    state: State
    sentence: str


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one area: the worst of its findings."""

    area: Area
    state: State
    findings: tuple[Finding, ...] = ()

    @property
    def summary(self) -> str:
        """What is not as it should be, else how much was looked at."""
        bad = [each.sentence for each in self.findings if each.state in ("not met", "open")]
        if bad:
            return "; ".join(bad[:3]) + (f"; and {len(bad) - 3} more" if len(bad) > 3 else "")
        if len(self.findings) == 1:
            return self.findings[0].sentence
        return f"{len(self.findings)} of {len(self.findings)} met" if self.findings else "no rule asks for it"


def compliance_of(
    bundle: Bundle | None, known: Mapping[Area, tuple[Finding, ...]] | None = None
) -> tuple[Status, ...]:
    """The status in every area, in the order of `AREAS`.

    Parameters
    ----------
    bundle : Bundle or None
        What the version was judged by; None where it never was, which no area of its policy is met by.
    known : mapping, optional
        What is known beside the gates.
    """
    found: dict[Area, list[Finding]] = {area: list((known or {}).get(area, ())) for area in AREAS}
    for areas, finding in _of_gates(bundle) if bundle else ():
        for area in areas:
            found[area].append(finding)
    return tuple(Status(area, _state(each), tuple(each)) for area, each in found.items())


def _of_gates(bundle: Bundle) -> list[tuple[tuple[Area, ...], Finding]]:
    # a row names its rule by section and reason
    areas: dict[tuple[str, str], tuple[Area, ...]] = {}
    for section, rule in bundle.policy.rules():
        said = rule.areas or ((_BY_SECTION[section],) if section in _BY_SECTION else ())
        areas[section, rule.reason] = tuple(dict.fromkeys((*areas.get((section, rule.reason), ()), *said)))
    return [(areas.get((row.section, row.reason), ()), _finding(row)) for row in bundle.verdict.rows]


def _finding(row: GateResult) -> Finding:
    return Finding("met", f"{row.gate} passed") if row.passed else Finding("not met", row.sentence())


def _state(findings: list[Finding]) -> State:
    states = {each.state for each in findings}
    return next((state for state in _WORST if state in states), "not asked")

"""Rules on what named persons have said yes to: risks and how they are met, and what was looked at."""

from __future__ import annotations

from datetime import date
from typing import Literal, Self

from pydantic import Field, model_validator

from model_governance.rules.base import Rule, Strict

__all__ = ["AcceptanceRule", "Mitigation", "MitigationAcceptance", "RiskRule"]


class MitigationAcceptance(Strict):
    """Who accepts a mitigation for every version, and for how long."""

    by: str = Field(min_length=2, description="The person who accepts it.")
    on: date = Field(description="When (UTC).")
    expires: date = Field(description="Last day on which it counts (UTC).")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.expires < self.on:
            raise ValueError(f"it expires on {self.expires}, before it was accepted on {self.on}")
        return self


class Mitigation(Strict):
    """Something that is done about a risk, and that a person must have accepted as enough."""

    name: str = Field(
        min_length=1,
        description="Short name; `model-governance accept --mitigation NAME` accepts it for one model.",
    )
    what: str = Field(min_length=3, description="What is done.")
    accepted: MitigationAcceptance | None = Field(
        None, description="Accepted for every version; without it, each model needs a record of its own."
    )


class RiskRule(Rule):
    """The use's risk class, and the mitigations that it asks for."""

    risk_class: Literal["minimal", "limited", "high"] = Field(
        description="`minimal` needs no mitigation, `limited` at least one, `high` also an acceptance rule."
    )
    mitigations: tuple[Mitigation, ...] = Field((), description="What is done about it, each to be accepted.")

    @model_validator(mode="after")
    def _met(self) -> Self:
        if self.risk_class != "minimal" and not self.mitigations:
            raise ValueError(f"a risk of class {self.risk_class} needs at least one mitigation")
        names = [each.name for each in self.mitigations]
        if len(set(names)) != len(names):
            raise ValueError("a mitigation's name stands there twice")
        return self


class AcceptanceRule(Rule):
    """Named persons who have looked at something of this model and signed for it.

    A signature holds for the digest of what was looked at and of the model's files; it is lost with either.
    """

    artifact: str = Field(
        min_length=1,
        description="Shell pattern of the artefact's path in the model's run or a run that measured it, such as "
        "`evaluation/*`; `model-governance accept MODEL_URI --artifact PATH` signs for one.",
    )
    people: int = Field(1, ge=1, description="How many persons must have signed.")
    max_age_days: float | None = Field(None, gt=0, description="Oldest age of a signature that counts, in days.")

"""Whether to retrain: stated rules, and the reasons of every yes and no."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipelines.drift.performance import Performance
from pipelines.drift.report import DriftReport

__all__ = ["Decision", "RetrainRules", "decide"]


class RetrainRules(BaseModel):
    """When to retrain. Any one of the triggers is enough; the two brakes hold back triggers by drift."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    drifted_share: float = Field(
        0.2,
        gt=0,
        le=1,
        description="Trigger: this share of a camera's judged columns drifted, as the mean over the cameras.",
    )
    drifted_cameras: int | None = Field(
        None, ge=1, description="Trigger: so many cameras with at least one drifted column."
    )
    confidence: bool = Field(
        True, description="Trigger: both what is counted and how surely drifted on one camera (no labels needed)."
    )
    performance: bool = Field(True, description="Trigger: labels show a count error beyond the margin.")
    max_age_days: float | None = Field(
        None, gt=0, description="Trigger: the last training is so long ago, whatever drifted (schedule)."
    )
    min_rows: int = Field(100, ge=1, description="Brake: fewer predictions than this in the current span.")
    cooldown_hours: float = Field(
        24.0, ge=0, description="Brake: the last training, or decision to train, is less than so long ago."
    )


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to retrain, with a sentence for every rule that spoke.

    Attributes
    ----------
    reasons : tuple of str
        Triggers that fired.
    brakes : tuple of str
        What holds them back.
    """

    retrain: bool
    reasons: tuple[str, ...]
    brakes: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The decision as a person would say it."""
        if self.retrain:
            return f"Retrain: {'; '.join(self.reasons)}."
        if self.reasons:
            return f"Do not retrain yet, although {'; '.join(self.reasons)}: {'; '.join(self.brakes)}."
        return "Do not retrain: no rule asks for it."

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "retrain": self.retrain,
            "reasons": list(self.reasons),
            "brakes": list(self.brakes),
            "sentence": self.sentence,
        }


def decide(
    report: DriftReport,
    rules: RetrainRules,
    *,
    now: datetime,
    last_training: datetime | None = None,
    last_decision: datetime | None = None,
    performance: Performance | None = None,
) -> Decision:
    """Apply the rules.

    Parameters
    ----------
    now, last_training, last_decision : datetime
        With a time zone. The last training is that of the newest registered version; the last decision is the
        newest earlier decision to retrain, so that one drift does not start a training on every pass.

    Notes
    -----
    Age and labels are facts about the model, so too few rows in the current span do not hold them back; the
    cooldown holds back everything.
    """
    by_drift, by_fact = list(_drift_triggers(report, rules)), []
    if rules.performance and performance is not None and performance.degraded:
        by_fact.append(performance.reason)
    if rules.max_age_days is not None and last_training is not None:
        age = now - last_training
        if age > timedelta(days=rules.max_age_days):
            by_fact.append(f"the last training is {age.days} days ago, {rules.max_age_days:g} are allowed")
    brakes = []
    if by_drift and report.current.rows < rules.min_rows:
        brakes.append(f"{report.current.rows} predictions are fewer than {rules.min_rows}")
    few = bool(brakes)
    cooling = _cooling(rules, now, last_training, last_decision)
    if cooling and (by_drift or by_fact):
        brakes.append(cooling)
    retrain = not cooling and (bool(by_fact) or (bool(by_drift) and not few))
    return Decision(retrain, (*by_drift, *by_fact), tuple(brakes))


def _drift_triggers(report: DriftReport, rules: RetrainRules) -> list[str]:
    found = []
    if report.drifted and report.share >= rules.drifted_share:
        found.append(
            f"{len(report.drifted)} of {len(report.judged)} columns drifted ({report.share:.0%}, "
            f"{rules.drifted_share:.0%} are enough)"
        )
    if rules.drifted_cameras is not None and len(report.cameras) >= rules.drifted_cameras:
        found.append(f"{len(report.cameras)} cameras drifted ({rules.drifted_cameras} are enough)")
    if rules.confidence:
        kinds = {camera: {c.kind for c in report.drifted if c.camera == camera} for camera in report.cameras}
        both = sorted(camera for camera, seen in kinds.items() if {"prediction", "confidence"} <= seen)
        if both:
            found.append(f"counts and confidence drifted together on {', '.join(both)}")
    return found


def _cooling(
    rules: RetrainRules, now: datetime, last_training: datetime | None, last_decision: datetime | None
) -> str | None:
    for what, when in (("training", last_training), ("decision to train", last_decision)):
        if when is not None and now - when < timedelta(hours=rules.cooldown_hours):
            hours = (now - when).total_seconds() / 3600
            return f"the last {what} was {hours:.1f} hours ago, {rules.cooldown_hours:g} must pass"
    return None

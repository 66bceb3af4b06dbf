"""The rule that prefers one of several candidates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from model_governance.rules.base import Rule

__all__ = ["Preference", "Selection"]


class Preference(Rule):
    """Which value of a metric is preferred, and what counts as a tie."""

    metric: str = Field(min_length=1, description="Name of the metric, as MLflow logged it.")
    better: Literal["higher", "lower"] = Field(description="Which direction of the metric is the better one.")
    tie_within: float = Field(
        0, ge=0, description="Candidates this near the best one tie with it, in the metric's own unit."
    )


class Selection(Preference):
    """The first preference, and those that decide between candidates that tie."""

    then: tuple[Preference, ...] = Field((), description="What decides among those that tie, one after the other.")

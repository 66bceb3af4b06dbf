"""How much a model may lose by being made smaller or faster."""

from __future__ import annotations

from pydantic import Field

from model_governance.rules.base import Rule

__all__ = ["OptimisationRule"]


class OptimisationRule(Rule):
    """How much worse a model may become by being made smaller or faster; whoever optimises it reads this."""

    metric: str = Field(min_length=1, description="Name of an error, of which less is better.")
    worse_by_at_most: float = Field(
        ge=0,
        description="Margin, in the metric's own unit; 0 demands at least the value of the model it was made of.",
    )

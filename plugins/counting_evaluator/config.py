"""What `evaluator_config` may say, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from counting_evaluator.behaviour import BehaviourConfig
from counting_evaluator.errors import EvaluationError
from counting_evaluator.robustness import RobustnessConfig

__all__ = ["ClipTruth", "EvaluatorConfig"]


class ClipTruth(BaseModel):
    """A clip with its lines and what truly crossed them.

    `truth` is a JSON file ``{"lines": {NAME: {"in": n, "out": n, "by_class": {CLASS: {"in": n, "out": n}}}}}``.
    Where it also has ``events`` (line, direction, class, seconds), the course of the counts is measured, too; with
    ``frames``, ``fps`` and ``zones: {NAME: {"occupancy": [how many are inside, per frame]}}``, the occupancy.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    video: Path
    scene: Path
    truth: Path


class EvaluatorConfig(BaseModel):
    """The evaluator's configuration.

    Examples
    --------
    >>> EvaluatorConfig.read({"confidence": 0.4}).confidence
    0.4
    >>> EvaluatorConfig.read({"treshold": 0.4})
    Traceback (most recent call last):
    counting_evaluator.errors.EvaluationError: evaluator_config: treshold: Extra inputs are not permitted
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...] | None = Field(
        None, description="the classes that are annotated; None takes those that occur in the labels"
    )
    confidence: float | None = Field(
        None, ge=0, le=1, description="the score that counts; None takes the model's own"
    )
    floor: float = Field(0.01, gt=0, le=0.5, description="the least score detected, for the precision curves")
    clips: tuple[ClipTruth, ...] = Field((), description="clips with scenes and true crossings")
    slices: tuple[str, ...] | None = Field(
        None,
        description="the columns by which the figures are broken down, density and size among them; one that has "
        "no value is an error; None takes all columns of text with few values, density and size",
    )
    resamples: int = Field(
        1000,
        ge=0,
        le=100_000,
        description="draws of the bootstrap for the confidence intervals; 0 leaves them out",
    )
    seed: int = Field(0, ge=0, description="of the bootstrap: the same seed gives the same intervals")
    worst: int = Field(12, ge=0, le=100, description="how many of the worst pictures are drawn")

    robustness: RobustnessConfig | None = Field(
        None, description="measure under night, rain and other conditions as well; {} takes the defaults"
    )
    behaviour: BehaviourConfig | None = Field(
        None, description="ask what must hold of counts without a label as well; {} takes the defaults"
    )

    @classmethod
    def read(cls, config: Mapping[str, Any] | None) -> EvaluatorConfig:
        """Read a dictionary; an unknown key or a wrong value is an `EvaluationError` that names it."""
        try:
            return cls.model_validate(dict(config or {}))
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            raise EvaluationError(f"evaluator_config: {faults}") from error

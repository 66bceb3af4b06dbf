"""Rules on figures: bounds, slices, the champion, and what wrong figures cost."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from model_governance.rules.base import Rule, Strict

__all__ = ["ChampionRule", "CostRule", "CostTerm", "PairedTest", "SliceRule", "Threshold"]

_SAME_DATA = "Both must have been measured on data of the same digest; false compares across test sets."


class Threshold(Rule):
    """A metric that must lie between two bounds. A version without the metric fails."""

    metric: str = Field(min_length=1, description="Name of the metric, as MLflow logged it.")
    min: float | None = Field(None, description="Smallest value that passes.")
    max: float | None = Field(None, description="Largest value that passes.")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError(f"metric {self.metric!r} needs a min, a max, or both")
        _ordered(self.metric, self.min, self.max)
        return self


class SliceRule(Rule):
    """A metric that must be good enough in every slice. A pattern that matches no slice fails."""

    metric: str = Field(
        min_length=3,
        description="Name of the metric with one part `*`, such as `slice/camera_id/*/count/mae`; the number of "
        "samples of each slice is read from what stands before and at the `*`, followed by `/n`.",
    )
    min: float | None = Field(None, description="Smallest value that passes in every slice.")
    max: float | None = Field(None, description="Largest value that passes in every slice.")
    better: Literal["higher", "lower"] | None = Field(
        None, description="Which direction is the better one; needed with `worse_by_at_most`."
    )
    worse_by_at_most: float | None = Field(
        None, ge=0, description="How much worse than the champion any slice may be, in the metric's own unit."
    )
    same_data: bool = Field(True, description=_SAME_DATA)
    min_samples: int = Field(
        1, ge=1, description="Slices of fewer samples are told but not judged; where all are so small, it fails."
    )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.metric.split("/").count("*") != 1 or self.metric.count("*") != 1 or self.metric.endswith("*"):
            raise ValueError(
                f"metric {self.metric!r} needs one part that is `*` and a figure behind it, as in "
                "slice/camera_id/*/count/mae"
            )
        if self.min is None and self.max is None and self.worse_by_at_most is None:
            raise ValueError(f"metric {self.metric!r} needs a min, a max, or worse_by_at_most")
        if (self.better is None) != (self.worse_by_at_most is None):
            raise ValueError(f"metric {self.metric!r}: better and worse_by_at_most go together")
        _ordered(self.metric, self.min, self.max)
        return self

    def samples_metric(self, name: str) -> str:
        """The metric that holds the number of samples of the slice of a metric that matches."""
        return "/".join([*self.metric.split("/")[: self.metric.split("/").index("*")], self.slice_of(name), "n"])

    def slice_of(self, name: str) -> str:
        """The slice's own name: what stands at the `*`."""
        return name.split("/")[self.metric.split("/").index("*")]

    def metric_of(self, slice_name: str) -> str:
        """The metric of one slice."""
        return "/".join(slice_name if part == "*" else part for part in self.metric.split("/"))


class PairedTest(Strict):
    """Two models compared sample by sample: a bootstrap of the mean difference (Efron and Tibshirani 1993).

    Both were measured on the same samples, so what makes one of them hard falls out of the difference, and far
    smaller differences show than between two means.
    """

    table: str = Field(
        "evaluation_table.json",
        min_length=1,
        description="Table artefact of the evaluation's run, one row per sample, in MLflow's JSON (split) format.",
    )
    key: str = Field(
        min_length=1, description="Column that says which sample a row is of, the same in both tables."
    )
    value: str = Field(min_length=1, description="Column with the number whose mean is compared.")
    minus: str | None = Field(
        None, description="Column that is subtracted from it first, such as the true number."
    )
    of: Literal["value", "absolute", "square"] = Field(
        "value", description="What of the number: itself, its size without the sign, or its square."
    )
    group: str | None = Field(
        None,
        description="Column of samples that belong together (a camera, a clip): groups are resampled as wholes, "
        "because what is alike within one says less than as many independent samples.",
    )
    min_pairs: int = Field(20, ge=2, description="Fewer pairs (or groups) than this show nothing: the gate fails.")
    refuse: Literal["shown_worse", "not_shown_within"] = Field(
        "shown_worse",
        description="`shown_worse`: fails where the whole interval lies beyond the margin, so an equal model "
        "passes however few the samples. `not_shown_within`: fails unless it lies within the margin, "
        "so the burden of proof is the candidate's; ask for it where there are samples enough.",
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Of the two-sided interval.")
    resamples: int = Field(2000, ge=200, le=100_000, description="How often the samples are drawn anew.")
    seed: int = Field(0, ge=0, description="Of the random draws: the same evidence gives the same verdict.")

    @property
    def columns(self) -> str:
        """Name of what the test reads, under which the evidence keeps it."""
        return ":".join((self.table, self.key, self.value, self.minus or "", self.of, self.group or ""))


class ChampionRule(Rule):
    """A metric that may be worse than the champion's by so much at most. Passes where there is no champion yet."""

    added: ClassVar[frozenset[str]] = frozenset({"relative", "paired"})

    metric: str = Field(min_length=1, description="Name of the metric, as MLflow logged it.")
    better: Literal["higher", "lower"] = Field(description="Which direction of the metric is the better one.")
    worse_by_at_most: float = Field(
        ge=0, description="Margin, in the metric's own unit; 0 demands at least the champion's value."
    )
    relative: bool = Field(
        False, description="The margin is a share of the champion's value (0.1: a tenth of it), not an amount."
    )
    same_data: bool = Field(True, description=_SAME_DATA)
    paired: PairedTest | None = Field(
        None,
        description="Compare sample by sample, and let chance alone refuse nobody; without it the two values are "
        "compared as they are.",
    )


class CostTerm(Strict):
    """One summand of a cost."""

    metric: str = Field(min_length=1, description="Name of the metric, as MLflow logged it.")
    weight: float = Field(description="What one unit of the metric costs; negative where it is a gain.")


class CostRule(Rule):
    """What being wrong costs: the sum of weight times metric.

    Where over-counting costs `o` and under-counting `u` per object, the cost per picture is
    `count/mae * (o + u) / 2 + count/bias * (o - u) / 2`, bias being counted minus true.
    """

    cost: str = Field(min_length=1, description="What it is called, such as `cost of wrong counts`.")
    terms: tuple[CostTerm, ...] = Field(min_length=1, description="The summands.")
    unit: str = Field("", description="Of the cost, such as `EUR per 1,000 pictures`; told, never used.")
    max: float | None = Field(None, description="Largest cost that passes.")
    worse_by_at_most: float | None = Field(
        None, ge=0, description="How much more than the champion it may cost, in the cost's own unit."
    )
    same_data: bool = Field(True, description=_SAME_DATA)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.max is None and self.worse_by_at_most is None:
            raise ValueError(f"the cost {self.cost!r} needs a max, worse_by_at_most, or both")
        names = [term.metric for term in self.terms]
        if len(set(names)) != len(names):
            raise ValueError(f"the cost {self.cost!r} names a metric twice; give it one weight")
        return self


def _ordered(metric: str, low: float | None, high: float | None) -> None:
    if low is not None and high is not None and low > high:
        raise ValueError(f"metric {metric!r}: min {low:g} is above max {high:g}")

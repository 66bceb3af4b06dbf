"""Rules on what was written down: tags, parameters, data sets, documents, and how old the figures are."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from model_governance.rules.base import Rule

__all__ = [
    "ComplianceRule",
    "DatasetRule",
    "DocumentRule",
    "FreshnessRule",
    "ParamRule",
    "RecordRule",
    "TagRule",
]


class TagRule(Rule):
    """A tag that the source run must carry."""

    tag: str = Field(min_length=1, description="Name of the tag.")
    equals: str | None = Field(None, description="The only value that passes; without it, any non-empty one.")


class ParamRule(Rule):
    """A parameter that the source run must have logged."""

    param: str = Field(min_length=1, description="Name of the parameter.")
    equals: str | None = Field(None, description="The only value that passes; without it, any non-empty one.")


class DatasetRule(Rule):
    """A data set that the source run must have logged as its input, with a digest."""

    dataset: str = Field(min_length=1, description="The input's context, such as `training`; `*` takes any input.")


class DocumentRule(Rule):
    """A document that must be there and be filled in: a model card, a licence, privacy statements."""

    document: str = Field(
        min_length=1, description="Path of the artefact, such as `model_card/model_card.md`; JSON, YAML or text."
    )
    place: Literal["run", "model"] = Field(
        "run",
        description="`run`: artefacts of the model's run or of a run that measured it; `model`: its own files.",
    )
    headings: tuple[str, ...] = Field(
        (), description="Headings that a Markdown document must have, each with something written below it."
    )
    keys: tuple[str, ...] = Field(
        (),
        description="Dotted keys of a JSON or YAML document that must hold something; a part `*` stands for every "
        "key there is, `{each}` for each name that the metrics of `each` have.",
    )
    each: str | None = Field(
        None,
        description="Metric with one part `*`, such as `slice/camera_id/*/n`: `{each}` in `keys` then demands an "
        "entry for every camera that the model was measured on.",
    )

    @property
    def name(self) -> str:
        """Name under which the evidence keeps the document."""
        return f"{self.place}:{self.document}"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        uses = any("{each}" in key.split(".") for key in self.keys)
        if uses != (self.each is not None):
            raise ValueError(f"document {self.document!r}: each and a key with the part {{each}} go together")
        if self.each is not None and self.each.split("/").count("*") != 1:
            raise ValueError(f"document {self.document!r}: each needs one part that is `*`, got {self.each!r}")
        return self


def _kind_of_record(value: Any) -> str | None:
    """Which record a mapping speaks of, so that an error names one kind of rule and not three."""
    for kind in ("tag", "param", "dataset", "document"):
        if kind in value if isinstance(value, dict) else hasattr(value, kind):
            return kind
    return None


def _kind_of_plain_record(value: Any) -> str | None:
    kind = _kind_of_record(value)
    return None if kind == "document" else kind


RecordRule = Annotated[
    Annotated[TagRule, Tag("tag")] | Annotated[ParamRule, Tag("param")] | Annotated[DatasetRule, Tag("dataset")],
    Discriminator(
        _kind_of_plain_record,
        custom_error_type="unknown_record",
        custom_error_message="expected one of the keys tag, param or dataset",
    ),
]

ComplianceRule = Annotated[
    Annotated[TagRule, Tag("tag")]
    | Annotated[ParamRule, Tag("param")]
    | Annotated[DatasetRule, Tag("dataset")]
    | Annotated[DocumentRule, Tag("document")],
    Discriminator(
        _kind_of_record,
        custom_error_type="unknown_record",
        custom_error_message="expected one of the keys tag, param, dataset or document",
    ),
]


class FreshnessRule(Rule):
    """When, and on which files, the metrics were measured."""

    unchanged_since_evaluation: bool = Field(
        True,
        description="The model's files must have the digest that evaluations recorded; false trusts the store.",
    )
    max_age_days: float = Field(gt=0, description="Oldest age of any metric that a rule reads, in days.")

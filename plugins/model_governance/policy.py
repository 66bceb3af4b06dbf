"""The policy: the file that says what a version must show before a person may promote it.

Every rule is a small frozen model; `gates.check` has one function per kind of rule, and a policy can hold nothing
else, so there is no key that nobody reads. An unknown key is an error.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from model_governance.errors import PolicyError

__all__ = [
    "ArtifactRule",
    "ChampionRule",
    "DatasetRule",
    "FreshnessRule",
    "ParamRule",
    "Policy",
    "Rule",
    "TagRule",
    "Threshold",
    "Versioning",
    "load_policy",
    "policy_schema",
]

Reason = Annotated[
    str, Field(min_length=3, description="Why this rule is there; a reviewer reads it beside a failed gate.")
]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Rule(_Strict):
    """One thing that a version must show; the base of every kind of rule."""

    reason: Reason


class Threshold(Rule):
    """A metric that must lie between two bounds. A version without the metric fails."""

    metric: str = Field(min_length=1, description="Name of the metric, as MLflow logged it.")
    min: float | None = Field(None, description="Smallest value that passes.")
    max: float | None = Field(None, description="Largest value that passes.")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError(f"metric {self.metric!r} needs a min, a max, or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"metric {self.metric!r}: min {self.min:g} is above max {self.max:g}")
        return self


class ChampionRule(Rule):
    """A metric that may be worse than the champion's by so much at most. Passes where there is no champion yet."""

    metric: str = Field(min_length=1, description="Name of the metric, as MLflow logged it.")
    better: Literal["higher", "lower"] = Field(description="Which direction of the metric is the better one.")
    worse_by_at_most: float = Field(
        ge=0, description="Margin, in the metric's own unit; 0 demands at least the champion's value."
    )
    same_data: bool = Field(
        True,
        description="Both must have been measured on data of the same digest; false compares across test sets.",
    )


class ArtifactRule(Rule):
    """What the model's own files may be."""

    allowed_files: tuple[str, ...] = Field(
        min_length=1,
        description="Shell patterns (`*.onnx`, `MLmodel`) of file names; a file that none matches fails.",
    )
    forbid_pickle: bool = Field(
        True, description="No pickle, by name or by content: loading one runs whatever code it holds."
    )
    max_size_mb: float = Field(gt=0, description="Largest size of all files together, in 10^6 bytes.")


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


def _kind_of_record(value: Any) -> str | None:
    """Which record a mapping speaks of, so that an error names one kind of rule and not three."""
    for kind in ("tag", "param", "dataset"):
        if kind in value if isinstance(value, dict) else hasattr(value, kind):
            return kind
    return None


RecordRule = Annotated[
    Annotated[TagRule, Tag("tag")] | Annotated[ParamRule, Tag("param")] | Annotated[DatasetRule, Tag("dataset")],
    Discriminator(
        _kind_of_record,
        custom_error_type="unknown_record",
        custom_error_message="expected one of the keys tag, param or dataset",
    ),
]


class FreshnessRule(Rule):
    """When, and on which files, the metrics were measured."""

    unchanged_since_evaluation: bool = Field(
        True,
        description="The model's files must have the digest that the evaluation recorded; false trusts the store.",
    )
    max_age_days: float = Field(gt=0, description="Oldest age of any metric that a rule reads, in days.")


class Versioning(_Strict):
    """How a version's semantic number is found: major when the interface changed, minor when retrained."""

    interface: tuple[str, ...] = Field(
        default=("signature.inputs", "signature.outputs"),
        description="Dotted paths in the MLmodel file that together are the model's interface.",
    )


class Policy(_Strict):
    """What a version must show. Each list is a list of gates; a list may be left out."""

    format_version: Literal[1] = Field(description="Version of this file's format.")
    quality: tuple[Threshold, ...] = Field((), description="How good the model must be.")
    performance: tuple[Threshold, ...] = Field((), description="How fast and how small the model must be.")
    champion: tuple[ChampionRule, ...] = Field((), description="How much worse than the champion it may be.")
    security: tuple[ArtifactRule, ...] = Field((), description="What the model's files may be.")
    records: tuple[RecordRule, ...] = Field(
        (), description="What the source run must have recorded, so that the model can be made again."
    )
    freshness: tuple[FreshnessRule, ...] = Field((), description="How old the measurements may be.")
    versioning: Versioning = Field(default=Versioning(), description="How versions are numbered.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.rules():
            raise ValueError("a policy without a single gate would let everything through; write one")
        return self

    def rules(self) -> tuple[tuple[str, Rule], ...]:
        """Every rule with the name of its section, in the file's order."""
        return tuple(
            (section, rule)
            for section in type(self).model_fields
            if isinstance(getattr(self, section), tuple)
            for rule in getattr(self, section)
        )

    @property
    def digest(self) -> str:
        """SHA-256 of what the policy says, whatever the file's layout and comments."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def load_policy(path: str | Path) -> Policy:
    """Read a policy from a YAML file.

    Raises
    ------
    PolicyError
        Where the file is absent, is no YAML, or says something that no gate reads; names file, key and reason.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"cannot read the policy {path}: {error}") from error
    except yaml.YAMLError as error:
        raise PolicyError(f"the policy {path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise PolicyError(
            f"the policy {path} holds {type(content).__name__}; expected a mapping with format_version and gates"
        )
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        raise PolicyError(f"the policy {path} cannot be used: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    reasons = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "(whole file)"
        if item["type"] == "extra_forbidden":
            reasons.append(f"{key} is a key that no gate reads; remove it or correct its spelling")
        else:
            reasons.append(f"{key}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(reasons)


def policy_schema() -> dict[str, Any]:
    """The JSON schema of a policy file, every key explained; shipped as ``schemas/policy.schema.json``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Policy of model-governance",
        **{key: value for key, value in Policy.model_json_schema().items() if key != "title"},
    }

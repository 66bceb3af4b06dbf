"""The policy: the file that says what a version must show before a person may promote it.

Every rule is a small frozen model of `model_governance.rules`; `gates.check` has one function per kind of rule,
and a policy can hold nothing else, so there is no key that nobody reads. An unknown key is an error.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import yaml
from pydantic import Field, PrivateAttr, ValidationError, model_validator

from model_governance.errors import PolicyError
from model_governance.plain_yaml import read_yaml
from model_governance.rules import (
    AcceptanceRule,
    ArtifactRule,
    ChampionRule,
    ComplianceRule,
    CostRule,
    DatasetRule,
    FreshnessRule,
    GovernanceRules,
    Materials,
    OptimisationRule,
    ParamRule,
    RecordRule,
    RiskRule,
    Rule,
    SecurityRule,
    Selection,
    SliceRule,
    TagRule,
    Threshold,
)
from model_governance.rules.base import Strict

__all__ = [
    "ArtifactRule",
    "ChampionRule",
    "DatasetRule",
    "FreshnessRule",
    "OptimisationRule",
    "ParamRule",
    "Policy",
    "Rule",
    "TagRule",
    "Threshold",
    "TrainingMark",
    "Versioning",
    "load_policy",
    "policy_schema",
]


class TrainingMark(Strict):
    """The tag by which the run of a training is known, whatever else it claims."""

    tag: str = Field(min_length=1, description="Name of a tag of runs, such as `step`.")
    values: tuple[str, ...] = Field(
        min_length=1, description="Its values on runs in which weights are learnt: none of them makes a patch."
    )


class Versioning(Strict):
    """How a version's semantic number is found: major when the interface changed, minor when retrained."""

    added: ClassVar[frozenset[str]] = frozenset({"training", "weights"})

    interface: tuple[str, ...] = Field(
        default=("signature.inputs", "signature.outputs"),
        description="Dotted paths in the MLmodel file that together are the model's interface.",
    )
    training: TrainingMark | None = Field(
        None, description="What marks the run of a training; without it, only a run's own training data tell."
    )
    weights: tuple[str, ...] = Field(
        (),
        description="Shell patterns (`detector.*`) of the names of files that hold a model's weights; those of a "
        "re-thresholded version must be its parent's, byte for byte.",
    )


class Policy(Strict):
    """What a version must show. Each list is a list of gates; a list may be left out."""

    added: ClassVar[frozenset[str]] = frozenset(
        {
            "slices",
            "business",
            "compliance",
            "risk",
            "acceptance",
            "selection",
            "optimisation",
            "materials",
            "governance",
        }
    )

    format_version: Literal[1] = Field(description="Version of this file's format.")
    quality: tuple[Threshold, ...] = Field((), description="How good the model must be.")
    slices: tuple[SliceRule, ...] = Field((), description="How good it must be in every slice of the data.")
    performance: tuple[Threshold, ...] = Field((), description="How fast and how small the model must be.")
    champion: tuple[ChampionRule, ...] = Field((), description="How much worse than the champion it may be.")
    business: tuple[CostRule, ...] = Field((), description="What its errors may cost.")
    security: tuple[SecurityRule, ...] = Field(
        (), description="What the model's files may be, and the packages that serve it."
    )
    records: tuple[RecordRule, ...] = Field(
        (), description="What the source run must have recorded, so that the model can be made again."
    )
    compliance: tuple[ComplianceRule, ...] = Field(
        (),
        description="What must be written down for those who answer for the data: origin, licence, privacy, card.",
    )
    risk: tuple[RiskRule, ...] = Field((), description="Risk class of the use, and mitigations to be accepted.")
    acceptance: tuple[AcceptanceRule, ...] = Field((), description="What named persons must have looked at.")
    freshness: tuple[FreshnessRule, ...] = Field((), description="How old the measurements may be.")
    versioning: Versioning = Field(default=Versioning(), description="How versions are numbered.")
    selection: Selection | None = Field(None, description="The rule that prefers one of several candidates.")
    optimisation: OptimisationRule | None = Field(
        None, description="How much an optimised model may lose; without it nothing is optimised by this policy."
    )
    materials: Materials | None = Field(None, description="What the bill of materials is made of.")
    governance: GovernanceRules | None = Field(
        None, description="Who may move what on a governed server; without it the server is strict."
    )
    _folder: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not [rule for _, rule in self.rules() if not (isinstance(rule, RiskRule) and not rule.mitigations)]:
            raise ValueError("a policy without a single gate would let everything through; write one")
        if any(rule.risk_class == "high" for rule in self.risk) and not self.acceptance:
            raise ValueError("a risk of class high needs an acceptance rule: a named person who has looked")
        names = [each.name for rule in self.risk for each in rule.mitigations]
        if len(set(names)) != len(names):
            raise ValueError("a mitigation's name stands in two risks; a record would count for both")
        return self

    @property
    def folder(self) -> Path:
        """Where the policy's file lies, which paths in it are relative to."""
        return self._folder

    @property
    def compares(self) -> bool:
        """Whether any rule holds a model against the champion."""
        sliced = any(rule.worse_by_at_most is not None for rule in self.slices)
        cost = any(rule.worse_by_at_most is not None for rule in self.business)
        return bool(self.champion) or sliced or cost

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
        """SHA-256 of what the policy asks of a model, whatever the file's layout and comments.

        Who may move it is no part of this: a version is not judged anew because a reviewer joins.
        """
        text = json.dumps(
            self.model_dump(mode="json", exclude={"governance"}), sort_keys=True, separators=(",", ":")
        )
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
        content = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"cannot read the policy {path}: {error}") from error
    except yaml.YAMLError as error:
        raise PolicyError(f"the policy {path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise PolicyError(
            f"the policy {path} holds {type(content).__name__}; expected a mapping with format_version and gates"
        )
    try:
        policy = Policy.model_validate(content)
        policy._folder = path.resolve().parent
        return policy
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

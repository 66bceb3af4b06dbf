"""Rules on the model's own files and on the packages that serve it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from model_governance.rules.base import Rule, Strict

__all__ = ["AdvisoryException", "AdvisoryRule", "ArtifactRule", "Materials", "SecurityRule"]


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


class AdvisoryException(Strict):
    """An advisory that a named person has looked at and lets pass until a day."""

    id: str = Field(min_length=3, description="Its id, or one of its aliases (GHSA-..., PYSEC-..., CVE-...).")
    why: str = Field(min_length=3, description="Why it does not matter here.")
    by: str = Field(min_length=2, description="Who says so.")
    until: date = Field(description="Last day on which it is let pass (UTC); after it the gate fails again.")


class AdvisoryRule(Rule):
    """No known vulnerability in the packages that serve the model; nothing is fetched from a network."""

    advisories: str = Field(
        min_length=1,
        description="OSV records (https://ossf.github.io/osv-schema/), relative to the policy's own folder: a "
        "JSON file, a folder of them, or the all.zip that osv.dev exports for PyPI.",
    )
    max_age_days: float = Field(
        gt=0, description="Age of the newest record at most, in days: an old file knows no new vulnerability."
    )
    ignore: tuple[AdvisoryException, ...] = Field((), description="Advisories that are let pass, by whom and why.")


class Materials(Strict):
    """What goes into the bill of materials beside the model's own pins."""

    lock: str = Field(
        min_length=1,
        description="Requirements file with hashes, relative to the policy's own folder; where it pins the "
        "version that the model pins, its hashes go into the bill of materials.",
    )


def _kind_of_file_rule(value: Any) -> str | None:
    """Which of the two a mapping is, so that an error names one kind of rule."""
    for kind in ("allowed_files", "advisories"):
        if kind in value if isinstance(value, dict) else hasattr(value, kind):
            return kind
    return None


SecurityRule = Annotated[
    Annotated[ArtifactRule, Tag("allowed_files")] | Annotated[AdvisoryRule, Tag("advisories")],
    Discriminator(
        _kind_of_file_rule,
        custom_error_type="unknown_security_rule",
        custom_error_message="expected one of the keys allowed_files or advisories",
    ),
]

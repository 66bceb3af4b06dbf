"""The evidence: what a model shows, as values that are written, read back and held against their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from model_governance.advisories import Audit
from model_governance.artifact import Artifact
from model_governance.documents import Document
from model_governance.requirements import Pin
from model_governance.rules.base import Strict
from model_governance.samples import Samples
from model_governance.signatures import Signature

__all__ = ["INHERITED_TAG", "Dataset", "Evaluated", "Evidence", "Measured"]

INHERITED_TAG = "inherited_from"
"""Tag of a run's input: the run that learnt from it, where this one did not."""


class _Value(Strict):
    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_inf_nan="strings", allow_inf_nan=True, protected_namespaces=()
    )


class Measured(_Value):
    """One metric: its latest value, when it was logged (ms since the epoch, UTC), and on which data.

    Attributes
    ----------
    outside : bool
        Whether it was logged outside every recorded evaluation, so that nobody knows which files it is of.
    """

    added: ClassVar[frozenset[str]] = frozenset({"outside"})

    value: float
    timestamp: int
    dataset_digest: str | None = None
    outside: bool = False


class Dataset(_Value):
    """One input of the source run, or of the run that measured.

    Attributes
    ----------
    inherited_from : str or None
        The run that learnt from it, where this one only has it from there.
    """

    added: ClassVar[frozenset[str]] = frozenset({"inherited_from"})

    name: str
    digest: str
    context: str | None = None
    inherited_from: str | None = None


class Evaluated(_Value):
    """One evaluation that the metrics come from: kind, run, digests of the files and of the data.

    Attributes
    ----------
    bound : bool
        Whether its tables were recorded by their digests; evaluations of earlier releases were not.
    """

    added: ClassVar[frozenset[str]] = frozenset({"bound"})

    kind: str
    run_id: str
    began: int
    digest: str
    data: tuple[str, ...] = ()
    bound: bool = False


class Evidence(_Value):
    """What one model shows.

    Attributes
    ----------
    model_uri : str
        The source that a registered version will carry, such as ``models:/m-...``.
    artifact : Artifact
        The model's files with their digests, read from the files.
    evaluation_run_id : str or None
        The run that measured the metrics; None where no evaluation was recorded.
    evaluated_digest : str or None
        Digest of the files on which the metrics were measured, as the evaluation recorded it.
    interface : dict
        The parts of the MLmodel file that the policy calls the model's interface.
    evaluations : tuple of Evaluated
        The newest of each kind, quality first.
    requirements : tuple of Pin or None
        What the model's files say that it needs; None where they say nothing.
    samples, documents, audits : dict
        What rules of the policy ask for, by `PairedTest.columns`, by `DocumentRule.document` and by
        `AdvisoryRule.advisories`.
    signatures : tuple of Signature
        What persons signed, oldest first; `looked_at` holds the digest that each artefact has now.
    digest : str
        SHA-256 of all of this.
    """

    added: ClassVar[frozenset[str]] = frozenset(
        {"evaluations", "requirements", "samples", "documents", "audits", "signatures", "looked_at"}
    )

    format_version: Literal[1] = 1
    model_uri: str
    run_id: str
    artifact: Artifact
    evaluation_run_id: str | None = None
    evaluated_digest: str | None
    metrics: dict[str, Measured]
    params: dict[str, str]
    tags: dict[str, str]
    datasets: tuple[Dataset, ...]
    git_commit: str | None
    interface: dict[str, Any]
    evaluations: tuple[Evaluated, ...] = ()
    requirements: tuple[Pin, ...] | None = None
    samples: Mapping[str, Samples] = Field(default_factory=dict)
    documents: Mapping[str, Document] = Field(default_factory=dict)
    audits: Mapping[str, Audit] = Field(default_factory=dict)
    signatures: tuple[Signature, ...] = ()
    looked_at: Mapping[str, str] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def interface_digest(self) -> str:
        return hashlib.sha256(repr(sorted(self.interface.items())).encode()).hexdigest()

    @property
    def measured_on(self) -> frozenset[str]:
        """Digests of the data that the metrics were measured on."""
        return frozenset(metric.dataset_digest for metric in self.metrics.values() if metric.dataset_digest)

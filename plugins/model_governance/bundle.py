"""The evidence bundle: evidence, policy, verdict and bill of materials, kept with the source run and read back."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from pydantic import BaseModel, ValidationError

from model_governance.errors import EvidenceError, TamperError
from model_governance.evidence import Evidence
from model_governance.gates import Verdict
from model_governance.policy import Policy

__all__ = ["MATERIALS_FILE", "MATERIALS_TAG", "Bundle", "bundle_in", "bundle_place", "read_bundle", "write_bundle"]

MATERIALS_FILE = "bill_of_materials.cdx.json"
"""The bill of materials in the bundle, named as CycloneDX asks for (*.cdx.json)."""
MATERIALS_TAG = "materials_digest"
"""Tag of a version: SHA-256 of that file."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was known when a version was judged; `materials` is the text of its bill of materials."""

    evidence: Evidence
    policy: Policy
    verdict: Verdict
    materials: str | None = None

    @property
    def materials_digest(self) -> str | None:
        """SHA-256 of the bill of materials; None where there is none, as in bundles of older versions."""
        return None if self.materials is None else hashlib.sha256(self.materials.encode()).hexdigest()

    @property
    def folder(self) -> str:
        """Artifact path in the source run; named by content, so that no bundle ever overwrites another.

        When it was judged is left out: the same verdict on the same evidence is the same bundle.
        """
        content = self.verdict.model_dump_json(exclude={"judged_at"})
        return f"governance/{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def write_bundle(client: MlflowClient, bundle: Bundle) -> str:
    """Keep the bundle with the source run; gives its artifact path."""
    parts: dict[str, BaseModel] = {
        "evidence": bundle.evidence,
        "policy": bundle.policy,
        "verdict": bundle.verdict,
    }
    for part, value in parts.items():
        client.log_text(bundle.evidence.run_id, value.model_dump_json(indent=2), f"{bundle.folder}/{part}.json")
    if bundle.materials is not None:
        client.log_text(bundle.evidence.run_id, bundle.materials, f"{bundle.folder}/{MATERIALS_FILE}")
    return bundle.folder


def read_bundle(version: ModelVersion) -> Bundle:
    """Read the bundle of a registered version, and hold it against the digests on the version.

    Raises
    ------
    EvidenceError
        Where there is none, or it cannot be read.
    TamperError
        Where it is not the one that the version was registered with.
    """
    label = f"version {version.version} of {version.name!r}"
    run_id, folder = bundle_place(version)
    try:
        with tempfile.TemporaryDirectory(prefix="model-governance-") as target:
            root = mlflow.artifacts.download_artifacts(artifact_uri=f"runs:/{run_id}/{folder}", dst_path=target)
            return bundle_in(Path(root), version)
    except (MlflowException, OSError) as error:
        raise _unreadable(label, folder, run_id, error) from error


def bundle_place(version: ModelVersion) -> tuple[str, str]:
    """The run that keeps a version's bundle, and the artifact path of its folder.

    Raises
    ------
    EvidenceError
        Where the version carries none.
    """
    folder, run_id = version.tags.get("evidence"), version.tags.get("source_run_id")
    if not folder or not run_id:
        raise EvidenceError(
            f"version {version.version} of {version.name!r} carries no evidence; register its model with "
            "`model-governance register`"
        )
    return run_id, folder


def bundle_in(root: Path, version: ModelVersion) -> Bundle:
    """The bundle whose files lie in this folder, held against the digests on the version.

    Raises
    ------
    EvidenceError
        Where there is none, or it cannot be read.
    TamperError
        Where it is not the one that the version was registered with.
    """
    tags, label = version.tags, f"version {version.version} of {version.name!r}"
    run_id, folder = bundle_place(version)
    try:
        bundle = Bundle(
            Evidence.model_validate_json((root / "evidence.json").read_text(encoding="utf-8")),
            Policy.model_validate_json((root / "policy.json").read_text(encoding="utf-8")),
            Verdict.model_validate_json((root / "verdict.json").read_text(encoding="utf-8")),
            _text(root / MATERIALS_FILE),
        )
    except (OSError, ValidationError) as error:
        raise _unreadable(label, folder, run_id, error) from error
    for what, expected, got in (
        ("evidence", tags.get("evidence_digest"), bundle.evidence.digest),
        ("policy", tags.get("policy_digest"), bundle.policy.digest),
        ("verdict's evidence", bundle.evidence.digest, bundle.verdict.evidence_digest),
        ("verdict's policy", bundle.policy.digest, bundle.verdict.policy_digest),
        ("evidence's files", tags.get("artifact_digest"), bundle.evidence.artifact.digest),
        ("verdict", folder, bundle.folder),
        ("bill of materials", tags.get(MATERIALS_TAG), bundle.materials_digest),
    ):
        if expected != got:
            raise TamperError(
                f"the {what} of {label} has digest {(got or 'none')[:16]}, but {(expected or 'none')[:16]} was "
                "registered; somebody changed it: register the model again"
            )
    return bundle


def _unreadable(label: str, folder: str, run_id: str, error: Exception) -> EvidenceError:
    return EvidenceError(
        f"the evidence of {label} cannot be read from {folder} of run {run_id}: {error}; register it again"
    )


def _text(path: Path) -> str | None:
    # In bytes, so that no line ending is changed under the digest.
    return path.read_bytes().decode("utf-8") if path.is_file() else None

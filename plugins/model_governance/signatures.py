"""Signatures: who looked at which artefact of a model, or accepts which mitigation, when, and what they said.

A signature is a tag of the model's run, written once and never changed. It holds the digest of what was looked at
and of the model's files, so it is worth nothing for other ones. Like all tags it can be written by whoever may
edit the run: it says who vouches, it does not prove it.
"""

from __future__ import annotations

import hashlib
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model_governance.artifact import artifact_digest
from model_governance.errors import EvidenceError, TamperError
from model_governance.evaluation import recorded_evaluations
from model_governance.signing import require_signature
from model_governance.source import locate

__all__ = ["SIGNATURE_TAG", "Signature", "accept", "accept_mitigation", "artifact_sha256", "read_signatures"]

SIGNATURE_TAG = "governance.signature"
"""Beginning of the tags of a model's run that hold signatures."""


class Signature(BaseModel):
    """What one person signed.

    Attributes
    ----------
    model_digest : str
        Of the model's files at that time.
    artifact, run_id, sha256 : str or None
        What was looked at, and its digest; None for a mitigation.
    mitigation : str or None
        Name of the mitigation that is accepted.
    expires : date or None
        Last day on which it counts (UTC).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str = Field(min_length=1)
    at: datetime
    comment: str
    verdict: Literal["accepted", "rejected"]
    model_digest: str
    artifact: str | None = None
    run_id: str | None = None
    sha256: str | None = None
    mitigation: str | None = None
    expires: date | None = None


def accept(
    model_uri: str,
    by: str,
    comment: str,
    artifact: str,
    *,
    verdict: Literal["accepted", "rejected"] = "accepted",
    now: datetime | None = None,
) -> Signature:
    """Sign for an artefact of a model that a person has looked at.

    Parameters
    ----------
    artifact : str
        Path of a file or folder in the model's run, or in a run that measured it (the newest one that has it).
    verdict : str
        ``rejected`` makes every gate that this artefact could fulfil fail, until the same person accepts it.

    Raises
    ------
    TransitionError
        Where name or comment is missing.
    EvidenceError
        Where there is no such model, or none of its runs has the artefact.
    """
    by, comment = require_signature(by, comment)
    client, source = MlflowClient(), locate(model_uri)
    artifact = artifact.strip("/")
    runs = [source.run_id, *(each.run_id for each in recorded_evaluations(client, source))]
    for run_id in reversed(list(dict.fromkeys(runs))):
        digest = artifact_sha256(client, run_id, artifact)
        if digest is not None:
            break
    else:
        raise EvidenceError(
            f"{artifact!r} is no artefact of the run {source.run_id} that made {source.uri}, nor of one that "
            "measured it; give the path that the MLflow UI shows under Artifacts"
        )
    return _sign(
        client,
        source.run_id,
        Signature(
            by=by,
            at=now or datetime.now(UTC),
            comment=comment,
            verdict=verdict,
            model_digest=artifact_digest(source.location),
            artifact=artifact,
            run_id=run_id,
            sha256=digest,
        ),
    )


def accept_mitigation(
    model_uri: str, by: str, comment: str, mitigation: str, expires: date, *, now: datetime | None = None
) -> Signature:
    """Accept a mitigation of the policy's risks for one model, until a day.

    Raises
    ------
    TransitionError
        Where name or comment is missing.
    EvidenceError
        Where there is no such model, or the day is past.
    """
    by, comment = require_signature(by, comment)
    now = now or datetime.now(UTC)
    if expires < now.date():
        raise EvidenceError(
            f"the acceptance of {mitigation!r} would expire on {expires}, which is past; give a later day"
        )
    source = locate(model_uri)
    signature = Signature(
        by=by,
        at=now,
        comment=comment,
        verdict="accepted",
        model_digest=artifact_digest(source.location),
        mitigation=mitigation,
        expires=expires,
    )
    return _sign(MlflowClient(), source.run_id, signature)


def read_signatures(run: Run) -> tuple[Signature, ...]:
    """All signatures on a run, oldest first.

    Raises
    ------
    TamperError
        Where a tag is none that this package wrote.
    """
    found = []
    for tag, text in run.data.tags.items():
        if not tag.startswith(f"{SIGNATURE_TAG}."):
            continue
        try:
            signature = Signature.model_validate_json(text)
        except ValidationError as error:
            raise TamperError(f"the tag {tag} of run {run.info.run_id} is no signature; delete it") from error
        if tag != _tag(signature):
            raise TamperError(
                f"the tag {tag} of run {run.info.run_id} was changed after it was signed; delete it and sign again"
            )
        found.append(signature)
    return tuple(sorted(found, key=lambda each: (each.at, each.model_dump_json())))


def artifact_sha256(client: MlflowClient, run_id: str, path: str) -> str | None:
    """SHA-256 of an artefact, or of the names and digests of a folder's files; None where there is none."""
    try:
        known = client.list_artifacts(run_id, str(Path(path).parent) if "/" in path else None)
        if path not in {each.path for each in known}:
            return None
        with tempfile.TemporaryDirectory(prefix="model-governance-") as folder:
            found = Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=folder))
            if found.is_file():
                return _sha256(found)
            files = sorted(each for each in found.rglob("*") if each.is_file())
            lines = "\n".join(f"{_sha256(each)}  {each.relative_to(found).as_posix()}" for each in files)
            return hashlib.sha256(lines.encode()).hexdigest()
    except (MlflowException, OSError):
        return None


def _sign(client: MlflowClient, run_id: str, signature: Signature) -> Signature:
    client.set_tag(run_id, _tag(signature), signature.model_dump_json())
    return signature


def _tag(signature: Signature) -> str:
    """Named by its content, so that no signature overwrites another, and a changed one shows."""
    return f"{SIGNATURE_TAG}.{hashlib.sha256(signature.model_dump_json().encode()).hexdigest()[:24]}"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

"""A version's files and its verdict, read where the server itself keeps them."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import mlflow
import yaml
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path
from pydantic import ValidationError

from model_governance.artifact import artifact_digest
from model_governance.errors import GovernanceError
from model_governance.evidence import Evidence as Recorded
from model_governance.gates import Verdict

__all__ = ["Files", "failed_gates", "measuring_runs", "own_location", "read_files"]

_DESTINATION = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
_ANCHOR = "/api/2.0/mlflow-artifacts/artifacts/"
_FOLDER = re.compile(r"governance/[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Files:
    """Digest of a version's files; None where they cannot be read, and why."""

    digest: str | None = None
    trouble: str = ""


def own_location(location: str, destination: str | None) -> str:
    """Where the server keeps what clients reach through its artifact proxy; any other location as it is.

    Parameters
    ----------
    destination : str or None
        What `mlflow server --artifacts-destination` names; None where nothing is known of it.

    Examples
    --------
    >>> own_location("mlflow-artifacts:/1/models/m-2/artifacts", "s3://bucket/root/")
    's3://bucket/root/1/models/m-2/artifacts'
    >>> own_location("/srv/models/1", "s3://bucket/root")
    '/srv/models/1'
    """
    parsed = urlparse(location)
    if parsed.scheme == "mlflow-artifacts":
        path = parsed.path
    elif parsed.scheme in ("http", "https") and _ANCHOR in parsed.path:
        path = parsed.path.split(_ANCHOR, 1)[1]
    else:
        return location
    destination = os.environ.get(_DESTINATION) or destination
    if destination is None:
        return location
    parts = [part for part in unquote(path).split("/") if part]
    if ".." in parts:
        raise MlflowException.invalid_parameter_value(f"{location} leads out of where artefacts are kept")
    return "/".join([destination.rstrip("/"), *parts])


def read_files(location: str | None, destination: str | None) -> Files:
    """The digest of the files at a location, or why it cannot be told."""
    if not location:
        return Files(trouble="the version names no place where they are")
    try:
        return Files(artifact_digest(own_location(location, destination)))
    except (GovernanceError, MlflowException, OSError, yaml.YAMLError) as error:
        return Files(trouble=str(error)[:500])


def failed_gates(version: ModelVersion, destination: str | None) -> tuple[str, ...]:
    """The gates that a version failed, as sentences; none where its verdict cannot be read or was changed."""
    folder, run_id = version.tags.get("evidence", ""), version.tags.get("source_run_id", "")
    if version.tags.get("gates") in (None, "passed") or not _FOLDER.fullmatch(folder):
        return ()
    try:
        root = MlflowClient().get_run(run_id).info.artifact_uri or ""
        verdict = Verdict.model_validate_json(_text(own_location(f"{root}/{folder}/verdict.json", destination)))
    except (MlflowException, OSError, ValidationError, UnicodeDecodeError):
        return ()
    content = verdict.model_dump_json(exclude={"judged_at"})
    if folder != f"governance/{hashlib.sha256(content.encode()).hexdigest()[:16]}":
        return ()
    return tuple(row.sentence() for row in verdict.failures)


def measuring_runs(version: ModelVersion, destination: str | None) -> tuple[str, ...] | None:
    """The runs that measured a version, as its evidence tells; None where that cannot be read or was changed."""
    folder, run_id = version.tags.get("evidence", ""), version.tags.get("source_run_id", "")
    if not _FOLDER.fullmatch(folder):
        return None
    try:
        root = MlflowClient().get_run(run_id).info.artifact_uri or ""
        evidence = Recorded.model_validate_json(_text(own_location(f"{root}/{folder}/evidence.json", destination)))
    except (MlflowException, OSError, ValidationError, UnicodeDecodeError):
        return None
    if evidence.digest != version.tags.get("evidence_digest"):
        return None
    return tuple(dict.fromkeys(each.run_id for each in evidence.evaluations))


def _text(uri: str) -> str:
    if urlparse(uri).scheme in ("", "file"):
        return Path(local_file_uri_to_path(uri)).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="model-governance-") as folder:
        path = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
        return Path(path).read_text(encoding="utf-8")

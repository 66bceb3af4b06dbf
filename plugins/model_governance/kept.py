"""One file of a model or of a run, read where it is kept."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlparse

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path

from model_governance.artifact import Artifact
from model_governance.errors import EvidenceError, TamperError

__all__ = ["model_file", "run_file"]


def model_file(location: str, artifact: Artifact, path: str) -> bytes | None:
    """A file of a model; None where the model has none of that name.

    Raises
    ------
    TamperError
        Where it is not the one whose digest was read.
    """
    known = next((file for file in artifact.files if file.path == path), None)
    if known is None:
        return None
    if urlparse(location).scheme in ("", "file"):
        content = (Path(local_file_uri_to_path(location)) / path).read_bytes()  # type: ignore[no-untyped-call]
    else:
        with tempfile.TemporaryDirectory(prefix="model-governance-") as folder:
            uri = f"{location.rstrip('/')}/{path}"
            content = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)).read_bytes()
    if hashlib.sha256(content).hexdigest() != known.sha256:
        raise TamperError(f"{path} in {location} changes while it is read; log the model again")
    return content


def run_file(client: MlflowClient, run_ids: Iterable[str], path: str) -> bytes | None:
    """A file among the artefacts of the first run that has it; None where none has.

    Raises
    ------
    EvidenceError
        Where it is there but cannot be read.
    """
    folder = path.rpartition("/")[0] or None
    for run_id in run_ids:
        try:
            if path not in {each.path for each in client.list_artifacts(run_id, folder) if not each.is_dir}:
                continue
            with tempfile.TemporaryDirectory(prefix="model-governance-") as target:
                found = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=target)
                return Path(found).read_bytes()
        except (MlflowException, OSError) as error:
            raise EvidenceError(f"the artefact {path} of run {run_id} cannot be read: {error}") from error
    return None

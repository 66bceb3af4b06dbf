"""The files of a registered version, fetched into a folder of one's own and held against what was approved."""

from __future__ import annotations

from pathlib import Path

import mlflow
from mlflow import MlflowClient

from model_governance.artifact import artifact_digest
from serving.errors import ServingError

__all__ = ["fetch_approved"]


def fetch_approved(name: str, version: str, into: Path) -> Path:
    """Download a version and compare its files with the tag `artifact_digest`, which the registration wrote.

    What was compared is what is served: nobody else writes in that folder, as they could in the artifact store.

    Raises
    ------
    ServingError
        Where the files are not those that were registered, or nothing says which those are.
    model_governance.EvidenceError
        Where a file in it is none that a model may hold.
    mlflow.exceptions.MlflowException, OSError
        Where registry or artifact store do not answer.
    """
    approved = MlflowClient().get_model_version(name, version).tags.get("artifact_digest")
    if not approved:
        raise ServingError(
            "expected the tag artifact_digest, it has none, so nothing says which files were approved; register "
            "the model with `mlflow run . -e register` and promote that version"
        )
    into.mkdir(parents=True)
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{name}/{version}", dst_path=str(into)))
    if (found := artifact_digest(str(folder))) != approved:
        raise ServingError(
            f"expected the files with the digest {approved[:16]}, which were approved; the artifact store has "
            f"{found[:16]}. Somebody changed them: log, evaluate and register the model again"
        )
    return folder

"""Where a model really is: its files, its run and its logged model, found from any of its URIs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import LoggedModel
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

from model_governance.errors import EvidenceError

__all__ = ["Source", "locate"]

_EXPECTED = "Expected models:/m-..., runs:/<run>/<path>, models:/<name>/<version> or models:/<name>@<alias>."
_MODELS_URI = re.compile(r"models:/+(?P<name>[^/]+?)(?:/(?P<version>\d+)|@(?P<alias>[^/@]+))?")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model really is."""

    uri: str
    location: str
    run_id: str
    logged: LoggedModel | None


def locate(model_uri: str) -> Source:
    """Find a model's files and its run from any of its URIs.

    Raises
    ------
    EvidenceError
        Where there is no such model or no run that it came from.
    """
    client = MlflowClient()
    try:
        source = _locate(client, model_uri)
    except MlflowException as error:
        raise EvidenceError(f"no model at {model_uri!r}: {error.message} {_EXPECTED}") from error
    if not source.run_id:
        raise EvidenceError(
            f"{model_uri} has no source run, so nobody can say how it was made; log it inside an MLflow run"
        )
    return source


def _locate(client: MlflowClient, model_uri: str) -> Source:
    if model_uri.startswith("runs:/"):
        run_id, path = RunsArtifactRepository.parse_runs_uri(model_uri)  # type: ignore[no-untyped-call]
        run = client.get_run(run_id)
        for output in reversed(run.outputs.model_outputs if run.outputs else []):
            if client.get_logged_model(output.model_id).name == path:
                return _locate(client, f"models:/{output.model_id}")
        return Source(model_uri, RunsArtifactRepository.get_underlying_uri(model_uri), run_id, None)
    parsed = _MODELS_URI.fullmatch(model_uri)
    if parsed is None:
        raise EvidenceError(f"no model at {model_uri!r}: this is no model's address. {_EXPECTED}")
    name, alias, number = parsed["name"], parsed["alias"], parsed["version"]
    if alias is None and number is None:
        logged = client.get_logged_model(name)
        return Source(f"models:/{logged.model_id}", logged.artifact_location, logged.source_run_id or "", logged)
    if alias is not None:
        version = client.get_model_version_by_alias(name, alias)
    else:
        version = client.get_model_version(name, number)
    if version.source and version.source.startswith(("models:/", "runs:/")):
        return _locate(client, version.source)
    location = client.get_model_version_download_uri(version.name, version.version)
    return Source(version.source or location, location, version.run_id or "", None)

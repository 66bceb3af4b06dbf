"""The evidence: what a model shows, gathered from its run, its logged model and its own files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository
from mlflow.store.artifact.utils.models import _parse_model_uri
from pydantic import BaseModel, ConfigDict

from model_governance.artifact import Artifact, artifact_digest, read_artifact
from model_governance.errors import EvidenceError, TamperError
from model_governance.policy import Versioning

__all__ = ["EVALUATED_DIGEST", "Dataset", "Evidence", "Measured", "collect", "evaluation_of"]

EVALUATED_DIGEST = "governance.evaluated_digest"
"""Tag of the logged model (of the run, for a model without one): the digest of the files that were evaluated."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Measured(_Value):
    """One metric: its latest value, when it was logged (ms since the epoch, UTC), and on which data."""

    value: float
    timestamp: int
    dataset_digest: str | None = None


class Dataset(_Value):
    """One input of the source run."""

    name: str
    digest: str
    context: str | None = None


class Evidence(_Value):
    """What one model shows.

    Attributes
    ----------
    model_uri : str
        The source that a registered version will carry, such as ``models:/m-...``.
    artifact : Artifact
        The model's files with their digests, read from the files.
    evaluated_digest : str or None
        Digest of the files on which the metrics were measured, as the evaluation recorded it.
    interface : dict
        The parts of the MLmodel file that the policy calls the model's interface.
    digest : str
        SHA-256 of all of this.
    """

    format_version: Literal[1] = 1
    model_uri: str
    run_id: str
    artifact: Artifact
    evaluated_digest: str | None
    metrics: dict[str, Measured]
    params: dict[str, str]
    tags: dict[str, str]
    datasets: tuple[Dataset, ...]
    git_commit: str | None
    interface: dict[str, Any]

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def interface_digest(self) -> str:
        return hashlib.sha256(repr(sorted(self.interface.items())).encode()).hexdigest()


def collect(model_uri: str, versioning: Versioning | None = None) -> Evidence:
    """Gather what a model shows.

    Parameters
    ----------
    model_uri : str
        ``models:/m-...`` (a logged model), ``runs:/<run>/<path>``, or a registered ``models:/<name>/<version>``.

    Raises
    ------
    EvidenceError
        Where there is no such model, it has no source run, or its files cannot be read.
    """
    source = locate(model_uri)
    client = MlflowClient()
    run = _run(client, source.run_id)
    artifact, mlmodel = read_artifact(source.location)
    tags = {**run.data.tags, **(source.logged.tags if source.logged else {})}
    return Evidence(
        model_uri=source.uri,
        run_id=source.run_id,
        artifact=artifact,
        evaluated_digest=(source.logged.tags if source.logged else run.data.tags).get(EVALUATED_DIGEST),
        metrics=_metrics(client, run, source.logged),
        params=dict(sorted(run.data.params.items())),
        tags={key: value for key, value in sorted(tags.items()) if _is_evidence(key)},
        datasets=tuple(_datasets(run)),
        git_commit=tags.get("lineage.git_commit") or tags.get("mlflow.source.git.commit"),
        interface={path: _at(mlmodel, path) for path in (versioning or Versioning()).interface},
    )


@contextmanager
def evaluation_of(model_uri: str) -> Iterator[str]:
    """Record which files an evaluation measured; put the evaluation inside the ``with`` block.

    Gives the digest of the model's files. Without this record a policy with a freshness rule refuses the model.

    Raises
    ------
    TamperError
        Where the files changed while they were being evaluated; nothing is recorded then.
    """
    source = locate(model_uri)
    before = artifact_digest(source.location)
    yield before
    after = artifact_digest(source.location)
    if after != before:
        raise TamperError(
            f"the files of {source.uri} changed during the evaluation (digest {before[:12]} before, {after[:12]} "
            "after); log the model again and evaluate that"
        )
    client = MlflowClient()
    if source.logged:
        client.set_logged_model_tags(source.logged.model_id, {EVALUATED_DIGEST: before})
    else:
        client.set_tag(source.run_id, EVALUATED_DIGEST, before)


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
        raise EvidenceError(
            f"no model at {model_uri!r}: {error.message} Expected models:/m-..., runs:/<run>/<path> or "
            "models:/<name>/<version>."
        ) from error
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
    parsed = _parse_model_uri(model_uri)
    if parsed.model_id is not None:
        logged = client.get_logged_model(parsed.model_id)
        return Source(f"models:/{logged.model_id}", logged.artifact_location, logged.source_run_id or "", logged)
    name = parsed.name or ""
    if parsed.alias is not None:
        version = client.get_model_version_by_alias(name, parsed.alias)
    else:
        version = client.get_model_version(name, parsed.version or "")
    if version.source and version.source.startswith(("models:/", "runs:/")):
        return _locate(client, version.source)
    location = client.get_model_version_download_uri(version.name, version.version)
    return Source(version.source or location, location, version.run_id or "", None)


def _run(client: MlflowClient, run_id: str) -> Run:
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        raise EvidenceError(f"the source run {run_id} cannot be read: {error.message}") from error


def _metrics(client: MlflowClient, run: Run, logged: LoggedModel | None) -> dict[str, Measured]:
    """The model's own metrics; its run's as well where the run made no other model they could belong to."""
    of_model: dict[str, Measured] = {}
    for metric in (logged.metrics if logged else None) or []:
        known = of_model.get(metric.key)
        mine = Measured(value=metric.value, timestamp=metric.timestamp, dataset_digest=metric.dataset_digest)
        if known is None or (mine.timestamp, mine.dataset_digest or "") >= (
            known.timestamp,
            known.dataset_digest or "",
        ):
            of_model[metric.key] = mine
    of_run: dict[str, Measured] = {}
    others = {output.model_id for output in run.outputs.model_outputs} if run.outputs else set()
    if not others - {logged.model_id if logged else None}:
        for name in run.data.metrics:
            if name not in of_model and not name.startswith("system/"):
                last = client.get_metric_history(run.info.run_id, name)[-1]
                of_run[name] = Measured(
                    value=last.value, timestamp=last.timestamp, dataset_digest=last.dataset_digest
                )
    return dict(sorted({**of_run, **of_model}.items()))


def _datasets(run: Run) -> Iterator[Dataset]:
    for entry in run.inputs.dataset_inputs if run.inputs else []:
        context = next((tag.value for tag in entry.tags if tag.key == "mlflow.data.context"), None)
        yield Dataset(name=entry.dataset.name, digest=entry.dataset.digest, context=context)


def _is_evidence(tag: str) -> bool:
    """Not MLflow's own book-keeping (the user's name among it), and not what governance itself writes."""
    return not tag.startswith(("mlflow.", "governance."))


def _at(content: Mapping[str, Any], path: str) -> Any:
    value: Any = content
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value

"""The evidence: what a model shows, gathered from its run, its logged model and its own files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.exceptions import MlflowException
from pydantic import BaseModel, ConfigDict

from model_governance.artifact import Artifact, read_artifact
from model_governance.errors import EvidenceError
from model_governance.evaluation import Evaluation, recorded_evaluations
from model_governance.policy import Versioning
from model_governance.source import locate

__all__ = ["Dataset", "Evidence", "Measured", "collect"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Measured(_Value):
    """One metric: its latest value, when it was logged (ms since the epoch, UTC), and on which data."""

    value: float
    timestamp: int
    dataset_digest: str | None = None


class Dataset(_Value):
    """One input of the source run, or of the run that measured."""

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
    evaluation_run_id : str or None
        The run that measured the metrics; None where no evaluation was recorded.
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
    evaluation_run_id: str | None = None
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

    @property
    def measured_on(self) -> frozenset[str]:
        """Digests of the data that the metrics were measured on."""
        return frozenset(metric.dataset_digest for metric in self.metrics.values() if metric.dataset_digest)


def collect(model_uri: str, versioning: Versioning | None = None, *, beside: Evidence | None = None) -> Evidence:
    """Gather what a model shows: its newest recorded evaluation, and what its own run says.

    Parameters
    ----------
    model_uri : str
        ``models:/m-...`` (a logged model), ``runs:/<run>/<path>``, or a registered ``models:/<name>/<version>``.
    beside : Evidence, optional
        What another model shows; of several evaluations one on the same data is taken, so that they compare.

    Raises
    ------
    EvidenceError
        Where there is no such model, it has no source run, or its files cannot be read.
    """
    source = locate(model_uri)
    client = MlflowClient()
    run = _run(client, source.run_id)
    wanted = beside.measured_on if beside else frozenset()
    evaluation = max(
        recorded_evaluations(client, source), key=lambda each: (bool(each.data & wanted), each.began), default=None
    )
    runs = [run]
    if evaluation is not None and evaluation.run_id != source.run_id:
        runs.append(_run(client, evaluation.run_id))
    artifact, mlmodel = read_artifact(source.location)
    tags = {**run.data.tags, **(source.logged.tags if source.logged else {})}
    return Evidence(
        model_uri=source.uri,
        run_id=source.run_id,
        artifact=artifact,
        evaluation_run_id=evaluation.run_id if evaluation else None,
        evaluated_digest=evaluation.digest if evaluation else None,
        metrics=_metrics(client, run, source.logged, evaluation),
        params=dict(sorted(run.data.params.items())),
        tags={key: value for key, value in sorted(tags.items()) if _is_evidence(key)},
        datasets=tuple(dict.fromkeys(data for each in runs for data in _datasets(each))),
        git_commit=tags.get("lineage.git_commit") or tags.get("mlflow.source.git.commit"),
        interface={path: _at(mlmodel, path) for path in (versioning or Versioning()).interface},
    )


def _run(client: MlflowClient, run_id: str) -> Run:
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        raise EvidenceError(f"the source run {run_id} cannot be read: {error.message}") from error


def _metrics(
    client: MlflowClient, run: Run, logged: LoggedModel | None, evaluation: Evaluation | None
) -> dict[str, Measured]:
    """What the evaluation measured; without one, whatever was logged for the model.

    The metrics of the model's run as well, where it made no other model that they could belong to, but none that
    some evaluation of the model logged too: those would be another one's.
    """
    of_model: dict[str, Measured] = {}
    everything = (logged.metrics if logged else None) or []
    for metric in evaluation.metrics if evaluation else everything:
        known = of_model.get(metric.key)
        mine = Measured(value=metric.value, timestamp=metric.timestamp, dataset_digest=metric.dataset_digest)
        if known is None or (mine.timestamp, mine.dataset_digest or "") >= (
            known.timestamp,
            known.dataset_digest or "",
        ):
            of_model[metric.key] = mine
    of_run: dict[str, Measured] = {}
    evaluated = {metric.key for metric in everything}
    others = {output.model_id for output in run.outputs.model_outputs} if run.outputs else set()
    if not others - {logged.model_id if logged else None}:
        for name in run.data.metrics:
            if name not in evaluated and not name.startswith("system/"):
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

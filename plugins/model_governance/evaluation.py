"""Evaluations of a model: which run measured which files, when, and what came out.

A model may be measured often: on other data, with other options, by evaluations that failed half-way. Its figures
then stand side by side in MLflow. An evaluation that ended well is recorded on its run, last of all; evidence is
what one such evaluation measured, never a mixture of several.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from pydantic import BaseModel, ConfigDict, ValidationError

from model_governance.artifact import artifact_digest
from model_governance.errors import EvidenceError, TamperError
from model_governance.source import Source, locate

__all__ = ["EVALUATION_TAG", "Evaluation", "evaluation_of", "recorded_evaluations"]

EVALUATION_TAG = "governance.evaluation"
"""Tag of a run that measured a model, followed by the logged model's id: what was measured, and when."""


class _Record(BaseModel):
    """The value of the tag: from when to when (ms since the epoch, UTC) was measured, and the files' digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    began: int
    ended: int
    digest: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation that ended well.

    Parameters
    ----------
    run_id : str
        The run that measured.
    began : int
        Milliseconds since the epoch, UTC.
    digest : str
        Of the model's files, the same before and after.
    metrics : tuple of Metric
        What was logged meanwhile for the logged model; empty for a model that is none: its run's metrics are all.
    """

    run_id: str
    began: int
    digest: str
    metrics: tuple[Metric, ...]

    @property
    def data(self) -> frozenset[str]:
        """Digests of the data that the metrics were measured on."""
        return frozenset(metric.dataset_digest for metric in self.metrics if metric.dataset_digest)


@contextmanager
def evaluation_of(model_uri: str) -> Iterator[str]:
    """Record an evaluation; put it inside the ``with`` block, with its metrics logged to one run.

    Gives the digest of the model's files. Without this record a policy with a freshness rule refuses the model.
    Where the block raises, nothing is recorded, and an earlier evaluation stays the model's evidence.

    Raises
    ------
    TamperError
        Where the files changed while they were being evaluated; nothing is recorded then.
    EvidenceError
        Where the metrics were logged to several runs.
    """
    source = locate(model_uri)
    before = artifact_digest(source.location)
    began = _now()
    yield before
    ended = _now()
    after = artifact_digest(source.location)
    if after != before:
        raise TamperError(
            f"the files of {source.uri} changed during the evaluation (digest {before[:12]} before, {after[:12]} "
            "after); log the model again and evaluate that"
        )
    record = _Record(began=began, ended=ended, digest=before)
    MlflowClient().set_tag(_measuring_run(source, began), _tag(source), record.model_dump_json())


def recorded_evaluations(client: MlflowClient, source: Source) -> list[Evaluation]:
    """All evaluations of a model that ended well, oldest first."""
    metrics: dict[str, list[Metric]] = {source.run_id: []}
    for metric in (source.logged.metrics if source.logged else None) or []:
        metrics.setdefault(str(metric.run_id), []).append(metric)
    found = []
    for run_id, measured in metrics.items():
        record = _read_record(client, run_id, _tag(source))
        if record is not None:
            of_it = tuple(metric for metric in measured if record.began <= metric.timestamp <= record.ended)
            found.append(Evaluation(run_id, record.began, record.digest, of_it))
    return sorted(found, key=lambda evaluation: evaluation.began)


def _now() -> int:
    return int(time.time() * 1000)


def _measuring_run(source: Source, began: int) -> str:
    """The run to which the model's metrics were logged since; its own run where none was logged for the model."""
    if source.logged is None:
        return source.run_id
    logged = MlflowClient().get_logged_model(source.logged.model_id)
    runs = {str(metric.run_id) for metric in logged.metrics or [] if metric.timestamp >= began}
    if len(runs) > 1:
        raise EvidenceError(
            f"the evaluation of {source.uri} logged its metrics to {len(runs)} runs ({', '.join(sorted(runs))}), "
            "or two evaluated it at once; log all of one evaluation to one run, and one after the other"
        )
    return runs.pop() if runs else source.run_id


def _tag(source: Source) -> str:
    return f"{EVALUATION_TAG}.{source.logged.model_id}" if source.logged else EVALUATION_TAG


def _read_record(client: MlflowClient, run_id: str, tag: str) -> _Record | None:
    try:
        text = client.get_run(run_id).data.tags.get(tag)
    except MlflowException:  # a run that was deleted for good took its record with it
        return None
    try:
        return None if text is None else _Record.model_validate_json(text)
    except ValidationError as error:
        raise TamperError(
            f"the tag {tag} of run {run_id} is not one that this package wrote; evaluate the model again, or "
            "delete the tag"
        ) from error

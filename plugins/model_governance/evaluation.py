"""Evaluations of a model: which run measured which files, when, and what came out.

A model may be measured often: on other data, with other options, by evaluations that failed half-way. Its figures
then stand side by side in MLflow. An evaluation that ended well is recorded on its run, last of all. There are
kinds of them (how good it is, how it holds under bad weather, whether it serves); evidence is what the newest one
of each kind measured, never a mixture of several of a kind.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Metric, Run
from mlflow.exceptions import MlflowException
from pydantic import BaseModel, ConfigDict, ValidationError

from model_governance.artifact import artifact_digest
from model_governance.binding import metrics_digest, table_digests
from model_governance.errors import EvidenceError, TamperError
from model_governance.governing import governing
from model_governance.source import Source, locate

__all__ = [
    "EVALUATION_TAG",
    "QUALITY",
    "Evaluation",
    "evaluation_of",
    "newest_of_each_kind",
    "recorded_evaluations",
    "require_same_metrics",
]

QUALITY = "quality"
"""The kind of evaluation that measures how good a model is: what was recorded before there were kinds."""

EVALUATION_TAG = "governance.evaluation"
"""Tag of a run that measured a model, followed by the logged model's id and, but for quality, by the kind."""

# A kind begins with a letter and has no hyphen, so it is never taken for a logged model's id, which has one.
_KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CLOCKS_DIFFER_BY = 3_600_000  # ms; what begins later was not measured


class _Record(BaseModel):
    """The value of the tag: from when to when (ms since the epoch, UTC) was measured, and the files' digest.

    Attributes
    ----------
    tables : dict or None
        SHA-256 of the tables that the evaluation left, by their paths.
    metrics : str or None
        Digest of the metrics of that time (`metrics_digest`); both are None in records of earlier releases.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    began: int
    ended: int
    digest: str
    tables: dict[str, str] | None = None
    metrics: str | None = None


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
    kind : str
        What was measured: `quality`, `robustness`, `infrastructure`, ...
    ended : int
        Milliseconds since the epoch, UTC.
    tables : mapping of path to SHA-256, or None
        The tables that it left; None where it was recorded before they were.
    metrics_digest : str or None
        Of the metrics as they were when it ended; None where it was recorded before they were.
    """

    run_id: str
    began: int
    digest: str
    metrics: tuple[Metric, ...]
    kind: str = QUALITY
    ended: int = 0
    tables: Mapping[str, str] | None = None
    metrics_digest: str | None = None

    @property
    def data(self) -> frozenset[str]:
        """Digests of the data that the metrics were measured on."""
        return frozenset(metric.dataset_digest for metric in self.metrics if metric.dataset_digest)


@contextmanager
def evaluation_of(model_uri: str, kind: str = QUALITY) -> Iterator[str]:
    """Record an evaluation; put it inside the ``with`` block, with its metrics logged to one run.

    Gives the digest of the model's files. Without this record a policy with a freshness rule refuses the model.
    Where the block raises, nothing is recorded, and an earlier evaluation stays the model's evidence. In the block
    the model is MLflow's active one, so that what is logged without a `model_id` belongs to it; MLflow's own
    evaluator finds it by ``models:/m-...`` alone, and would log the figures of a registered version for no model.

    Parameters
    ----------
    kind : str
        What is measured: lower-case letters, digits and underscores. The newest of each kind is evidence.

    Raises
    ------
    ValueError
        Where the kind is not such a word.
    TamperError
        Where the files changed while they were being evaluated; nothing is recorded then.
    EvidenceError
        Where the metrics were logged to several runs.
    """
    if not _KIND.fullmatch(kind):
        raise ValueError(f"expected a kind of lower-case letters, digits and underscores, got {kind!r}")
    source = locate(model_uri)
    before = artifact_digest(source.location)
    began = _now()
    with _active(source):
        yield before
    ended = _now()
    after = artifact_digest(source.location)
    if after != before:
        raise TamperError(
            f"the files of {source.uri} changed during the evaluation (digest {before[:12]} before, {after[:12]} "
            "after); log the model again and evaluate that"
        )
    mlflow.flush_async_logging()
    # A metric that is logged next shall not seem to be of this evaluation's last millisecond.
    while _now() <= ended:
        time.sleep(0.0005)
    client, run_id = MlflowClient(), _measuring_run(source, began, ended)
    record = _Record(began=began, ended=ended, digest=before, tables=table_digests(client, run_id))
    measured = _metrics_of(_today(client, source)).get(run_id, [])
    shown = _evaluation(client, client.get_run(run_id), measured, kind, record)
    metrics = metrics_digest(shown.metrics, _metrics_of_run(client, source, shown))
    client.set_tag(run_id, _tag(source, kind), record.model_copy(update={"metrics": metrics}).model_dump_json())


def recorded_evaluations(client: MlflowClient, source: Source) -> list[Evaluation]:
    """All evaluations of a model that ended well, oldest first.

    On a governed server anybody may write a record into a run of their own. Where somebody whose figures count
    there measured the model, nobody else's evaluations are among these.

    Raises
    ------
    TamperError
        Where a record cannot be read; not one of a run whose figures do not count.
    """
    metrics, tag = _metrics_of(source.logged), _tag(source)
    runs = {run.info.run_id: run for run in _runs(client, [source.run_id, *metrics]) if _records(run, tag)}
    counted = _that_count(client, runs)
    latest = _now() + _CLOCKS_DIFFER_BY
    found = []
    for run_id in [each for each in runs if each in counted] or runs:
        for kind, text in _records(runs[run_id], tag):
            try:
                record = _Record.model_validate_json(text)
            except ValidationError as error:
                if run_id not in counted:
                    continue
                raise TamperError(
                    f"the tag {_tag(source, kind)} of run {run_id} is not one that this package wrote; evaluate "
                    "the model again, or delete the tag"
                ) from error
            if record.began <= latest:  # else it would be the newest for good
                found.append(_evaluation(client, runs[run_id], metrics.get(run_id, ()), kind, record))
    return sorted(found, key=lambda evaluation: (evaluation.began, evaluation.kind))


def require_same_metrics(client: MlflowClient, source: Source, evaluation: Evaluation) -> None:
    """A `TamperError` where the metrics of an evaluation are not those that it ended with.

    What was recorded before metrics were says nothing, and passes.
    """
    if evaluation.metrics_digest is None:
        return
    found = metrics_digest(evaluation.metrics, _metrics_of_run(client, source, evaluation))
    if found != evaluation.metrics_digest:
        raise TamperError(
            f"the metrics that run {evaluation.run_id} logged for {source.uri} have digest {found[:16]}, but its "
            f"evaluation ({evaluation.kind}) ended with {evaluation.metrics_digest[:16]}; somebody logged one "
            "with a time of that evaluation, or changed one: evaluate the model again"
        )


def newest_of_each_kind(evaluations: Iterable[Evaluation], data: frozenset[str] = frozenset()) -> list[Evaluation]:
    """The evaluations that are evidence, quality first and the newest first of the others.

    Parameters
    ----------
    data : frozenset of str
        Digests of data that are preferred: of several of a kind, one on these comes before a newer one on others.
    """
    chosen: dict[str, Evaluation] = {}
    for each in sorted(evaluations, key=lambda each: (bool(each.data & data), each.began)):
        chosen[each.kind] = each
    return sorted(chosen.values(), key=lambda each: (each.kind != QUALITY, -each.began, each.kind))


def _active(source: Source) -> AbstractContextManager[object]:
    return mlflow.set_active_model(model_id=source.logged.model_id) if source.logged else nullcontext()


def _now() -> int:
    return int(time.time() * 1000)


def _measuring_run(source: Source, began: int, ended: int) -> str:
    """The run to which the model's metrics were logged meanwhile; its own run where none was logged for it."""
    client = MlflowClient()
    logged = _today(client, source)
    if logged is None:
        return source.run_id
    runs = {str(metric.run_id) for metric in logged.metrics or [] if began <= metric.timestamp <= ended}
    if len(runs) > 1:
        # anybody may log a figure of any model into a run of their own
        runs = set(_that_count(client, runs)) or runs
    if len(runs) > 1:
        raise EvidenceError(
            f"the evaluation of {source.uri} logged its metrics to {len(runs)} runs ({', '.join(sorted(runs))}), "
            "or two evaluated it at once; log all of one evaluation to one run, and one after the other"
        )
    return runs.pop() if runs else source.run_id


def _tag(source: Source, kind: str = QUALITY) -> str:
    tag = f"{EVALUATION_TAG}.{source.logged.model_id}" if source.logged else EVALUATION_TAG
    return tag if kind == QUALITY else f"{tag}.{kind}"


def _today(client: MlflowClient, source: Source) -> LoggedModel | None:
    return None if source.logged is None else client.get_logged_model(source.logged.model_id)


def _metrics_of(logged: LoggedModel | None) -> dict[str, list[Metric]]:
    """What was logged for the model, by the run that logged it."""
    metrics: dict[str, list[Metric]] = {}
    for metric in (logged.metrics if logged else None) or []:
        metrics.setdefault(str(metric.run_id), []).append(metric)
    return metrics


def _evaluation(
    client: MlflowClient, run: Run, measured: Iterable[Metric], kind: str, record: _Record
) -> Evaluation:
    of_it = [metric for metric in measured if record.began <= metric.timestamp <= record.ended]
    return Evaluation(
        run_id=run.info.run_id,
        began=record.began,
        digest=record.digest,
        metrics=tuple(_as_logged(client, metric, run) for metric in of_it),
        kind=kind,
        ended=record.ended,
        tables=record.tables,
        metrics_digest=record.metrics,
    )


def _as_logged(client: MlflowClient, metric: Metric, run: Run) -> Metric:
    """MLflow's databases keep 0 for a model's metric that is not a number, and only the run's own says so.

    A run may have measured several models, or one several times: what it logged last says nothing of the others.
    """
    if metric.value != 0:
        return metric
    latest = {each.key: each for each in run.to_proto().data.metrics}.get(metric.key)
    when = (metric.timestamp, metric.step)
    if latest is not None and (latest.timestamp, latest.step) == when:
        said = [latest.value]
    else:
        history = client.get_metric_history(run.info.run_id, metric.key)
        said = [each.value for each in history if (each.timestamp, each.step) == when]
    if not any(map(math.isnan, said)):
        return metric
    return Metric(
        metric.key,
        math.nan,
        metric.timestamp,
        metric.step,
        dataset_name=metric.dataset_name,
        dataset_digest=metric.dataset_digest,
        run_id=metric.run_id,
    )


def _metrics_of_run(client: MlflowClient, source: Source, evaluation: Evaluation) -> list[Metric]:
    """What the model's own run logged meanwhile, but not for the model: evidence as well, where it measured."""
    if evaluation.run_id != source.run_id:
        return []
    of_model = {metric.key for metric in evaluation.metrics}
    names = client.get_run(evaluation.run_id).data.metrics.keys() - of_model
    return [
        metric
        for name in names
        if not name.startswith("system/")
        for metric in client.get_metric_history(evaluation.run_id, name)
        if evaluation.began <= metric.timestamp <= evaluation.ended
    ]


def _runs(client: MlflowClient, run_ids: Iterable[str]) -> Iterator[Run]:
    for run_id in dict.fromkeys(run_ids):
        try:
            yield client.get_run(run_id)
        except MlflowException:  # a run that was deleted for good took its record with it
            continue


def _records(run: Run, tag: str) -> list[tuple[str, str]]:
    """The records of a run as they were written, each with its kind."""
    named = [
        (QUALITY if name == tag else name.removeprefix(f"{tag}."), text)
        for name, text in sorted(run.data.tags.items())
        if name.startswith(tag)
    ]
    return [(kind, text) for kind, text in named if _KIND.fullmatch(kind)]


def _that_count(client: MlflowClient, runs: Collection[str]) -> Collection[str]:
    """Those runs whose figures count, by who made them: all of them where no server says otherwise."""
    asked = governing(client) if runs else None
    return runs if asked is None else asked.measuring(runs)

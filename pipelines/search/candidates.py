"""The candidates of a choice, measured on the same data: given models, those of a search or of an experiment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import get_model_info

from camera_counting.errors import CountingError
from counting_evaluator import EvaluationError
from model_governance import Evidence, GovernanceError, collect
from model_governance.source import locate
from pipelines import evaluate
from pipelines.search.space import SearchError

__all__ = ["Candidate", "measure", "models_below", "models_given", "models_of_experiment"]

_FLAVOUR = "camera_counting"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model and what it shows on the data; `trouble` says why it could not be measured."""

    model_uri: str
    label: str
    params: dict[str, str]
    metrics: dict[str, float] = field(default_factory=dict)
    evaluation_run_id: str = ""
    trouble: str = ""


def models_given(uris: Iterable[str]) -> list[str]:
    """Models by their URIs, of whatever kind, each once.

    Raises
    ------
    SearchError
        Where there is no such model.
    """
    found = []
    for uri in uris:
        try:
            source = locate(uri)
        except GovernanceError as error:
            raise SearchError(str(error)) from error
        if source.logged is None:
            raise SearchError(
                f"expected a logged model, {uri} has no model id: log it with camera_counting.log_model"
            )
        found.append(source.uri)
    return list(dict.fromkeys(found))


def models_below(run_id: str, *, front: bool) -> list[str]:
    """Models of the finished runs below a run: the trials of a search, the candidates of a pipeline.

    Parameters
    ----------
    run_id : str
    front : bool
        Of a search, those alone that none of its trials beat on the validation split.

    Raises
    ------
    SearchError
        Where there is no such run, or none of the runs below it left a model.
    """
    client = MlflowClient()
    try:
        experiment = client.get_run(run_id).info.experiment_id
    except MlflowException as error:
        raise SearchError(
            f"expected a run of this tracking server as the parent, got {run_id!r}: {error}"
        ) from error
    below = client.search_runs(
        [experiment], filter_string=f"tags.`mlflow.parentRunId` = '{run_id}'", max_results=1000
    )
    wanted = [
        run.info.run_id
        for run in below
        if run.info.status == "FINISHED" and (not front or run.data.tags.get("tune.front", "true") == "true")
    ]
    models = [model for model in _models(client, [experiment]) if model.source_run_id in set(wanted)]
    if not models:
        raise SearchError(f"expected finished runs with models below {run_id}, found {len(wanted)} without any")
    return [model.model_uri for model in models]


def models_of_experiment(name: str) -> list[str]:
    """All models of this flavour that finished runs of an experiment logged, oldest first.

    Raises
    ------
    SearchError
        Where there is no such experiment, or no model in it.
    """
    client = MlflowClient()
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        raise SearchError(f"expected an experiment of this tracking server, got {name!r}")
    models = _models(client, [experiment.experiment_id])
    if not models:
        raise SearchError(f"expected models in the experiment {name!r}, found none")
    return [model.model_uri for model in models]


def measure(uris: Sequence[str], data: Path, digest: str, *, clips: bool, anew: bool) -> list[Candidate]:
    """What each shows on the same data: its recorded evaluation on them, else a new one.

    Parameters
    ----------
    uris : sequence of str
        As the functions above give them.
    data : Path
        A prepared data set; its test split is used.
    digest : str
        As evaluations on it carry it.
    clips : bool
        Whether a new evaluation counts the clips as well.
    anew : bool
        Whether to evaluate those, too, that were already: latencies of one machine and hour compare.
    """
    measured: list[Candidate] = []
    reference: Evidence | None = None
    for uri in uris:
        label, params = _described(uri)
        try:
            shown = None if anew else _on(collect(uri, beside=reference), digest)
            if shown is None:
                settings = evaluate.EvaluateSettings(model_uri=uri, data=data, clips=clips)
                run = evaluate.run(settings, show_at_training=False)
                shown = _on(collect(uri, beside=reference), digest)
                if shown is None:
                    raise EvaluationError(f"the evaluation {run.run_id} left no record on the data {digest}")
        except (EvaluationError, GovernanceError, CountingError, MlflowException, OSError) as error:
            measured.append(Candidate(uri, label, params, trouble=str(error)))
            continue
        reference = reference or shown
        metrics = {name: metric.value for name, metric in shown.metrics.items()}
        measured.append(Candidate(uri, label, params, metrics, shown.evaluation_run_id or ""))
    return measured


def _on(evidence: Evidence, digest: str) -> Evidence | None:
    """The evidence, where it is one of these data and of the very files that the model has now."""
    same_files = evidence.evaluated_digest == evidence.artifact.digest
    return evidence if same_files and digest in evidence.measured_on else None


def _described(uri: str) -> tuple[str, dict[str, str]]:
    source = locate(uri)
    run = MlflowClient().get_run(source.run_id)
    wanted = ("trainer", "model", "input_shape", "confidence", "seed", "epochs", "dataset_digest")
    params = {name: run.data.params[name] for name in wanted if name in run.data.params}
    return str(run.info.run_name or uri), params


def _models(client: MlflowClient, experiments: list[str]) -> list[LoggedModel]:
    """Whole models of this flavour that finished runs logged, oldest first."""
    found: list[LoggedModel] = []
    token = None
    while True:
        page = client.search_logged_models(experiments, max_results=100, page_token=token)
        found += page
        token = page.token
        if not token:
            break
    models = sorted(found, key=lambda model: model.creation_timestamp)
    return [model for model in models if model.status == LoggedModelStatus.READY and _counts(client, model)]


def _counts(client: MlflowClient, model: LoggedModel) -> bool:
    """Whether it is of this project's flavour, and its run ended well."""
    if model.source_run_id is None or client.get_run(model.source_run_id).info.status != "FINISHED":
        return False
    try:
        return _FLAVOUR in get_model_info(model.model_uri).flavors
    except (MlflowException, OSError):
        return False  # its files are gone

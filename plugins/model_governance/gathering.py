"""Gathering evidence: what a model shows, read from its runs, its logged model and its own files.

Gates are pure, so whatever a rule of the policy asks of an artefact is read here, and only that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Metric, Run
from mlflow.exceptions import MlflowException

from model_governance.advisories import audit
from model_governance.artifact import Artifact, read_artifact
from model_governance.binding import require_same_table
from model_governance.documents import read_document
from model_governance.errors import EvidenceError
from model_governance.evaluation import (
    Evaluation,
    newest_of_each_kind,
    recorded_evaluations,
    require_same_metrics,
)
from model_governance.evidence import INHERITED_TAG, Dataset, Evaluated, Evidence, Measured
from model_governance.kept import model_file, run_file
from model_governance.policy import Policy, Versioning
from model_governance.requirements import FILES, read_lock, read_pins
from model_governance.rules import AcceptanceRule, AdvisoryRule, ChampionRule, DocumentRule, PairedTest
from model_governance.samples import Samples, read_samples
from model_governance.signatures import artifact_sha256, read_signatures
from model_governance.source import Source, locate

__all__ = ["collect", "signed_today"]


def collect(
    model_uri: str, policy: Policy | Versioning | None = None, *, beside: Evidence | None = None
) -> Evidence:
    """Gather what a model shows: its newest recorded evaluation of each kind, what its run says, what was signed.

    Parameters
    ----------
    model_uri : str
        ``models:/m-...`` (a logged model), ``runs:/<run>/<path>``, or a registered ``models:/<name>/<version>``.
    policy : Policy, optional
        Whatever its rules ask for beside metrics, tags, parameters and data is read as well: tables, documents,
        advisories, what was signed. A `Versioning` names the interface alone.
    beside : Evidence, optional
        What another model shows; of several evaluations one on the same data is taken, so that they compare.

    Raises
    ------
    EvidenceError
        Where there is no such model, it has no source run, or its files cannot be read.
    PolicyError
        Where advisories or a lock that the policy names cannot be read.
    TamperError
        Where a record of an evaluation, its metrics, its tables or a signature were changed.
    """
    source = locate(model_uri)
    client = MlflowClient()
    run = _run(client, source.run_id)
    wanted = beside.measured_on if beside else frozenset()
    evaluations = newest_of_each_kind(recorded_evaluations(client, source), wanted)
    for each in evaluations:
        require_same_metrics(client, source, each)
    main = evaluations[0] if evaluations else None
    run_ids = dict.fromkeys([source.run_id, *(each.run_id for each in evaluations)])
    runs = [run, *(_run(client, run_id) for run_id in run_ids if run_id != source.run_id)]
    artifact, mlmodel = read_artifact(source.location)
    tags = {**run.data.tags, **(source.logged.tags if source.logged else {})}
    versioning = policy.versioning if isinstance(policy, Policy) else policy or Versioning()
    asked = _asked(policy, client, source, run, evaluations, artifact) if isinstance(policy, Policy) else {}
    return Evidence(
        model_uri=source.uri,
        run_id=source.run_id,
        artifact=artifact,
        evaluation_run_id=main.run_id if main else None,
        evaluated_digest=main.digest if main else None,
        metrics=_metrics(client, run, source.logged, evaluations),
        params=dict(sorted(run.data.params.items())),
        tags={key: value for key, value in sorted(tags.items()) if _is_evidence(key)},
        datasets=tuple(dict.fromkeys(data for each in runs for data in _datasets(each))),
        git_commit=tags.get("lineage.git_commit") or tags.get("mlflow.source.git.commit"),
        interface={path: _at(mlmodel, path) for path in versioning.interface},
        evaluations=tuple(
            Evaluated(
                kind=each.kind,
                run_id=each.run_id,
                began=each.began,
                digest=each.digest,
                data=tuple(sorted(each.data)),
                bound=each.tables is not None,
            )
            for each in evaluations
        ),
        **asked,
    )


def _asked(
    policy: Policy,
    client: MlflowClient,
    source: Source,
    run: Run,
    evaluations: list[Evaluation],
    artifact: Artifact,
) -> dict[str, Any]:
    """What the policy's rules ask for: tables, documents, advisories, signatures, and what the model needs."""
    lock = read_lock(policy.folder / policy.materials.lock) if policy.materials else {}
    found = {name: model_file(source.location, artifact, name) for name in FILES}
    pins = read_pins({name: content for name, content in found.items() if content is not None}, lock)
    # Where the model is measured now comes first: a document of the model's own run may be older.
    places = [*(each.run_id for each in evaluations if each.run_id != source.run_id), source.run_id]
    rules = [rule for _, rule in policy.rules()]
    samples, documents, audits = {}, {}, {}
    for rule in rules:
        if isinstance(rule, ChampionRule) and rule.paired is not None:
            found_samples = _samples(client, evaluations, rule.metric, rule.paired)
            if found_samples is not None:
                samples[rule.paired.columns] = found_samples
        elif isinstance(rule, DocumentRule):
            if rule.place == "model":
                content = model_file(source.location, artifact, rule.document)
            else:
                content = run_file(client, places, rule.document)
            if content is not None:
                documents[rule.name] = read_document(rule.document, content)
        elif isinstance(rule, AdvisoryRule):
            audits[rule.advisories] = audit(policy.folder / rule.advisories, pins or ())
    return {
        "requirements": pins,
        "samples": samples,
        "documents": documents,
        "audits": audits,
        **_signed(policy, client, run),
    }


def _samples(client: MlflowClient, evaluations: list[Evaluation], metric: str, test: PairedTest) -> Samples | None:
    """The table of the evaluation that measured the metric, for another one may keep a table of the same name."""
    of_metric = [each for each in evaluations if any(known.key == metric for known in each.metrics)]
    # Those of a model that is no logged model belong to its run, and to no evaluation.
    chosen = [*of_metric, *(each for each in evaluations if not each.metrics)][:1]
    if not chosen:
        return Samples(problem=f"no recorded evaluation measured {metric}")
    (evaluation,) = chosen
    content = run_file(client, [evaluation.run_id], test.table)
    if content is None:
        return None
    doubt = require_same_table(evaluation.run_id, test.table, content, evaluation.tables)
    return Samples(problem=doubt) if doubt else read_samples(content.decode("utf-8", "replace"), test)


def signed_today(policy: Policy, evidence: Evidence) -> Evidence:
    """The same evidence, with what persons have signed by now, and what it is worth by now.

    Raises
    ------
    EvidenceError
        Where the model's run cannot be read.
    TamperError
        Where a signature was changed.
    """
    client = MlflowClient()
    return evidence.model_copy(update=_signed(policy, client, _run(client, evidence.run_id)))


def _signed(policy: Policy, client: MlflowClient, run: Run) -> dict[str, Any]:
    signatures = read_signatures(run)
    looked_at: dict[str, str] = {}
    if any(isinstance(rule, AcceptanceRule) for _, rule in policy.rules()):
        for each in signatures:
            if each.run_id is not None and each.artifact is not None:
                digest = artifact_sha256(client, each.run_id, each.artifact)
                if digest is not None:
                    looked_at[f"{each.run_id}/{each.artifact}"] = digest
    return {"signatures": signatures, "looked_at": looked_at}


def _run(client: MlflowClient, run_id: str) -> Run:
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        raise EvidenceError(f"the source run {run_id} cannot be read: {error.message}") from error


def _metrics(
    client: MlflowClient, run: Run, logged: LoggedModel | None, evaluations: list[Evaluation]
) -> dict[str, Measured]:
    """What the evaluations measured; without one, whatever was logged for the model.

    A metric of several kinds is that of the quality; else of the newest. The metrics of the model's run as well,
    where it made no other model that they could belong to, but none that some evaluation of the model logged too:
    those would be another one's.
    """
    everything = list((logged.metrics if logged else None) or [])
    of_model: dict[str, Measured] = {}
    for measured in [each.metrics for each in evaluations] or [tuple(everything)]:
        for name, mine in _latest(measured).items():
            of_model.setdefault(name, mine)
    of_run: dict[str, Measured] = {}
    evaluated = {metric.key for metric in everything}
    others = {output.model_id for output in run.outputs.model_outputs} if run.outputs else set()
    if not others - {logged.model_id if logged else None}:
        for name in run.data.metrics:
            if name not in evaluated and not name.startswith("system/"):
                last = client.get_metric_history(run.info.run_id, name)[-1]
                windows = [each for each in evaluations if each.run_id == run.info.run_id]
                of_run[name] = Measured(
                    value=last.value,
                    timestamp=last.timestamp,
                    dataset_digest=last.dataset_digest,
                    outside=not any(each.began <= last.timestamp <= each.ended for each in windows),
                )
    return dict(sorted({**of_run, **of_model}.items()))


def _latest(metrics: Iterable[Metric]) -> dict[str, Measured]:
    latest: dict[str, Measured] = {}
    # Several may be of one millisecond: the last step, and then whichever, but the same each time.
    for each in sorted(
        metrics, key=lambda each: (each.timestamp, each.dataset_digest or "", each.step, each.value)
    ):
        latest[each.key] = Measured(value=each.value, timestamp=each.timestamp, dataset_digest=each.dataset_digest)
    return latest


def _datasets(run: Run) -> Iterator[Dataset]:
    for entry in run.inputs.dataset_inputs if run.inputs else []:
        tags = {tag.key: tag.value for tag in entry.tags}
        yield Dataset(
            name=entry.dataset.name,
            digest=entry.dataset.digest,
            context=tags.get("mlflow.data.context"),
            inherited_from=tags.get(INHERITED_TAG),
        )


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

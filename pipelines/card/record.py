"""Everything that is recorded of a model, gathered in one value: runs, data, metrics, version, evidence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from model_governance import Evidence, GovernanceError, Verdict, collect
from model_governance.bundle import read_bundle
from model_governance.change_log import ReleaseNotes, release_notes
from model_governance.source import locate
from model_governance.standing import Standing, read_standing, versions_of
from model_governance.versioning import PARENT_TAG
from pipelines.datasets.errors import DatasetError
from pipelines.datasets.manifest import MANIFEST, Manifest
from pipelines.datasets.store import ContentStore

__all__ = ["CameraUse", "DataUse", "ModelRecord", "read_record"]

_MOST_PARENTS = 10


@dataclass(frozen=True, slots=True)
class DataUse:
    """One data set that a run took, as it was logged.

    Attributes
    ----------
    context : str
        What it was used for: training, validation, test, ...
    digest : str
        The whole digest where the source tells it, else the one that MLflow keeps.
    origin, store : str
        Where the pictures came from before they were prepared, and where the set is kept; empty where unknown.
    pictures : int or None
    boxes : mapping of class to number
    """

    context: str
    name: str
    digest: str
    origin: str
    store: str
    pictures: int | None
    boxes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CameraUse:
    """One camera of the data, with its pictures by split and the clips it filmed."""

    name: str
    origin: str
    pictures: Mapping[str, int]
    clips: int


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """What is known of a model.

    Attributes
    ----------
    model_id : str or None
        Of the logged model; None for one that was registered by its files.
    run, training : Run
        The run that logged the model, and the one that its weights were learnt in.
    data : tuple of DataUse
        Inputs of both and of the evaluation, each once.
    cameras : tuple of CameraUse or None
        None where no manifest of the data could be read; `cameras_problem` says why.
    version, notes, verdict : optional
        Of the registered version, where the card is of one.
    """

    evidence: Evidence
    model_id: str | None
    run: Run
    training: Run
    data: tuple[DataUse, ...]
    cameras: tuple[CameraUse, ...] | None
    cameras_problem: str
    version: ModelVersion | None
    standing: Standing | None
    notes: ReleaseNotes | None
    verdict: Verdict | None


def read_record(model_uri: str, name: str | None = None) -> ModelRecord:
    """Gather what is recorded of a model.

    Parameters
    ----------
    model_uri : str
        ``models:/<name>/<version>`` or ``models:/<name>@<alias>`` for a version, ``models:/m-...`` for a model.
    name : str, optional
        The registered model to look for a version of these files under.

    Raises
    ------
    model_governance.GovernanceError
        Where there is no such model.
    """
    client = MlflowClient()
    source, evidence = locate(model_uri), collect(model_uri)
    run = client.get_run(evidence.run_id)
    training = _training_run(client, run, evidence)
    runs = {each.info.run_id: each for each in (training, run)}
    if evidence.evaluation_run_id is not None:
        runs.setdefault(evidence.evaluation_run_id, client.get_run(evidence.evaluation_run_id))
    data = tuple(dict.fromkeys(use for each in runs.values() for use in _inputs(each)).keys())
    cameras, problem = _cameras(data)
    version = _version(client, model_uri, name, evidence)
    notes, verdict, standing = None, None, None
    if version is not None:
        standing = read_standing(client, version.name)
        notes = release_notes(version.name, str(version.version))
        try:
            verdict = read_bundle(version).verdict
        except GovernanceError:
            verdict = None  # the notes say what is wrong with it
    model_id = source.logged.model_id if source.logged else None
    return ModelRecord(
        evidence, model_id, run, training, data, cameras, problem, version, standing, notes, verdict
    )


def _training_run(client: MlflowClient, run: Run, evidence: Evidence) -> Run:
    """Where the weights were learnt: for a model that was made from another one, there."""
    named = evidence.tags.get(PARENT_TAG, "")
    for _ in range(_MOST_PARENTS):
        if not named:
            break
        try:
            source = locate(named if ":" in named else f"models:/{named}")
            run = client.get_run(source.run_id)
        except (GovernanceError, MlflowException):
            break  # as far back as the record goes
        tags = {**run.data.tags, **(source.logged.tags if source.logged else {})}
        named = tags.get(PARENT_TAG, "")
    return run


class _Boxes(dict[str, int]):
    """A mapping that can stand in a frozen, hashable value."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted(self.items())))


def _inputs(run: Run) -> Iterator[DataUse]:
    for entry in run.inputs.dataset_inputs if run.inputs else []:
        context = next((tag.value for tag in entry.tags if tag.key == "mlflow.data.context"), "")
        if not context:
            continue  # what MLflow logs by itself, beside the input that says what it was used for
        source, profile = _json(entry.dataset.source), _json(entry.dataset.profile)
        boxes, pictures = profile.get("boxes"), profile.get("pictures", profile.get("num_rows"))
        yield DataUse(
            context=context,
            name=entry.dataset.name,
            digest=str(source.get("digest") or entry.dataset.digest),
            origin=str(source.get("origin", "")),
            store=str(source.get("uri", "")),
            pictures=pictures if isinstance(pictures, int) else None,
            boxes=_Boxes(boxes) if isinstance(boxes, dict) else _Boxes(),
        )


def _json(text: str | None) -> dict[str, object]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _cameras(data: tuple[DataUse, ...]) -> tuple[tuple[CameraUse, ...] | None, str]:
    """Every camera of every data set, from the manifests in the store."""
    sets = dict.fromkeys((use.store, use.digest, use.origin) for use in data if use.store)
    if not sets:
        return None, "no input of its runs says where its data are kept"
    pictures: dict[tuple[str, str], dict[str, int]] = {}
    clips: dict[tuple[str, str], int] = {}
    for store, digest, origin in sets:
        try:
            manifest = Manifest.model_validate_json(ContentStore(store).read(digest, MANIFEST))
        except (DatasetError, OSError, ValueError) as error:
            return None, f"the manifest of data set {digest[:16]} cannot be read: {error}"
        for split, entries in manifest.splits.items():
            for entry in entries:
                of_it = pictures.setdefault((entry.camera or "", origin), {})
                of_it[split] = of_it.get(split, 0) + 1
        for clip in manifest.clips:
            key = (clip.camera or "", origin)
            clips[key] = clips.get(key, 0) + 1
    keys = sorted(pictures.keys() | clips.keys())
    return tuple(CameraUse(name, o, pictures.get((name, o), {}), clips.get((name, o), 0)) for name, o in keys), ""


def _version(client: MlflowClient, model_uri: str, name: str | None, evidence: Evidence) -> ModelVersion | None:
    """The registered version that the card is of."""
    address = model_uri.removeprefix("models:/").strip("/")
    of_version = model_uri.startswith("models:/") and ("/" in address or "@" in address)
    name = address.split("@")[0].rpartition("/")[0] or address.split("@")[0] if of_version else name
    if not name:
        return None
    found = [
        version
        for version in versions_of(client, name).values()
        if version.tags.get("artifact_digest") == evidence.artifact.digest
    ]
    if found:
        return found[0]
    if of_version and "@" not in address:
        return client.get_model_version(name, address.rpartition("/")[2])
    return None

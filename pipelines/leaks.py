"""Whether a model may have learnt from what it is about to be judged by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import DatasetInput

from counting_evaluator import EvaluationError
from counting_evaluator.comparison import clip_of
from pipelines.ancestry import ancestry
from pipelines.datasets.errors import DatasetError
from pipelines.datasets.manifest import MANIFEST, SPLITS, Manifest, PreparedDataset
from pipelines.datasets.mlflow_dataset import StoredSource
from pipelines.datasets.store import ContentStore

__all__ = ["LEARNING", "refuse_leaking_splits", "refuse_learnt"]

LEARNING = ("training", "train", "validation", "val", "calibration", "thresholds", "tuning")
"""Contexts of inputs that shape a model: its weights, its threshold, its quantisation."""

_WEIGHTS = ("training", "train")


def refuse_leaking_splits(dataset: PreparedDataset, *, clips: bool) -> None:
    """Refuse a data set whose test pictures or clips are also among the others.

    Raises
    ------
    EvaluationError
        Names the picture or the clip.
    """
    splits = dataset.manifest.splits
    learnt = {entry.sha256: entry.file for split in splits if split != "test" for entry in splits[split]}
    for entry in splits.get("test", ()):
        if entry.sha256 in learnt:
            raise EvaluationError(
                f"the test picture {entry.file} is also {learnt[entry.sha256]}: "
                "prepare the data again, its splits leak"
            )
    # Frames are named after their clip, also in sets that do not say the clip's split.
    frames = {clip_of(Path(file).name): file for file in learnt.values()}
    for clip in dataset.clips if clips else ():
        if clip.name in frames or clip.split in ("train", "val"):
            raise EvaluationError(
                f"the clip {clip.name} was learnt from, {frames.get(clip.name, clip.split)} is of it, so its "
                "counts say nothing: prepare the data again, or leave the clips out with --clips false"
            )


def refuse_learnt(dataset: PreparedDataset, run_id: str) -> bool:
    """Refuse a model whose own run says that it learnt from test pictures, whatever the data set says of itself.

    The run's inputs are looked at picture by picture, by their digests: those of this data set in its manifest,
    those of another one in the manifest that the content store keeps of it. So are those of every run whose
    weights it goes back to, see `pipelines.ancestry`.

    Parameters
    ----------
    run_id : str
        The run that made the model.

    Returns
    -------
    bool
        True where all that these runs say they learnt from could be looked at, and each says what its weights were
        learnt from, not only what they were rounded or given a threshold on; False where nobody can tell. Of
        weights that no run made, nothing is said here.

    Raises
    ------
    EvaluationError
        Names the first picture, and the run and the input that held it.
    """
    looked = [_refuse_inputs(dataset, each, run_id) for each in ancestry(run_id).runs]
    return all(looked)


def _refuse_inputs(dataset: PreparedDataset, run_id: str, of: str) -> bool:
    tested = {entry.sha256: entry.file for entry in dataset.manifest.splits.get("test", ())}
    inputs = list(_learnt_inputs(run_id))
    known = any(_context(entry) in _WEIGHTS for entry in inputs)
    for entry in inputs:
        learnt = _pictures(entry, dataset)
        if learnt is None:
            known = False
            continue
        if both := sorted(tested[digest] for digest in learnt & set(tested)):
            whose = "" if run_id == of else ", whose weights it goes back to,"
            raise EvaluationError(
                f"the model learnt from {len(both)} of the {len(tested)} test pictures, {both[0]} among them: run "
                f"{run_id}{whose} names {entry.dataset.name} as its input for {_context(entry)}. Figures on them "
                "say nothing; evaluate it on pictures that it has not seen, or train it again without them"
            )
    return known


def _learnt_inputs(run_id: str) -> Iterator[DatasetInput]:
    run = MlflowClient().get_run(run_id)
    for entry in run.inputs.dataset_inputs if run.inputs else []:
        if _context(entry) in LEARNING:
            yield entry


def _context(entry: DatasetInput) -> str:
    return next((tag.value for tag in entry.tags if tag.key == "mlflow.data.context"), "")


def _pictures(entry: DatasetInput, dataset: PreparedDataset) -> set[str] | None:
    """Digests of an input's pictures; None where they cannot be had."""
    source = _stored(entry)
    manifest = None if source is None else _manifest(source, dataset)
    if manifest is None:
        return None
    # An input is one split, and named after it.
    split = entry.dataset.name.rpartition("-")[2]
    splits = (split,) if split in SPLITS else tuple(manifest.splits)
    return {picture.sha256 for name in splits for picture in manifest.splits.get(name, ())}


def _stored(entry: DatasetInput) -> StoredSource | None:
    if entry.dataset.source_type != StoredSource._get_source_type():
        return None
    try:
        return StoredSource.from_dict(json.loads(entry.dataset.source))
    except (ValueError, KeyError):
        return None


def _manifest(source: StoredSource, dataset: PreparedDataset) -> Manifest | None:
    if source.digest == dataset.digest:
        return dataset.manifest
    try:
        store = ContentStore(source.uri)
        manifest = Manifest.model_validate_json(store.get(store.listing(source.digest)[MANIFEST]))
    except (DatasetError, KeyError, ValueError, OSError):
        return None
    return manifest if manifest.content_digest() == source.digest else None

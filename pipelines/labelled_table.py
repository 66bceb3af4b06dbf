"""A split of a prepared data set as the evaluator's table, and where the set is kept."""

from __future__ import annotations

import pandas as pd
from mlflow.data.pandas_dataset import PandasDataset, from_pandas

from counting_evaluator.comparison import clip_of
from pipelines.datasets.errors import EmptySplitError
from pipelines.datasets.manifest import PreparedDataset, Sample
from pipelines.datasets.mlflow_dataset import CameraDataset, StoredSource
from pipelines.datasets.place import kept_in

__all__ = ["labelled_dataset", "labelled_table", "require_pictures", "stored_source"]


def require_pictures(dataset: PreparedDataset, split: str) -> None:
    """An EmptySplitError where a data set has no pictures in a split; ask before a run is begun."""
    if not dataset.manifest.splits.get(split):
        raise EmptySplitError(
            f"expected pictures in the {split} split of {dataset.folder}, there are none: prepare the data with a "
            f"share for it, --{split} 0.2"
        )


def labelled_table(dataset: PreparedDataset, split: str) -> pd.DataFrame:
    """One row per picture: ``image``, ``boxes``, ``labels``, ``camera_id``, ``time``, ``clip`` and its tags.

    The clip is the video that the picture is a frame of, for frames are named after theirs. Of time and clip, what
    no picture has is left out. A picture that stands in the split twice, with the same labels, stands here once: a
    camera that froze would else count double. With other labels both stay, and the evaluator names them.

    Raises
    ------
    EmptySplitError
        Where the set has no pictures in this split.
    """
    require_pictures(dataset, split)
    table = pd.DataFrame(
        [
            {
                "image": str(sample.path),
                "boxes": sample.boxes.tolist(),
                "labels": list(sample.labels),
                "camera_id": sample.camera,
                "time": None if sample.time is None else sample.time.isoformat(),
                "clip": clip_of(sample.path.name),
                **sample.tags,
            }
            for sample in _each_once(dataset, split)
        ]
    )
    # MLflow finds no type for a column of nothing.
    return table.drop(columns=[name for name in ("time", "clip") if name in table and table[name].isna().all()])


def _each_once(dataset: PreparedDataset, split: str) -> list[Sample]:
    entries = dataset.manifest.splits[split]
    known = {
        (entry.sha256, entry.boxes, entry.labels): number for number, entry in reversed([*enumerate(entries)])
    }
    samples = dataset.samples(split)
    return [samples[number] for number in sorted(known.values())]


def labelled_dataset(dataset: PreparedDataset, split: str) -> PandasDataset:
    """The same table as an MLflow dataset that is the split's `CameraDataset` by name, digest and source.

    MLflow's own digest would look at the paths alone, neither at pictures nor at boxes.
    """
    source = stored_source(dataset)
    known = CameraDataset(dataset, source, split)
    return from_pandas(labelled_table(dataset, split), source=source, name=known.name, digest=known.digest)


def stored_source(dataset: PreparedDataset) -> StoredSource:
    """Where the set can be had again: the store that the prepare step wrote down; without one, beside the set."""
    uri = kept_in(dataset.folder) or str(dataset.folder.resolve().parent / "store")
    return StoredSource(uri, dataset.digest, dataset.manifest.source)

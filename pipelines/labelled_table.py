"""A split of a prepared data set as the evaluator's table, and where the set is kept."""

from __future__ import annotations

import pandas as pd
from mlflow.data.pandas_dataset import PandasDataset, from_pandas

from pipelines.datasets.manifest import PreparedDataset
from pipelines.datasets.mlflow_dataset import CameraDataset, StoredSource
from pipelines.datasets.place import kept_in

__all__ = ["labelled_dataset", "labelled_table", "stored_source"]


def labelled_table(dataset: PreparedDataset, split: str) -> pd.DataFrame:
    """One row per picture: ``image``, ``boxes``, ``labels``, ``camera_id`` and its tags (light, weather)."""
    return pd.DataFrame(
        [
            {
                "image": str(sample.path),
                "boxes": sample.boxes.tolist(),
                "labels": list(sample.labels),
                "camera_id": sample.camera,
                **sample.tags,
            }
            for sample in dataset.samples(split)
        ]
    )


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

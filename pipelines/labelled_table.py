"""A split of a prepared data set as the evaluator's table, and as an MLflow dataset."""

from __future__ import annotations

import pandas as pd
from mlflow.data.pandas_dataset import PandasDataset, from_pandas

from pipelines.datasets.manifest import PreparedDataset

__all__ = ["labelled_dataset", "labelled_table"]


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
    """The same with name, digest and source, so that figures can be tied to the data they are of.

    MLflow's own digest would look at the paths alone, not at pictures and boxes; and it takes 36 characters.
    """
    return from_pandas(
        labelled_table(dataset, split),
        source=dataset.source,
        name=f"{dataset.name}-{split}",
        digest=dataset.digest[:36],
    )

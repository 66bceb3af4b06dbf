"""A prepared data set as MLflow knows data: a dataset input with digest, source and profile.

`mlflow.data.get_source(run.inputs.dataset_inputs[0])` gives the source back once this module is imported; its
`load` rebuilds the set from the content-addressed store.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from mlflow.data.dataset import Dataset
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.dataset_source_registry import get_registered_sources, register_dataset_source

from pipelines.datasets.manifest import PreparedDataset
from pipelines.datasets.store import ContentStore

__all__ = ["CameraDataset", "StoredSource"]


class StoredSource(DatasetSource):
    """A data set in a content-addressed store.

    Parameters
    ----------
    uri : str
        The store's.
    digest : str
        The data set's, whole.
    origin : str
        Where the pictures came from before they were prepared.
    """

    def __init__(self, uri: str, digest: str, origin: str = "") -> None:
        self.uri, self.digest, self.origin = uri, digest, origin

    @staticmethod
    def _get_source_type() -> str:
        return "content_store"

    def load(self, dst_path: str | None = None) -> str:
        """Rebuild the set, verified, in `dst_path` or a new temporary folder; returns the folder."""
        target = Path(dst_path) if dst_path else Path(tempfile.mkdtemp()) / "dataset"
        return str(ContentStore(self.uri).restore(self.digest, target))

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> StoredSource:
        raise NotImplementedError("a stored data set is named by its store and digest, not by a path")

    def to_dict(self) -> dict[str, Any]:
        return {"uri": self.uri, "digest": self.digest, "origin": self.origin}

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> StoredSource:
        return cls(source_dict["uri"], source_dict["digest"], source_dict.get("origin", ""))


if StoredSource not in get_registered_sources():
    register_dataset_source(StoredSource)


class CameraDataset(Dataset):
    """One split of a prepared data set, for `mlflow.log_input`.

    Parameters
    ----------
    dataset : PreparedDataset
    source : StoredSource
    split : str
    """

    def __init__(self, dataset: PreparedDataset, source: StoredSource, split: str) -> None:
        self._dataset, self._split = dataset, split
        super().__init__(source=source, name=f"{dataset.name}-{split}", digest=None)

    def _compute_digest(self) -> str:
        # MLflow keeps 36 characters; the source holds the whole digest.
        return self._dataset.digest[:16]

    @property
    def profile(self) -> dict[str, Any]:
        entries = self._dataset.manifest.splits[self._split]
        labels = [label for entry in entries for label in entry.labels]
        return {"pictures": len(entries), "boxes": {c: labels.count(c) for c in self._dataset.classes}}

    @property
    def schema(self) -> None:
        return None

    def to_dict(self) -> dict[str, str]:
        return {**super().to_dict(), "profile": json.dumps(self.profile)}

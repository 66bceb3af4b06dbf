"""A store and a registry of its own for a module's tests, and the ones of before afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest

from tests.empty_store import empty_store

__all__ = ["own_store"]


@contextmanager
def own_store(folder: Path) -> Iterator[None]:
    """Work in `folder`, with runs and models in `folder/mlflow.db`, also in processes that are started there."""
    uri = empty_store(folder)
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.setenv("MLFLOW_REGISTRY_URI", uri)
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(before[0])
            mlflow.set_registry_uri(before[1])

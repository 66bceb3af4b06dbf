"""Readers of data sets: one module per format, each a `DatasetReader`, all listed in `READERS`."""

from pipelines.datasets.readers.base import DatasetReader
from pipelines.datasets.readers.generated import GeneratedReader, GeneratedRecipe
from pipelines.datasets.readers.registry import READERS, reader

__all__ = ["READERS", "DatasetReader", "GeneratedReader", "GeneratedRecipe", "reader"]

"""Which reader reads which format: a new one is a new module and a line here."""

from __future__ import annotations

from pipelines.datasets.readers.base import DatasetReader
from pipelines.datasets.readers.generated import GeneratedReader

__all__ = ["READERS", "reader"]

READERS: dict[str, type[DatasetReader]] = {kind.format: kind for kind in (GeneratedReader,)}


def reader(name: str) -> DatasetReader:
    """The reader of a format.

    Raises
    ------
    ValueError
        For a format that is not in `READERS`.
    """
    if name not in READERS:
        raise ValueError(f"expected one of the formats {', '.join(READERS)}, got {name!r}")
    return READERS[name]()

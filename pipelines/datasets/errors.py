"""What can go wrong with data.

DatasetError
├── UnreadableSourceError    a source that is not what its format says: no data.yaml, broken JSON, no frames
├── InvalidDataError         pictures or labels that the validation refused; carries the report
├── EmptySplitError          nothing to train, validate or test on
├── BrokenDatasetError       a prepared data set that is incomplete or was altered since
└── StoreError               an object that the store does not hold, or holds altered
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.datasets.validation import ValidationReport

__all__ = [
    "BrokenDatasetError",
    "DatasetError",
    "EmptySplitError",
    "InvalidDataError",
    "StoreError",
    "UnreadableSourceError",
]


class DatasetError(Exception):
    """The root: whoever prepares or reads data can catch everything with it."""


class UnreadableSourceError(DatasetError, ValueError):
    """A source that is not what its format says."""


class InvalidDataError(DatasetError, ValueError):
    """Pictures or labels that the validation refused; `report` says which and why."""

    def __init__(self, message: str, report: ValidationReport) -> None:
        super().__init__(message)
        self.report = report


class EmptySplitError(DatasetError, ValueError):
    """Nothing to train, validate or test on, where it was not asked for like that."""


class BrokenDatasetError(DatasetError, ValueError):
    """A prepared data set that is incomplete, or whose files are not those of its manifest."""


class StoreError(DatasetError, OSError):
    """An object that the store does not hold, or holds altered."""

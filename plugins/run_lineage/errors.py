"""What can go wrong with a run's record.

LineageError
└── RecordError    a run that recorded nothing, or whose record is missing or was exchanged
"""

from __future__ import annotations

__all__ = ["LineageError", "RecordError"]


class LineageError(Exception):
    """The root: whoever reads records can catch everything with it."""


class RecordError(LineageError, LookupError):
    """A run that cannot be made again from what it recorded; says why."""

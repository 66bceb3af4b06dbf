"""What can go wrong when a graph is drawn."""

from __future__ import annotations

__all__ = ["LineageGraphError"]


class LineageGraphError(LookupError):
    """A start that the tracking server does not know; says what is expected."""

"""What can go wrong when a run is made again."""

from __future__ import annotations

__all__ = ["ReproductionError"]


class ReproductionError(RuntimeError):
    """A run that cannot be made again, or whose repetition failed; says why and what to do."""

"""The one exception of this package."""

__all__ = ["OptimisationError"]


class OptimisationError(ValueError):
    """A model cannot be optimised, or data and policy do not say how far it may be."""

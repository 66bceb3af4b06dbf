"""Smaller and faster models out of one that counts well: what is made, and what must hold of it."""

from pipelines.optimisation.errors import OptimisationError

__all__ = ["OptimisationError"]

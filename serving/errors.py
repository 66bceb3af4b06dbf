"""What can go wrong in serving."""

__all__ = ["ServingError"]


class ServingError(RuntimeError):
    """A version that is not served, with the reason."""

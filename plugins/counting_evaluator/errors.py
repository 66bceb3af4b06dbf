"""What can go wrong in an evaluation: `EvaluationError`, with the thing that is wrong named in its text."""

__all__ = ["EvaluationError"]


class EvaluationError(ValueError):
    """Data, a configuration or a model that cannot be evaluated; says what was expected, what came, what to do."""

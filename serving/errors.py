"""What can go wrong in serving.

    ServingError    a version that is not served, with the reason
    ├── StateError  the worker's state, which cannot be opened, read or written
    └── SinkError   records that a sink did not take, or a sink whose settings make no sense

Every message says what was expected, what came, and what to do; none holds a password.
"""

__all__ = ["ServingError", "SinkError", "StateError"]


class ServingError(RuntimeError):
    """A version that is not served, with the reason."""


class StateError(ServingError):
    """The worker's state cannot be opened, read or written. What was committed before is unharmed."""


class SinkError(ServingError):
    """A sink did not take a batch of records, or cannot be opened with its settings.

    Parameters
    ----------
    message : str
        In a sentence.
    retry_after : float, optional
        Seconds that the other side asked to be left alone.
    permanent : bool
        Whether trying again cannot help until somebody changes something: the records are kept and tried seldom.
    refused : bool
        Whether it may be the records themselves that are not taken, and others are.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        permanent: bool = False,
        refused: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.permanent = permanent
        self.refused = refused

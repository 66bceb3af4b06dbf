"""The moment by which a scoring request must be answered.

MLflow's scoring server answers 504 after MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT seconds, but cannot end the thread
that counts: without a look at the clock it would go on for nobody, and slow those who still wait.
"""

from __future__ import annotations

import time

from camera_counting.errors import CountingError

__all__ = ["Deadline", "OutOfTime"]

# The server's clock starts before this one, and who asked should read a reason instead of a bare 504.
_SHARE = 0.95


class OutOfTime(CountingError):  # noqa: N818 - not the request's fault: told apart for its status code
    """A request that could not be answered within its time."""


class Deadline:
    """So many seconds from now.

    Examples
    --------
    >>> Deadline(60).check()
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + _SHARE * seconds

    @classmethod
    def of_server(cls) -> Deadline:
        """That of MLflow's scoring server."""
        from mlflow.environment_variables import MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT

        return cls(float(MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT.get()))  # type: ignore[no-untyped-call]

    def check(self) -> None:
        """Pass, or raise.

        Raises
        ------
        OutOfTime
            Where it is over.
        """
        if time.monotonic() > self._end:
            raise OutOfTime(
                f"counting takes longer than the {self._seconds:g} seconds that this server gives a request; send "
                "fewer rows at once or a shorter clip, or raise MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"
            )

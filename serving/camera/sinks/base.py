"""What takes records: a small base, and the thread that brings them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from serving.camera.records import CountRecord

__all__ = ["Sink"]


class Sink(ABC):
    """A place where records go.

    Parameters
    ----------
    name : str
        Under which the state keeps how far it has come.

    Attributes
    ----------
    batch_size : int
        The most records that it takes at once.
    linger : float
        Seconds for which records may be held back so that more come together.
    """

    batch_size: int = 500
    linger: float = 0.0

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def deliver(self, records: Sequence[CountRecord], batch: str) -> None:
        """Take records, all of them or none.

        A batch comes again, with the same records, where nobody knows whether it was taken: after a `kill -9`, or
        an error. Whoever reads the sink then finds each record once (a webhook: twice with the same ids).

        Raises
        ------
        SinkError
            Where they were not taken; they come again.
        """

    def close(self) -> None:
        """Let go of files and connections."""
        return

"""The seam: what every reader of a data set does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from pipelines.datasets.records import Reading

__all__ = ["DatasetReader"]


class DatasetReader(ABC):
    """Reads one format of data sets.

    A reader judges nothing: boxes and class names come as the source has them, and what cannot be read at all becomes
    a finding. Validation follows.

    Attributes
    ----------
    format : str
        The name under which settings choose it.
    """

    format: ClassVar[str]

    @abstractmethod
    def read(self, source: Path, workspace: Path, on_picture: Callable[[], None] | None = None) -> Reading:
        """Read everything.

        Parameters
        ----------
        source : Path
            The folder or file that the format starts from.
        workspace : Path
            An existing folder for pictures that have no file of their own, e.g. frames of a video. It must live as
            long as the records.
        on_picture : callable, optional
            Called after each picture.

        Raises
        ------
        UnreadableSource
            Where the source as a whole is not what the format says.
        """

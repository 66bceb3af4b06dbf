"""The seam: what every reader of a data set does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, Literal

from pipelines.datasets.records import Reading

__all__ = ["PICTURE_SUFFIXES", "DatasetReader"]

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


class DatasetReader(ABC):
    """Reads one format of data sets.

    A reader judges nothing: boxes and class names come as the source has them, and what cannot be read at all
    becomes a finding. Validation follows.

    Parameters
    ----------
    every : int
        Of a video or a sequence only every n-th frame is read; pictures of other formats are all read.
    unlabelled : str
        Whether a picture without a label file is ``background``, with nothing in it, or a ``finding``; for formats
        with one label file for each picture.

    Attributes
    ----------
    format : str
        The name under which settings choose it.
    """

    format: ClassVar[str]

    def __init__(self, every: int = 1, unlabelled: Literal["background", "finding"] = "background") -> None:
        if every < 1:
            raise ValueError(f"expected every to be 1 or more, got {every}")
        self.every, self.unlabelled = every, unlabelled

    @abstractmethod
    def inputs(self, source: Path) -> Iterable[Path]:
        """Every file that `read` would look at, in any order, read or not, there or not.

        A change of one of them, and a new one among them, makes another data set of the same source.

        Raises
        ------
        UnreadableSourceError
            As `read`.
        """

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
        UnreadableSourceError
            Where the source as a whole is not what the format says.
        """

"""Frames with timestamps, and the seam that every source of them fits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

__all__ = ["ONE_FRAME", "Frame", "VideoSource"]

ONE_FRAME = "there is only one frame, in which nothing can move; count it as a picture"


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source.

    Parameters
    ----------
    index : int
        0 for the first frame that was read, and one more for each frame after it.
    seconds : float
        Time since the first frame, as the source tells it; always later than the frame before.
    image : uint8 array of shape (H, W, 3)
        RGB, upright.
    name : str
        The picture's file name; empty for the frames of a clip.
    time : datetime or None
        UTC, when it was received; of live sources only. A wall clock may jump: durations are told by `seconds`.
    """

    index: int
    seconds: float
    image: npt.NDArray[np.uint8]
    name: str = ""
    time: datetime | None = None


class VideoSource(ABC):
    """Frames in the order of time; iterate over it once, and close it (or use it in a `with` block).

    Attributes
    ----------
    name : str
        What was opened.
    width, height : int
        Size of the frames in pixels, upright, as announced; a frame's own size is what counts.
    fps : float or None
        Frames per second, on average; None where the source has no rate.
    frame_count : int or None
        How many frames are announced; None where that is not known.
    problems : list of str
        What could not be read, in sentences; complete once the iteration has ended.
    """

    name: str
    width: int
    height: int
    fps: float | None
    frame_count: int | None

    def __init__(self) -> None:
        self.problems: list[str] = []

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames.

        Raises
        ------
        SourceError
            Where not one frame can be read.
        """

    def close(self) -> None:
        """Let go of files and threads; harmless when done twice. An iteration that is under way ends."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""The value that a tracker gives, and the seam that every tracker fits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from camera_counting.detections import Detections

__all__ = ["Tracker", "Tracks"]


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """The tracks that were seen in one frame, and those that ended with it.

    Parameters
    ----------
    seconds : float
        Time of the frame.
    ids : int64 array of shape (N,)
        Identity of each track; never used again by the same tracker.
    boxes : float32 array of shape (N, 4)
        Corners x1, y1, x2, y2 in pixels.
    scores : float32 array of shape (N,)
        The detection's confidence in this frame.
    class_ids : int64 array of shape (N,)
        The class as decided over the track's life so far, an index into `names`.
    confirmed : bool array of shape (N,)
        Whether there is enough evidence that the track is an object. What crosses a line before that is counted
        once the track is confirmed.
    ended : tuple of int
        Identities of tracks that will not come back.
    names : tuple of str
        The model's classes, and after them those of an earlier model that live tracks were seen as.
    """

    seconds: float
    ids: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]
    confirmed: npt.NDArray[np.bool_]
    ended: tuple[int, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


class Tracker(ABC):
    """Joins the detections of consecutive frames to tracks.

    A tracker belongs to one camera; it is fed in the order of time and must stand any interval between two frames.
    """

    @abstractmethod
    def update(self, detections: Detections, seconds: float) -> Tracks:
        """The tracks of one frame.

        Parameters
        ----------
        detections : Detections
            What the detector saw, low scores included: they keep a track alive, and never begin one.
        seconds : float
            Time of the frame, later than the one before.
        """

    @abstractmethod
    def finish(self) -> Tracks:
        """End all tracks, at the end of a clip; no track is seen, all of them are in `ended`."""

    @abstractmethod
    def snapshot(self) -> dict[str, Any]:
        """The whole state, ready for JSON: a tracker that is restored from it goes on as this one would."""

    @abstractmethod
    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot of a tracker of the same class.

        Raises
        ------
        KeyError, TypeError, ValueError
            Where the snapshot was not made by this class.
        """

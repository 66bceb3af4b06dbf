"""One camera: its tracker and its counter, from detections to events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from camera_counting.counting.counter import Counter
from camera_counting.counting.events import Event
from camera_counting.counting.result import SceneCount
from camera_counting.detections import Detections
from camera_counting.scene import Scene
from camera_counting.tracking import MotionTracker, Tracker, TrackerSettings, Tracks

__all__ = ["FAINT", "CameraCount"]

# A track is continued by detections down to this part of the confidence that begins one.
FAINT = 0.4


class CameraCount:
    """Follows one camera: detections in, tracks and events out.

    Parameters
    ----------
    names : sequence of str
        The detector's classes.
    scene : Scene or None
        In any units.
    size : (width, height)
        Of the frames, in pixels; the scene is fitted to it, and detections in frames of another size are, too.
    confidence : float
        A detection of this score begins a track; fainter ones (down to `FAINT` of it) only continue one.
    classes : iterable of str, optional
        Count only these.
    tracker : Tracker, optional
        Instead of a new `MotionTracker`.

    Raises
    ------
    SceneError
        Where the scene does not fit the frames or the classes.
    """

    def __init__(
        self,
        names: Sequence[str],
        scene: Scene | None,
        size: tuple[int, int],
        *,
        confidence: float = 0.25,
        classes: Iterable[str] | None = None,
        tracker: Tracker | None = None,
    ) -> None:
        self.size = size
        self.scene = None if scene is None else scene.for_size(*size)
        settings = TrackerSettings(confidence=confidence, low=FAINT * confidence)
        self._tracker = tracker or MotionTracker(settings, size)
        self._counter = Counter(self.scene, names, classes=classes)
        self._frame = 0

    def step(
        self, detections: Detections, seconds: float, frame: int, size: tuple[int, int] | None = None
    ) -> tuple[Tracks, list[Event]]:
        """Take in what was seen in one frame, of `size` where that is not the camera's."""
        if size is not None and size != self.size:
            factor = np.array([self.size[0] / size[0], self.size[1] / size[1]] * 2, np.float32)
            detections = Detections(
                detections.boxes * factor, detections.scores, detections.class_ids, detections.names
            )
        self._frame = frame
        tracks = self._tracker.update(detections, float(seconds))
        return tracks, self._counter.update(tracks, frame)

    def finish(self) -> list[Event]:
        """End the clip; gives the events that its end makes certain."""
        return self._counter.update(self._tracker.finish(), self._frame)

    def result(self) -> SceneCount:
        """The counts so far."""
        return self._counter.result()

    def counts(self, name: str, class_name: str) -> bool:
        """Whether objects of a class count at the line or zone of this name."""
        return self._counter.counts(name, class_name)

"""One camera: its tracker and its counter, from detections to events."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

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
# Of snapshots; a new number wherever what they hold, or what it means, becomes another.
_FORMAT = 2


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
        wanted = None if classes is None else sorted(set(classes))
        self.scene = None if scene is None else scene.for_size(*size)
        settings = TrackerSettings(confidence=confidence, low=FAINT * confidence)
        self._tracker = tracker or MotionTracker(settings, size)
        self._counter = Counter(self.scene, names, classes=wanted)
        self._seconds: float | None = None
        self._frame = 0
        # tells scenes apart in which counts mean something else
        meant = json.dumps([None if self.scene is None else self.scene.to_dict(), wanted], sort_keys=True)
        self._fingerprint = hashlib.sha256(meant.encode()).hexdigest()

    def step(
        self, detections: Detections, seconds: float, frame: int, size: tuple[int, int] | None = None
    ) -> tuple[Tracks, list[Event]]:
        """Take in what was seen in one frame, of `size` where that is not the camera's."""
        if size is not None and size != self.size:
            factor = np.array([self.size[0] / size[0], self.size[1] / size[1]] * 2, np.float32)
            detections = Detections(
                detections.boxes * factor, detections.scores, detections.class_ids, detections.names
            )
        self._seconds, self._frame = float(seconds), frame
        tracks = self._tracker.update(detections, float(seconds))
        return tracks, self._counter.update(tracks, frame)

    def finish(self) -> list[Event]:
        """End the clip; gives the events that its end makes certain."""
        return self._counter.update(self._tracker.finish(), self._frame, last=True)

    def result(self) -> SceneCount:
        """The counts so far."""
        return self._counter.result()

    def counts(self, name: str, class_name: str) -> bool:
        """Whether objects of a class count at the line, zone or flow of this name; see `Counter.counts`."""
        return self._counter.counts(name, class_name)

    def snapshot(self) -> dict[str, Any]:
        """The whole state, ready for JSON: a `CameraCount` that is restored from it goes on as this one would.

        It grows with the tracks in sight and the lines and zones, never with time: some kilobytes as a rule. The
        keys ``size`` (width, height) and ``seconds`` (of the last frame; None before the first) may be relied on:
        restore into a `CameraCount` of that size, and let the clock go on from there by as long as nobody looked.

        Examples
        --------
        >>> before = CameraCount(["person"], None, (640, 360))
        >>> _ = before.step(Detections.of([[10, 20, 50, 90]], [0.9], [0], ["person"]), 0.1, 0)
        >>> after = CameraCount(["person"], None, (640, 360))
        >>> after.restore(before.snapshot()), after.snapshot() == before.snapshot()
        (True, True)
        """
        return {
            "format": _FORMAT,
            "size": list(self.size),
            "scene": self._fingerprint,
            "seconds": self._seconds,
            "frame": self._frame,
            "tracker": [type(self._tracker).__name__, self._tracker.snapshot()],
            "counter": self._counter.snapshot(),
        }

    def restore(self, snapshot: dict[str, Any]) -> bool:
        """Go on from a snapshot; the model, and with it the classes, may be others than before.

        Returns
        -------
        bool
            False, and nothing has changed, where the snapshot does not fit: another version of the format, another
            scene, size, choice of classes or tracker, or a snapshot that is damaged.
        """
        fits = {"format": _FORMAT, "size": list(self.size), "scene": self._fingerprint}
        if not isinstance(snapshot, dict) or any(snapshot.get(key) != value for key, value in fits.items()):
            return False
        before = self.snapshot()
        try:
            self._take(snapshot)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            self._take(before)
            return False
        return True

    def _take(self, snapshot: dict[str, Any]) -> None:
        kind, tracker = snapshot["tracker"]
        if kind != type(self._tracker).__name__:
            raise ValueError(f"expected a snapshot of a {type(self._tracker).__name__}, got one of a {kind}")
        self._tracker.restore(tracker)
        self._counter.restore(snapshot["counter"])
        self._seconds, self._frame = snapshot["seconds"], int(snapshot["frame"])

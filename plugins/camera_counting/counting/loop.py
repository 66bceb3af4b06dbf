"""The road from frames to counts: detect, track, count, with detection running ahead of the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from camera_counting.counting.camera import FAINT, CameraCount
from camera_counting.counting.economy import Choice, Economy, FrameChoice
from camera_counting.counting.events import Event
from camera_counting.counting.result import SceneCount
from camera_counting.detections import Detections
from camera_counting.detectors.detector import Detector
from camera_counting.errors import SourceError
from camera_counting.scene import Scene
from camera_counting.tracking import Tracker, Tracks
from camera_counting.video.base import Frame, VideoSource

__all__ = ["Detect", "FrameCount", "VideoCount", "count_detections", "count_frames", "count_video"]

Detect = Callable[[Sequence[npt.NDArray[np.uint8]], float | None], list[Detections]]
Begin = Callable[[npt.NDArray[np.uint8], float], Future[Detections]]

# Detections that run ahead of tracking. What is chosen for a frame rests on the tracks of so many detections ago,
# on every machine alike.
_AHEAD = 3
# Frames that wait for them, those that are not detected included.
_WAITING = 32
_WAITING_BYTES = 128 << 20


@dataclass(frozen=True, slots=True, eq=False)
class FrameCount:
    """What is known after one frame.

    Parameters
    ----------
    frame : Frame
    tracks : Tracks
        Seen in this frame, or in the last one that was looked at, in pixels of the first frame.
    events : list of Event
        That became certain with this frame; with the last one, those that its end makes certain, too.
    camera : CameraCount
        Tracker and counter of this camera.
    choice : "detect", "repeat" or "skip"
        Whether it was detected, or how it was spared: with "repeat" it shows what the frame that was detected last
        does, with "skip" `tracks` are those of the last frame that was looked at.
    """

    frame: Frame
    tracks: Tracks
    events: list[Event]
    camera: CameraCount
    choice: Choice = "detect"

    @property
    def image(self) -> npt.NDArray[np.uint8]:
        """The frame's picture (H, W, 3) in the size of the first frame, to which tracks and scene belong."""
        image = self.frame.image
        width, height = self.camera.size
        if image.shape[:2] == (height, width):
            return image
        import cv2

        return cast("npt.NDArray[np.uint8]", cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))

    @property
    def counts(self) -> SceneCount:
        """The counts until now: ask before the next frame is taken."""
        return self.camera.result()


@dataclass(frozen=True, slots=True, eq=False)
class VideoCount:
    """The count of a whole clip.

    Parameters
    ----------
    source : str
    frames : int
        How many were counted.
    seconds : float
        How long they last.
    fps : float or None
        Frames per second.
    counts : SceneCount
    events : list of Event
        All of them, in the order of time, each under the class that its track was decided to be in the end: they
        agree with `counts`.
    warnings : list of str
        What could not be read.
    detected : int
        In how many frames it was really looked for objects.
    """

    source: str
    frames: int
    seconds: float
    fps: float | None
    counts: SceneCount
    events: list[Event] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    detected: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The JSON of ``camera-counting count``: schemas/count.schema.json."""
        fps = None if self.fps is None else round(self.fps, 3)
        told: dict[str, Any] = {
            "source": self.source,
            "frames": self.frames,
            "seconds": round(self.seconds, 3),
            "fps": fps,
            **self.counts.to_dict(),
        }
        if self.warnings:
            told["warnings"] = self.warnings
        return told


def count_frames(
    frames: Iterable[Frame],
    detect: Detect | Detector,
    names: Sequence[str],
    scene: Scene | None = None,
    *,
    confidence: float = 0.25,
    classes: Iterable[str] | None = None,
    tracker: Tracker | None = None,
    economy: Economy | None = None,
    ahead: int = _AHEAD,
) -> Iterator[FrameCount]:
    """Count frame by frame.

    Detection runs in threads of its own, ahead of tracking and counting, while the source decodes in its own: the
    three never wait for each other longer than the slowest takes. The result depends on none of that.

    Parameters
    ----------
    frames : iterable of Frame
        In the order of time.
    detect : Detector or callable
        A detector, which is then given an input that fits the frames; or a thread-safe `Detector.detect`.
    names : sequence of str
        The detector's classes.
    scene : Scene, optional
        In any units; fitted to the size of the first frame.
    confidence : float
        A detection of this score begins a track; fainter ones (down to 0.4 of it) only continue one.
    classes : iterable of str, optional
        Count only these.
    tracker : Tracker, optional
        Instead of a new `MotionTracker`.
    economy : Economy, optional
        Which work may be left out; by default what loses no count.
    ahead : int
        Detections that run at a time, at least 1; 1 keeps the delay of a live camera small.

    Raises
    ------
    SceneError
        Where the scene does not fit the frames or the classes.
    """
    names = tuple(names)
    if scene is not None:
        scene.check_classes(names)
    economy = economy or Economy.default()
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        return
    height, width = first.image.shape[:2]
    camera = CameraCount(names, scene, (width, height), confidence=confidence, classes=classes, tracker=tracker)
    choice = FrameChoice(economy, scene, (width, height))
    with ExitStack() as stack:
        begin: Begin
        if isinstance(detect, Detector):
            fitted = detect.for_frames(width, height, choice.part)
            begin = fitted.begin
        else:
            pool = stack.enter_context(ThreadPoolExecutor(ahead, thread_name_prefix="camera-counting-detect"))
            begin = partial(_begin, pool, detect)
        lane = _Lane(begin, FAINT * confidence, camera, choice)
        stack.callback(lane.cancel)
        for frame in chain([first], stream):
            lane.take(frame)
            while lane.is_full(ahead):
                yield lane.give()
        lane.look_at_last()
        while not lane.is_empty():
            yield lane.give()


def _begin(
    pool: ThreadPoolExecutor, detect: Detect, image: npt.NDArray[np.uint8], faint: float
) -> Future[Detections]:
    return pool.submit(lambda: detect([image], faint)[0])


class _Lane:
    """Frames on their way from choice to count, in order.

    Parameters
    ----------
    begin : callable
        Begins to detect in a picture.
    faint : float
        Least score of what is detected.
    camera : CameraCount
    choice : FrameChoice
    """

    def __init__(self, begin: Begin, faint: float, camera: CameraCount, choice: FrameChoice) -> None:
        self._start, self._faint = begin, faint
        self._camera, self._choice = camera, choice
        self._waiting: deque[tuple[Frame, Choice, Future[Detections] | None]] = deque()
        self._in_flight = 0
        self._detections = Detections.none(())
        self._tracks: Tracks | None = None
        self._complete = False

    def take(self, frame: Frame) -> None:
        """Choose what a frame needs, and begin with it."""
        kind = self._choice.choose(frame.image, frame.seconds)
        self._waiting.append((frame, kind, self._begin(frame) if kind == "detect" else None))

    def look_at_last(self) -> None:
        """There is no frame after the last one taken: whatever was chosen for it, nothing later will show it."""
        if self._waiting and self._waiting[-1][1] == "skip":
            frame = self._waiting.pop()[0]
            self._waiting.append((frame, "detect", self._begin(frame)))
        self._complete = True

    def is_full(self, ahead: int) -> bool:
        """Whether a frame has to be given before the next is taken; never the last one."""
        if len(self._waiting) > 1 and self._waiting[0][2] is None:
            return True
        most = min(_WAITING, max(ahead + 1, _WAITING_BYTES // max(self._waiting[-1][0].image.nbytes, 1)))
        return self._in_flight > ahead or len(self._waiting) > most

    def is_empty(self) -> bool:
        """Whether all frames were given."""
        return not self._waiting

    def give(self) -> FrameCount:
        """The count after the next frame."""
        frame, kind, future = self._waiting.popleft()
        events: list[Event] = []
        if future is not None:
            self._detections = future.result()
            self._in_flight -= 1
        if kind == "skip" and self._tracks is not None:
            tracks = self._tracks
        else:
            height, width = frame.image.shape[:2]
            tracks, events = self._camera.step(self._detections, frame.seconds, frame.index, (width, height))
            self._choice.seen(tracks, frame.seconds)
            self._tracks = replace(tracks, ended=())
        if self._complete and not self._waiting:
            events = [*events, *self._camera.finish()]
        return FrameCount(frame, tracks, events, self._camera, kind)

    def cancel(self) -> None:
        """Nothing more is begun."""
        for _, _, future in self._waiting:
            if future is not None:
                future.cancel()

    def _begin(self, frame: Frame) -> Future[Detections]:
        self._in_flight += 1
        return self._start(frame.image, self._faint)


def count_video(
    source: VideoSource,
    detect: Detect | Detector,
    names: Sequence[str],
    scene: Scene | None = None,
    *,
    on_frame: Callable[[FrameCount], None] | None = None,
    **settings: Any,
) -> VideoCount:
    """Count a whole source; `settings` as for `count_frames`, `on_frame` is called after each frame.

    Raises
    ------
    SourceError
        Where nothing can be read.
    SceneError
        Where the scene does not fit the frames or the classes.
    """
    log = _Log()
    number, end, detected = 0, 0.0, 0
    with source:
        for counted in count_frames(source, detect, names, scene, **settings):
            number, end = number + 1, counted.frame.seconds
            detected += counted.choice == "detect"
            log.add(counted.tracks, counted.events)
            if on_frame is not None:
                on_frame(counted)
            camera = counted.camera
        if number == 0:
            raise SourceError(f"{source.name}: not one frame could be read")
    return VideoCount(
        source=source.name,
        frames=number,
        seconds=_length(number, end, source.fps),
        fps=source.fps,
        counts=camera.result(),
        events=log.events(camera),
        warnings=list(source.problems),
        detected=detected,
    )


def count_detections(
    detections: Iterable[tuple[float, Detections]],
    names: Sequence[str],
    scene: Scene,
    size: tuple[int, int],
    *,
    confidence: float = 0.25,
    classes: Iterable[str] | None = None,
    tracker: Tracker | None = None,
    source: str = "detections",
) -> VideoCount:
    """Count recorded detections, without a video.

    Parameters
    ----------
    detections : iterable of (float, Detections)
        For every frame, those without a detection too: its time in seconds, from whenever, and what was seen.
    names : sequence of str
        The detector's classes.
    scene : Scene
    size : (width, height)
        Of the frames in which the detections were made, in pixels.
    confidence, classes, tracker
        As for `count_frames`.

    Examples
    --------
    >>> gate = Scene.from_dict({"lines": [{"name": "gate", "from": [0, 100], "to": [200, 100]}]})
    >>> boxes = [[80, 30 + 4 * i, 100, 70 + 4 * i] for i in range(20)]
    >>> seen = [(i / 10, Detections.of(box, [0.9], [0], ["car"])) for i, box in enumerate(boxes)]
    >>> count_detections(seen, ["car"], gate, (200, 200)).counts.lines["gate"].into
    1
    """
    camera = CameraCount(names, scene, size, confidence=confidence, classes=classes, tracker=tracker)
    log = _Log()
    number, began, end = 0, 0.0, 0.0
    for index, (seconds, seen) in enumerate(detections):
        log.add(*camera.step(seen, seconds, index))
        began = began if number else seconds
        number, end = index + 1, seconds
    log.add(None, camera.finish())
    lasted = end - began
    return VideoCount(
        source=source,
        frames=number,
        seconds=_length(number, lasted, None),
        fps=(number - 1) / lasted if lasted > 0 else None,
        counts=camera.result(),
        events=log.events(camera),
    )


class _Log:
    """The events of a clip, with what is decided later on of the tracks they tell of."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._names: dict[int, str] = {}

    def add(self, tracks: Tracks | None, events: list[Event]) -> None:
        """Take in what one frame tells."""
        self._events += events
        self._names.update({event.track: event.class_name for event in events})
        if tracks is not None:
            for track, class_id in zip(tracks.ids.tolist(), tracks.class_ids.tolist(), strict=True):
                if track in self._names:
                    self._names[track] = tracks.names[class_id]

    def events(self, camera: CameraCount) -> list[Event]:
        """All events, in the order of time, of those tracks that count there by the class they are at last."""
        told = [replace(event, class_name=self._names[event.track]) for event in self._events]
        counted = [event for event in told if camera.counts(event.name, event.class_name)]
        return sorted(counted, key=lambda event: event.seconds)


def _length(number: int, end: float, fps: float | None) -> float:
    step = 1 / fps if fps else end / (number - 1) if number > 1 else 0.0
    return end + step

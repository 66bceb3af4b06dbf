"""The systems that a user could pick instead, driven as their own documentation drives them.

Each function counts one clip over one line and returns (frames, seconds, {"in": n, "out": n}); the model is loaded
and warmed before the clock starts, for all of them alike, so that what is compared is counting.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

__all__ = ["COUNTERS", "Line", "Result"]

Line = tuple[tuple[int, int], tuple[int, int]]
Result = tuple[int, float, dict[str, int]]


def _frames(clip: Path) -> Iterator[np.ndarray]:
    capture = cv2.VideoCapture(str(clip))
    while True:
        ok, frame = capture.read()
        if not ok:
            return
        yield frame


def _size(clip: Path) -> tuple[int, int]:
    capture = cv2.VideoCapture(str(clip))
    return int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))


def _quiet() -> None:
    """Ultralytics tells of its settings and of every frame without a track."""
    from ultralytics.utils import LOGGER

    LOGGER.setLevel(logging.ERROR)


def object_counter(weights: Path, clip: Path, line: Line, classes: list[int]) -> Result:
    """Ultralytics ObjectCounter with its defaults (https://docs.ultralytics.com/guides/object-counting)."""
    from ultralytics import solutions

    _quiet()
    counter = solutions.ObjectCounter(
        model=str(weights), region=list(line), classes=classes, show=False, verbose=False, imgsz=640
    )
    width, height = _size(clip)
    counter.model.predict(np.zeros((height, width, 3), np.uint8), imgsz=640, verbose=False)
    frames, answer, start = 0, None, time.perf_counter()
    for frame in _frames(clip):
        answer = counter.process(frame)
        frames += 1
    seconds = time.perf_counter() - start
    assert answer is not None
    return frames, seconds, {"in": int(answer.in_count), "out": int(answer.out_count)}


def _line_zone(weights: Path, clip: Path, line: Line, classes: list[int], tracker: str) -> Result:
    import supervision
    import trackers
    from ultralytics import YOLO

    _quiet()
    model = YOLO(str(weights), task="detect")
    width, height = _size(clip)
    model.predict(np.zeros((height, width, 3), np.uint8), imgsz=640, verbose=False)
    follow = getattr(trackers, tracker)()
    (x1, y1), (x2, y2) = line
    zone = supervision.LineZone(
        start=supervision.Point(x1, y1),
        end=supervision.Point(x2, y2),
        triggering_anchors=[supervision.Position.BOTTOM_CENTER],
    )
    frames, start = 0, time.perf_counter()
    for frame in _frames(clip):
        seen = model.predict(frame, imgsz=640, classes=classes, verbose=False)[0]
        zone.trigger(follow.update(supervision.Detections.from_ultralytics(seen)))
        frames += 1
    return frames, time.perf_counter() - start, {"in": zone.in_count, "out": zone.out_count}


def supervision_bytetrack(weights: Path, clip: Path, line: Line, classes: list[int]) -> Result:
    """supervision's LineZone over ByteTrack of `trackers` (https://supervision.roboflow.com)."""
    return _line_zone(weights, clip, line, classes, "ByteTrackTracker")


def supervision_ocsort(weights: Path, clip: Path, line: Line, classes: list[int]) -> Result:
    """supervision's LineZone over OC-SORT of `trackers`."""
    return _line_zone(weights, clip, line, classes, "OCSORTTracker")


COUNTERS: dict[str, Callable[[Path, Path, Line, list[int]], Result]] = {
    "ultralytics ObjectCounter": object_counter,
    "supervision + ByteTrack": supervision_bytetrack,
    "supervision + OC-SORT": supervision_ocsort,
}

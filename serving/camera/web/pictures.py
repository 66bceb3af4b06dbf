"""The live pictures: made when somebody asks, at most so many per second, with people made unrecognisable."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime

import cv2
import numpy as np
import numpy.typing as npt

from camera_counting.annotate import draw_frame
from camera_counting.blur import PeopleBlur
from camera_counting.detections import Detections
from serving.camera.web.settings import WebSettings
from serving.camera.web.worker import View, WorkerLike

__all__ = ["LivePicture", "LivePictures"]

# The part of one core that pictures may take, all cameras together; the weight of the newest in what one takes.
_SHARE, _FRESH = 0.25, 0.2
_ASKED_FOR = 5.0  # seconds for which somebody who has asked for a camera is taken to be looking at it


@dataclass(frozen=True, slots=True)
class LivePicture:
    """A JPEG of a camera; `hidden` says why all of it is unrecognisable, and is empty where it is not."""

    jpeg: bytes
    time: datetime
    hidden: str = ""


@dataclass(slots=True)
class _Live:
    lock: threading.Lock = field(default_factory=threading.Lock)
    blur: PeopleBlur = field(default_factory=PeopleBlur)
    last: LivePicture | None = None
    made: float = -np.inf
    asked: float = -np.inf


class LivePictures:
    """Annotated pictures of a worker's cameras. Thread-safe.

    However many look on, a picture is drawn once, each camera's at most so many times per second, and all of them
    together in a quarter of a core: where many cameras are looked at, each is drawn less often, and all alike.
    """

    def __init__(self, worker: WorkerLike, settings: WebSettings) -> None:
        self._worker, self._settings = worker, settings
        self._lock = threading.Lock()
        self._live: dict[str, _Live] = {}
        # drawing must not take the processor from counting: one picture at a time
        self._turn = threading.Semaphore(1)
        self._cost = 0.0  # seconds of processor time that a picture takes

    def picture(self, camera: str) -> LivePicture | None:
        """The latest one; None where the camera is not known, or has shown nothing yet."""
        now = time.monotonic()
        with self._lock:
            live = self._live.get(camera)
            if live is not None:
                live.asked = now
                if live.last is not None and now - live.made < self._pause(now):
                    return live.last
        try:
            view = self._worker.view(camera)
        except KeyError:
            view = None
        if view is None:
            with self._lock:
                self._live.pop(camera, None)
            return None
        with self._lock:
            live = self._live.setdefault(camera, _Live())
            live.asked = now
            pause = self._pause(now)
        with live.lock:
            # somebody else may have drawn it meanwhile
            if live.last is None or (live.last.time != view.time and time.monotonic() - live.made >= pause):
                with self._turn:
                    live.made, began = time.monotonic(), time.thread_time()
                    live.last = self._drawn(view, live.blur)
                    took = time.thread_time() - began
                    self._cost += (_FRESH if self._cost else 1.0) * (took - self._cost)
            return live.last

    def _pause(self, now: float) -> float:
        """Seconds from one picture of a camera to its next; called with the lock held."""
        looked_at = sum(now - live.asked < _ASKED_FOR for live in self._live.values())
        return max(1 / self._settings.pictures_per_second, looked_at * self._cost / _SHARE)

    def _drawn(self, view: View, blur: PeopleBlur) -> LivePicture:
        image, hidden = view.image, ""
        if self._settings.people != "shown":
            faint = view.detections_faint
            # without detections, no class is known either, and all of the picture is made unrecognisable
            faint = Detections.none(()) if faint is None else faint
            covered = blur.cover(image, faint, view.tracks, view.time.timestamp())
            image, hidden = covered.image, covered.whole
        drawn = draw_frame(image, view.tracks, view.scene, view.counts)
        return LivePicture(self._jpeg(drawn), view.time, hidden)

    def _jpeg(self, image: npt.NDArray[np.uint8]) -> bytes:
        height, width = image.shape[:2]
        factor = self._settings.longer_side / max(height, width)
        if factor < 1:
            size = (max(1, round(width * factor)), max(1, round(height * factor)))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        done, encoded = cv2.imencode(
            ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, self._settings.quality]
        )
        if not done:
            raise RuntimeError(f"a picture of {width} x {height} could not be encoded as a JPEG")
        return bytes(encoded.tobytes())

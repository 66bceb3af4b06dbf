"""Pictures that are kept, where the settings say so: a few of each camera, with the people in them made
unrecognisable."""

from __future__ import annotations

import logging
import threading
from datetime import UTC
from pathlib import Path
from urllib.parse import quote

import cv2

from camera_counting.blur import PeopleBlur
from camera_counting.whole_file import part_of, put_in_place
from serving.camera.samples import is_due
from serving.camera.view import FrameKeeper, Seen

__all__ = ["PictureKeeper"]

_BEFORE = 3.0  # seconds

_log = logging.getLogger("serving.camera")


class PictureKeeper(FrameKeeper):
    """Keeps a picture of every camera, every so many seconds; the oldest ones go.

    Parameters
    ----------
    folder : Path
        A folder in it for each camera.
    every : float
        Seconds.
    keep : int
        Pictures of each camera.
    """

    def __init__(self, folder: Path, every: float, keep: int) -> None:
        self._folder, self._every, self._keep = folder, every, keep
        self._lock = threading.Lock()
        self._blurs: dict[str, PeopleBlur] = {}
        self._failed = False

    def see(self, seen: Seen) -> None:
        due = is_due(seen, self._every)
        # the frames just before, too: from them is known who moves
        if not due and seen.seconds % self._every < self._every - _BEFORE:
            return
        with self._lock:
            blur = self._blurs.setdefault(seen.camera, PeopleBlur())
        covered = blur.cover(seen.image, seen.detections, None, seen.seconds)
        if not due:
            return
        done, encoded = cv2.imencode(".jpg", cv2.cvtColor(covered.image, cv2.COLOR_RGB2BGR))
        if not done:
            return
        folder = self._folder / quote(seen.camera, safe=" ")
        path = folder / f"{seen.time.astimezone(UTC):%Y-%m-%dT%H-%M-%S}.jpg"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            part = part_of(path)
            part.write_bytes(encoded.tobytes())
            put_in_place(part, path)
            for old in sorted(folder.glob("*.jpg"))[: -self._keep]:
                old.unlink(missing_ok=True)
        except OSError as error:
            if not self._failed:
                _log.error("no picture can be kept in %s: %s; counting goes on", folder, error)
            self._failed = True
        else:
            self._failed = False

"""A clip that came in a request: held to limits of size, length and time, and counted."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from camera_counting.errors import PictureError, RequestError, SceneError, SourceError
from camera_counting.picture_features import picture_features

if TYPE_CHECKING:
    from camera_counting.counting import FrameCount, VideoCount
    from camera_counting.model import CountingModel
    from camera_counting.scoring.deadline import Deadline
    from camera_counting.scoring.params import RequestParams

__all__ = ["ClipWatch", "count_clip"]

_logger = logging.getLogger(__name__)

# Frames, of the seconds that a clip may last: at a rate beyond any camera's, a small file is work without end.
_MOST_PER_SECOND = 60


def count_clip(
    model: CountingModel, content: bytes, params: RequestParams, *, deadline: Deadline | None, with_features: bool
) -> tuple[VideoCount, ClipWatch]:
    """Count the bytes of a clip; what was seen on the way comes with the count.

    Raises
    ------
    RequestError
        Where it is no clip, damaged, or beyond a limit.
    OutOfTime
        Where the deadline has passed.
    """
    limit = _number("CAMERA_COUNTING_MAX_CLIP_MB", 50)
    if len(content) > limit * 1e6:
        raise RequestError(
            f"the clip has {len(content) / 1e6:.1f} MB, more than the {limit:g} MB that are allowed"
        )
    if content.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF")) and content[8:12] != b"AVI ":
        # a decoder of clips would take it for a clip of one frame, in which nothing ever moves
        raise RequestError("video: that is a picture; send it as 'image'")
    from camera_counting.video import VideoFile  # a server that is asked for pictures alone needs no FFmpeg

    watch = ClipWatch(_number("CAMERA_COUNTING_MAX_CLIP_SECONDS", 60), deadline, with_features)
    # a decoder wants a file; it is gone before the answer is given
    with tempfile.TemporaryDirectory(prefix="camera-counting-") as folder:
        path = Path(folder) / "clip.mp4"
        path.write_bytes(content)
        try:
            # a VideoFile, for as a path a picture would be opened as a folder of one
            count = model.count_video(
                VideoFile(path), params.scene, confidence=params.confidence, classes=params.classes, on_frame=watch
            )
        except (PictureError, RequestError, SceneError, SourceError) as error:
            # the temporary file's name says nothing to who sent the clip
            raise RequestError(str(error).replace(str(path), "the clip").replace(path.name, "the clip")) from None
    if count.frames < 2:
        raise RequestError("video: the clip has a single frame, in which nothing moves; send it as 'image'")
    if count.warnings:
        raise RequestError(f"video: the clip is damaged: {count.warnings[0].removeprefix(f'{path}: ')}")
    return count, watch


class ClipWatch:
    """Looks at a clip's frames as they are counted: its length, its size, its features."""

    def __init__(self, seconds: float, deadline: Deadline | None, with_features: bool) -> None:
        self.width = self.height = 0
        self.scores: list[float] = []
        self._seconds, self._deadline, self._with_features = seconds, deadline, with_features
        self._frames = int(seconds * _MOST_PER_SECOND)
        self._sums: list[dict[str, float]] = []
        self._next = 0.0

    def __call__(self, seen: FrameCount) -> None:
        if self._deadline is not None:
            self._deadline.check()
        if seen.frame.seconds > self._seconds:
            raise RequestError(
                f"video: the clip is longer than the {self._seconds:g} seconds that are allowed; count it with "
                "`camera-counting count`"
            )
        if seen.frame.index >= self._frames:
            raise RequestError(
                f"video: the clip has more than the {self._frames} frames that are allowed, {_MOST_PER_SECOND} "
                f"for each of {self._seconds:g} seconds; count it with `camera-counting count`"
            )
        self.height, self.width = seen.frame.image.shape[:2]
        if self._with_features:
            self.scores.extend(float(score) for score in seen.tracks.scores)
            if seen.frame.seconds >= self._next:
                self._sums.append(picture_features(seen.frame.image))
                self._next = seen.frame.seconds + 1.0

    def features(self) -> dict[str, float]:
        """Mean of one frame a second."""
        if not self._sums:
            return {}
        return {name: float(np.mean([sample[name] for sample in self._sums])) for name in self._sums[0]}


def _number(name: str, default: float) -> float:
    try:
        return float(os.environ.get(name, "") or default)
    except ValueError:
        _logger.warning("%s: expected a number, using %g", name, default)
        return default

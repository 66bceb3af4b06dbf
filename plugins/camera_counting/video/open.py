"""Which source fits a path or an address."""

from __future__ import annotations

import os
from pathlib import Path

from camera_counting.pictures import FORMATS, SUFFIXES, picture_format
from camera_counting.video.address import is_camera
from camera_counting.video.base import VideoSource
from camera_counting.video.file import VideoFile, first_bytes
from camera_counting.video.folder import PictureFolder
from camera_counting.video.live import LiveSource

__all__ = ["open_source"]


def open_source(
    source: str | Path | VideoSource, *, fps: float | None = None, ahead: int | None = None
) -> VideoSource:
    """Open a live camera, a video file, a folder of pictures or a single picture.

    Parameters
    ----------
    source : str, Path or VideoSource
        A path; or a camera's address (rtsp, rtsps, http, https) or device (/dev/video0), opened as a `LiveSource`,
        which tells in its `state` whether frames come. What is open already is given back as it is.
    fps : float, optional
        Rate of a folder's pictures, 1 where it is not given; a clip tells its own times.
    ahead : int, optional
        Frames of a clip that are decoded ahead at most.

    Raises
    ------
    SourceError
        Where nothing can be read; the sentence says why.
    """
    if isinstance(source, VideoSource):
        return source
    if isinstance(source, str) and is_camera(source):
        return LiveSource(source)
    path = Path(source)
    return PictureFolder(path, fps or 1.0) if _holds_pictures(path) else VideoFile(path, ahead=ahead)


def _holds_pictures(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES or os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a folder may not be read
        return True
    # a picture may have any name or none; JPEG after JPEG in one file is a clip
    return suffix not in {".mjpg", ".mjpeg"} and picture_format(first_bytes(path)) in FORMATS

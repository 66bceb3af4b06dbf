"""Folders of pictures, and single pictures, as sources of frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from camera_counting.errors import PictureError, SourceError
from camera_counting.pictures import SUFFIXES, Picture, read_picture
from camera_counting.video.base import ONE_FRAME, Frame, VideoSource

__all__ = ["PictureFolder", "natural_order"]


def natural_order(path: Path) -> list[tuple[int, int, str]]:
    """A sort key under which frame_2 comes before frame_10.

    Examples
    --------
    >>> sorted([Path("f10.jpg"), Path("f9.jpg"), Path("F1.jpg")], key=natural_order)[0].name
    'F1.jpg'
    """
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


class PictureFolder(VideoSource):
    """Pictures in their natural order, as the frames of a sequence.

    A picture that cannot be read is left out, and `problems` says so; its place in time stays empty.

    Parameters
    ----------
    path : str or Path
        A folder (its subfolders are not looked into), or one picture.
    fps : float
        Frames per second; pictures do not tell it.

    Raises
    ------
    SourceError
        Where there is no picture, or the folder cannot be read.
    """

    def __init__(self, path: str | Path, fps: float = 1.0) -> None:
        super().__init__()
        path = Path(path)
        if not fps > 0:
            raise SourceError(f"{path}: expected a frame rate above 0, got {fps:g}")
        self.name = str(path)
        try:
            self.files = _pictures_at(path)
        except SourceError:
            raise
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no usable path"
            raise SourceError(f"{str(path)[:200]}: cannot be read: {reason}") from error
        self.fps = self._rate = fps
        self.frame_count = len(self.files)
        self._first, image = self._first_sound()
        self._image: Picture | None = image
        self.height, self.width = image.shape[:2]
        self._closed = False

    def _first_sound(self) -> tuple[Path, Picture]:
        for file in self.files:
            try:
                return file, read_picture(file)
            except PictureError as error:
                reason = error
        raise SourceError(f"{self.name}: not one of {len(self.files)} picture(s) can be read; the last: {reason}")

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        for place, file in enumerate(self.files):
            if self._closed:
                return
            try:
                image = self._read(file)
            except PictureError as error:
                self.problems.append(str(error))
                continue
            yield Frame(index, place / self._rate, image, file.name)
            index += 1
        if len(self.files) == 1:
            self.problems.append(f"{self.name}: {ONE_FRAME}")

    def _read(self, file: Path) -> Picture:
        # the first one was decoded for its size; it is not kept longer than until it is asked for
        if file == self._first and self._image is not None:
            image, self._image = self._image, None
            return image
        return read_picture(file)

    def close(self) -> None:
        """End an iteration that is under way."""
        self._closed = True


def _pictures_at(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted((f for f in path.iterdir() if f.suffix.lower() in SUFFIXES), key=natural_order)
        if not files:
            known = ", ".join(sorted(SUFFIXES))
            raise SourceError(f"{path}: expected pictures ({known}), found none in this folder")
        return files
    if path.is_file():
        return [path]
    raise SourceError(f"{path}: expected a picture or a folder of pictures, found none; check the path")

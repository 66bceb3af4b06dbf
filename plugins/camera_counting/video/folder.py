"""Folders of pictures, and single pictures, as sources of frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from camera_counting.errors import PictureError, SourceError
from camera_counting.pictures import read_picture
from camera_counting.video.base import Frame, VideoSource

__all__ = ["PICTURES", "PictureFolder", "natural_order"]

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


def natural_order(path: Path) -> list[tuple[int, int, str]]:
    """A sort key under which frame_2 comes before frame_10.

    Examples
    --------
    >>> sorted([Path("f10.jpg"), Path("f9.jpg"), Path("F1.jpg")], key=natural_order)[0].name
    'F1.jpg'
    """
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


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
        Where there is no picture.
    """

    def __init__(self, path: str | Path, fps: float = 1.0) -> None:
        super().__init__()
        path = Path(path)
        if not fps > 0:
            raise SourceError(f"{path}: expected a frame rate above 0, got {fps:g}")
        self.name = str(path)
        if path.is_dir():
            self.files = sorted((f for f in path.iterdir() if f.suffix.lower() in PICTURES), key=natural_order)
            if not self.files:
                raise SourceError(
                    f"{path}: expected pictures ({', '.join(sorted(PICTURES))}), found none in this folder"
                )
        elif path.is_file():
            self.files = [path]
        else:
            raise SourceError(f"{path}: expected a picture or a folder of pictures, found none; check the path")
        self.fps = self._rate = fps
        self.frame_count = len(self.files)
        self._first = self._first_sound()
        self.height, self.width = self._first.image.shape[:2]
        self._closed = False

    def _first_sound(self) -> Frame:
        for place, file in enumerate(self.files):
            try:
                return Frame(0, place / self._rate, read_picture(file), file.name)
            except PictureError as error:
                reason = error
        raise SourceError(f"{self.name}: not one of {len(self.files)} picture(s) can be read; the last: {reason}")

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        for place, file in enumerate(self.files):
            if self._closed:
                return
            try:
                image = read_picture(file)
            except PictureError as error:
                self.problems.append(str(error))
                continue
            yield Frame(index, place / self._rate, image, file.name)
            index += 1

    def close(self) -> None:
        """End an iteration that is under way."""
        self._closed = True

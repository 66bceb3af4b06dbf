"""The annotated clip that a count writes beside its counts."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from camera_counting.errors import SourceError
from camera_counting.video import ClipWriter

if TYPE_CHECKING:
    from camera_counting.counting import FrameCount

__all__ = ["AnnotatedClip"]


class AnnotatedClip:
    """Written as long as it can be: a disk that is full after hours must not take the counts with it.

    Parameters
    ----------
    path : Path or None
        None where no clip is wanted.

    Attributes
    ----------
    trouble : SourceError or None
        Why there is no clip though one was wanted.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.trouble: SourceError | None = None
        self._writer: ClipWriter | None = None
        self._fps, self._begun = 25.0, False

    def at(self, fps: float | None) -> Self:
        """At this rate, where the source has one."""
        self._fps = fps or self._fps
        return self

    def write(self, counted: FrameCount) -> None:
        """Add a frame with its tracks and counts.

        Raises
        ------
        SourceError
            Where not even the first one can be written.
        """
        from camera_counting.annotate import draw_frame

        if self._writer is None:
            return
        drawn = draw_frame(counted.image, counted.tracks, counted.camera.scene, counted.counts)
        try:
            self._writer.write(drawn, counted.frame.seconds)
        except SourceError as error:
            if not self._begun:
                raise
            self._give_up(error)
        self._begun = True

    def __enter__(self) -> Self:
        if self.path is not None:
            self._writer = ClipWriter(self.path, self._fps)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None:
            return
        try:
            self._writer.__exit__(kind, error, trace)
        except SourceError as trouble:
            self._give_up(trouble)

    def _give_up(self, trouble: SourceError) -> None:
        self.trouble, self._writer = trouble, None
        click.secho(f"warning: {trouble}; counted without it", fg="yellow", err=True)

"""What tests ask of a live camera: its next frame, its trouble, a moment to come; none of them waits for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

from camera_counting.errors import SourceError
from camera_counting.video import Frame, LiveSource

__all__ = ["PATIENCE", "TIMEOUT", "frame_of", "trouble_of", "wait_until"]

PATIENCE = 20.0
# Seconds without a frame after which the fixture `watch` lets a camera be connected anew.
TIMEOUT = 2.0


def frame_of(source: LiveSource, fits: Callable[[Frame], bool] = lambda _: True) -> Frame:
    """The next frame that fits."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        frame = source.latest(0.5)
        if frame is not None and fits(frame):
            return frame
    raise AssertionError(f"no frame: {source.state}, {source.error}, {source.stats}")


def trouble_of(source: LiveSource) -> SourceError:
    """What is told where there is trouble."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        error = source.error
        if error is not None:
            return error
        time.sleep(0.02)
    raise AssertionError(f"no trouble: {source.state}, {source.stats}")


def wait_until(done: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.01)

"""Counting on a live camera from the command line: until Ctrl-C, or for so many seconds."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from camera_counting.video import LiveSource

__all__ = ["until_stopped"]

_LOOK = 0.2  # seconds from one look at the camera's state to the next


@contextmanager
def until_stopped(camera: LiveSource, seconds: float | None) -> Iterator[None]:
    """Close the camera on Ctrl-C, on SIGTERM and after `seconds`, so that what was counted until then is told.

    Troubles on the way are told as they come. A camera that cannot be opened at all ends the command instead:
    whoever typed its address wants to know.

    Raises
    ------
    SourceError
        Where the first try to connect fails.
    """
    _wait_for_a_frame(camera)
    over = threading.Event()

    def stop(number: int = 0, frame: FrameType | None = None) -> None:
        # not in the handler itself: it interrupts a thread that may hold the camera's lock
        threading.Thread(target=camera.close, name="camera-counting-stop", daemon=True).start()
        # who asks twice does not want to wait for the result
        _handle(before)

    before = _handle({signal.SIGINT: stop, signal.SIGTERM: stop})
    timer = threading.Timer(seconds, camera.close) if seconds is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    teller = threading.Thread(target=_tell, args=(camera, over), name="camera-counting-tell", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        if timer is not None:
            timer.cancel()
        teller.join()
        _handle(before)


def _wait_for_a_frame(camera: LiveSource) -> None:
    while camera.stats.received == 0:
        if camera.error is not None:
            raise camera.error
        time.sleep(_LOOK / 10)


def _handle(handlers: dict[signal.Signals, signal._HANDLER]) -> dict[signal.Signals, signal._HANDLER]:
    """Set these handlers, and give back those before; only the main thread may."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number, handler in handlers.items()}


def _tell(camera: LiveSource, over: threading.Event) -> None:
    told = ""
    while not over.wait(_LOOK):
        now = str(camera.error or "")
        if camera.state != "closed" and now != told:
            click.secho(f"warning: {now}" if now else f"{camera.name}: frames come again", fg="yellow", err=True)
            told = now

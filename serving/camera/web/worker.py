"""What the page needs of a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from camera_counting.counting.result import SceneCount
from camera_counting.detections import Detections
from camera_counting.scene import Scene
from camera_counting.tracking.base import Tracks
from serving.camera.status import WorkerStatus

__all__ = ["View", "WorkerLike"]


class View(Protocol):
    """The latest frame of a camera and what was seen in it.

    `image` is RGB uint8 of shape (H, W, 3) and is left as it is; `detections_faint` reach down to
    `camera_counting.blur.FAINT`; `time` is UTC.
    """

    @property
    def image(self) -> npt.NDArray[np.uint8]: ...
    @property
    def tracks(self) -> Tracks | None: ...
    @property
    def counts(self) -> SceneCount | None: ...
    @property
    def scene(self) -> Scene | None: ...
    @property
    def detections_faint(self) -> Detections | None: ...
    @property
    def time(self) -> datetime: ...


class WorkerLike(Protocol):
    """A worker, as the page sees it; every call may come from any thread."""

    def status(self) -> WorkerStatus:
        """The whole worker now."""
        ...

    def is_well(self) -> bool:
        """Whether it looks after its cameras; asked often, by anybody."""
        ...

    def view(self, camera: str, /) -> View | None:
        """The latest frame of a camera; None where there is none (yet)."""
        ...

    def add_camera(self, settings: dict[str, Any], /) -> None:
        """Begin to count one more camera.

        Raises
        ------
        ValueError
            Where the settings make no sense, or the name is taken.
        """
        ...

    def remove_camera(self, name: str, /) -> None:
        """Stop a camera.

        Raises
        ------
        KeyError
            Where there is none of this name.
        """
        ...

    def intervals(self, camera: str, interval: str, /) -> Sequence[Mapping[str, Any]]:
        """Counts of the local day per interval (1min, 15min, hour, day).

        Raises
        ------
        KeyError, ValueError
            Where the camera or the interval is not known.
        """
        ...

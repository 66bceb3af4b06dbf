"""What a camera sees and has counted, for the page and for whoever keeps frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from camera_counting.counting import LineCount, SceneCount
from camera_counting.detections import Detections
from camera_counting.scene import Scene
from camera_counting.tracking import Tracks
from serving.camera.following import Loaded

__all__ = ["FrameKeeper", "Seen", "View", "of_today"]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One counted frame.

    Parameters
    ----------
    camera : str
    image : uint8 array of shape (H, W, 3)
        RGB, as it came.
    detections : Detections
        In pixels of the image; faint ones (down to 0.4 of the confidence that counts) are among them.
    confidence : float
        Score of a detection that counts.
    tracks : Tracks
        In pixels of the camera's first frame.
    time : datetime
        UTC.
    seconds : float
        Into the clip; of a live source, since it was begun.
    before : float or None
        The same of the frame that was counted before; None for the first.
    place : str
        What tells this frame from every other one of the camera, also after a restart.
    loaded : Loaded
        The model that detected.
    classes : tuple of str or None
        Those that are counted; None for all.
    inference_ms : float
    """

    camera: str
    image: npt.NDArray[np.uint8]
    detections: Detections
    confidence: float
    tracks: Tracks
    time: datetime
    seconds: float
    before: float | None
    place: str
    loaded: Loaded
    classes: tuple[str, ...] | None
    inference_ms: float


class FrameKeeper(ABC):
    """Keeps something of the frames that were counted. Called from the cameras' threads."""

    @abstractmethod
    def see(self, seen: Seen) -> None:
        """Take a look at one frame; most are not kept."""

    def close(self) -> None:
        """Write what is not written yet."""
        return


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A camera's last frame with what is known of it; everything is in pixels of the image.

    Parameters
    ----------
    image : uint8 array of shape (H, W, 3)
        RGB.
    tracks : Tracks
    counts : SceneCount
        Of the site's day; occupancy of now.
    scene : Scene or None
    detections_faint : Detections
        All that the detector saw, down to 0.4 of the confidence that counts.
    time : datetime
        UTC.
    """

    image: npt.NDArray[np.uint8]
    tracks: Tracks
    counts: SceneCount
    scene: Scene | None
    detections_faint: Detections
    time: datetime

    @classmethod
    def of(cls, seen: Seen, size: tuple[int, int], counts: SceneCount, scene: Scene | None) -> View:
        """The view of a frame, in the size (width, height) to which tracks and scene belong."""
        image, faint = seen.image, seen.detections
        height, width = image.shape[:2]
        if (width, height) != size:
            factor = np.array([size[0] / width, size[1] / height] * 2, np.float32)
            faint = Detections(faint.boxes * factor, faint.scores, faint.class_ids, faint.names)
            image = cast("npt.NDArray[np.uint8]", cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        return cls(image, seen.tracks, counts, scene, faint, seen.time)


def of_today(counts: SceneCount, today: dict[str, Any]) -> SceneCount:
    """Counts since the count was begun, with those of the day in their place.

    Examples
    --------
    >>> since = SceneCount({"gate": LineCount({"car": {"in": 40, "out": 2}})}, {}, {"car": 42})
    >>> of_today(since, {"lines": {"gate": {"in": 3, "out": 0}}}).lines["gate"].into
    3
    """
    lines, zones, flows = (today.get(key, {}) for key in ("lines", "zones", "flows"))
    none = {"in": 0, "out": 0}
    return replace(
        counts,
        lines={name: LineCount({"": {**none, **lines.get(name, none)}}) for name in counts.lines},
        zones={
            name: replace(
                zone,
                entered=int(zones.get(name, {}).get("entered", 0)),
                left=int(zones.get(name, {}).get("left", 0)),
            )
            for name, zone in counts.zones.items()
        },
        flows={name: replace(flow, by_class={"": int(flows.get(name, 0))}) for name, flow in counts.flows.items()},
    )

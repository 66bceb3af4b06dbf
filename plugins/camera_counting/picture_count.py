"""The count of one picture: what was detected in it, and in which zones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from camera_counting.detections import Detections

if TYPE_CHECKING:
    from camera_counting.scene import Scene

__all__ = ["PictureCount", "count_in_zones", "count_picture"]


@dataclass(frozen=True, slots=True, eq=False)
class PictureCount:
    """What was counted in one picture.

    Parameters
    ----------
    counts : dict of str to int
        Objects per class, zeros included, for every class that was asked for.
    zones : dict of str to dict of str to int
        The same per zone: an object is in a zone where its anchor, by default the middle of its box's lower edge,
        is. Empty without a scene.
    detections : Detections
        The boxes, in pixels of the picture.
    width, height : int
        Size of the picture, upright.
    """

    counts: dict[str, int]
    zones: dict[str, dict[str, int]]
    detections: Detections
    width: int
    height: int

    @property
    def total(self) -> int:
        """Objects of all classes together."""
        return len(self.detections)

    def to_dict(self) -> dict[str, Any]:
        """As JSON: what `camera-counting count` writes for a picture and what the scoring server answers."""
        seen = self.detections
        return {
            "counts": dict(self.counts),
            "total": self.total,
            "zones": {name: dict(counts) for name, counts in self.zones.items()},
            "detections": [
                {
                    "class": seen.names[class_id],
                    "confidence": round(float(score), 4),
                    "box": [round(float(edge), 1) for edge in box],
                }
                for box, score, class_id in zip(seen.boxes, seen.scores, seen.class_ids, strict=True)
            ],
            "width": self.width,
            "height": self.height,
        }


def count_picture(
    detections: Detections, width: int, height: int, scene: Scene | None, classes: tuple[str, ...] | None
) -> PictureCount:
    """The count of a picture of this size, of the named classes alone; see `count_in_zones` for errors."""
    seen = detections.of_classes(classes)
    counts = seen.counts()
    if classes is not None:
        counts = {name: counts[name] for name in classes}
    zones = count_in_zones(seen, scene, width, height, tuple(counts)) if scene is not None else {}
    return PictureCount(counts, zones, seen, width, height)


def count_in_zones(
    detections: Detections, scene: Scene, width: int, height: int, classes: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Objects per zone and class in a picture of this size; an anchor on a zone's border is in it.

    Raises
    ------
    SceneError
        Where a zone lies outside the picture.
    """
    from camera_counting.counting.sightings import anchors
    from camera_counting.geometry import inside

    found: dict[str, dict[str, int]] = {}
    for zone in scene.for_size(width, height).zones:
        points = anchors(np.asarray(detections.boxes, np.float64), zone.anchor)
        counts = detections.take(inside(np.asarray(zone.polygon, np.float64), points)).counts()
        found[zone.name] = {
            name: counts.get(name, 0) for name in classes if zone.classes is None or name in zone.classes
        }
    return found

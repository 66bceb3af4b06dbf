"""What a model counts in a clip, as far as it can be held against a truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from counting_evaluator.config import ClipTruth

if TYPE_CHECKING:
    from camera_counting.model import CountingModel

__all__ = ["ClipCount", "count_clip"]


@dataclass(frozen=True, slots=True)
class ClipCount:
    """The count of one clip.

    Parameters
    ----------
    lines : mapping
        As in the JSON of ``camera-counting count``.
    times : mapping of (line, direction, class) to tuple of float
        Seconds of each crossing.
    occupancy : mapping of zone to tuple of int
        How many were known to be inside after each frame.
    frames : int
        How many were counted.
    seconds : float
        How long they last.
    """

    lines: Mapping[str, Any]
    times: Mapping[tuple[str, str, str], tuple[float, ...]] = field(default_factory=dict)
    occupancy: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    frames: int = 0
    seconds: float = 0.0


def count_clip(model: CountingModel, clip: ClipTruth, confidence: float | None) -> ClipCount:
    """Count a clip at the lines and zones of its scene, as `camera-counting count` would."""
    from camera_counting.counting import FrameCount
    from camera_counting.scene import Scene

    scene = Scene.load(clip.scene)
    inside: dict[str, list[int]] = {zone.name: [] for zone in scene.zones}

    def note(frame: FrameCount) -> None:
        if inside:
            for name, zone in frame.counts.zones.items():
                inside[name].append(zone.occupancy)

    counted = model.count_video(clip.video, scene, confidence=confidence, on_frame=note)
    times: dict[tuple[str, str, str], list[float]] = {}
    for event in counted.events:
        if event.kind == "crossing":
            times.setdefault((event.name, event.direction, event.class_name), []).append(event.seconds)
    return ClipCount(
        counted.to_dict()["lines"],
        {key: tuple(seconds) for key, seconds in times.items()},
        {name: tuple(numbers) for name, numbers in inside.items()},
        counted.frames,
        counted.seconds,
    )

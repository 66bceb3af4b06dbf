"""`camera-counting count --detections`: counting on published detections, without a video and without a model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from camera_counting.cli.calendar import Calendar
from camera_counting.errors import CountingError
from camera_counting.mot import read_mot_detections
from camera_counting.scene import Scene
from camera_counting.video.address import redacted

__all__ = ["Recorded", "count_recorded"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the command line says of published detections.

    Raises
    ------
    click.UsageError
        In `checked`, where options are missing, make no sense, or belong to another way of counting.
    """

    file: Path | None
    size: str | None
    labels: str | None

    def checked(self, source: str | None, model: str | None, video: Path | None, fps: float | None) -> bool:
        """Whether detections are to be counted; refuses options that do not go together."""
        if self.file is None:
            for name, value in (("--size", self.size), ("--labels", self.labels)):
                if value is not None:
                    raise click.UsageError(
                        f"{name} says something of published detections: give --detections FILE, too"
                    )
            if source is None:
                raise click.UsageError("expected a clip, a picture or a folder to count on, or --detections FILE")
            if model is None:
                raise click.UsageError(
                    f"--model URI is missing: it says what to count with on {redacted(source)}; --detections "
                    "needs none"
                )
            return False
        for name, given, why in (
            (redacted(str(source)), source, "is a clip or pictures"),
            ("--model", model, "detects"),
            ("--video", video, "needs a clip"),
        ):
            if given is not None:
                raise click.UsageError(
                    f"{name} {why}, and --detections {self.file} holds what was detected: leave one out"
                )
        if self.size is None or fps is None:
            missing = " and ".join(
                n for n, v in (("--size WIDTHxHEIGHT", self.size), ("--fps RATE", fps)) if v is None
            )
            raise click.UsageError(f"--detections needs {missing}: of the clip in which they were made")
        return True

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        match = re.fullmatch(r"\s*(\d{1,6})\s*[xX]\s*(\d{1,6})\s*", self.size or "")
        if match is None or not int(match[1]) * int(match[2]):
            raise click.UsageError(f"--size {self.size}: expected WIDTHxHEIGHT in pixels, such as 640x480")
        return int(match[1]), int(match[2])

    @property
    def names(self) -> list[str] | None:
        """The labels in order."""
        if self.labels is None:
            return None
        names = [name.strip() for name in self.labels.split(",")]
        if not all(names) or len(set(names)) < len(names):
            raise click.UsageError(
                f"--labels {self.labels}: expected names with commas between, each of them once"
            )
        return names


def count_recorded(
    recorded: Recorded,
    fps: float,
    scene: Scene | None,
    confidence: float | None,
    classes: list[str] | None,
    calendar: Calendar | None = None,
) -> dict[str, Any]:
    """Count the detections of a file; tells the same as for a clip."""
    from camera_counting.counting import count_detections

    if recorded.file is None:
        raise ValueError("expected a file of detections")
    if scene is None:
        raise click.UsageError("--detections needs --scene FILE: the lines and zones to count at")
    size, names = recorded.frame_size, recorded.names
    held = read_mot_detections(recorded.file, fps, names)
    if classes is not None and (unknown := [name for name in classes if name not in held.names]):
        raise CountingError(
            f"--classes: expected some of {', '.join(held.names)}, which {recorded.file} has, "
            f"got {', '.join(unknown)}"
        )
    settings: dict[str, Any] = {} if confidence is None else {"confidence": confidence}
    counted = count_detections(
        held, held.names, scene, size, classes=classes, source=recorded.file.name, **settings
    )
    told = counted.to_dict() if calendar is None else calendar.told(counted)
    return {**told, "fps": fps, "seconds": round(counted.frames / fps, 3)}

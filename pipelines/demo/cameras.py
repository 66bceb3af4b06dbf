"""What the demo's cameras see: an ordinary fortnight, three more ordinary days, then three of night and rain."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import cv2

from pipelines.datasets.generator import PRESETS
from pipelines.datasets.generator.pictures import GeneratedPicture, Mixture, generate_pictures

__all__ = ["WINDOWS", "Shot", "Window", "shots"]

_CAMERAS = (0, 1)
_A_DAY = 24  # pictures of both cameras together


@dataclass(frozen=True, slots=True)
class Window:
    """A span of days and the light and weather in it."""

    start: datetime
    days: int
    mixture: Mixture
    seed: int

    @property
    def end(self) -> datetime:
        return self.start + timedelta(days=self.days)

    @property
    def pictures(self) -> int:
        return self.days * _A_DAY


_FIRST = datetime(2026, 4, 1, tzinfo=UTC)
_ORDINARY = Mixture()
_NIGHT_AND_RAIN = Mixture(day=0.1, dusk=0.2, night=0.7, clear=0.2, rain=0.6, fog=0.2)

WINDOWS = {
    "reference": Window(_FIRST, 14, _ORDINARY, 101),
    "ordinary": Window(_FIRST + timedelta(days=14), 3, _ORDINARY, 102),
    "shifted": Window(_FIRST + timedelta(days=17), 3, _NIGHT_AND_RAIN, 103),
}


@dataclass(frozen=True, slots=True)
class Shot:
    """One counting request: a JPEG, its camera and its time."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("image", "camera_id", "timestamp")

    jpeg: bytes
    camera: str
    time: datetime

    def row(self) -> list[Any]:
        """As a row of `dataframe_split`."""
        return [base64.b64encode(self.jpeg).decode(), self.camera, self.time.isoformat()]


def shots() -> Iterator[Shot]:
    """Every picture of every window, in the order of time within each."""
    for window in WINDOWS.values():
        pictures = generate_pictures(
            window.pictures,
            cameras=_CAMERAS,
            seed=window.seed,
            days=window.days,
            density=PRESETS["easy"],
            mixture=window.mixture,
        )
        first = None
        for picture in pictures:
            first = first or picture.time.replace(hour=0, minute=0, second=0, microsecond=0)
            yield Shot(_jpeg(picture), picture.camera, window.start + (picture.time - first))


def _jpeg(picture: GeneratedPicture) -> bytes:
    done, encoded = cv2.imencode(".jpg", picture.image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    if not done:
        raise RuntimeError("OpenCV could not encode a JPEG")
    return encoded.tobytes()

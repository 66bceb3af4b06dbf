"""What work may be left out while a clip or a camera is counted, and which frame needs which work.

Three savings, each of them off in `Economy.exact`: no detection while nothing moves (`motion_gate`), only as many
detections as the motion needs (`stride`), and no detection where no line and no zone can see it (`visible_part`).
Whatever is chosen depends on the frames and the tracks alone, never on how fast the machine happens to be.
"""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from camera_counting.counting.motion_gate import MotionGate
from camera_counting.counting.stride import Stride
from camera_counting.counting.visible_part import Part, visible_part
from camera_counting.scene import Scene
from camera_counting.tracking.base import Tracks

__all__ = ["Choice", "Economy", "FrameChoice"]

Choice = Literal["detect", "repeat", "skip"]


class Economy(BaseModel):
    """Which work may be left out.

    Examples
    --------
    >>> Economy.exact().gate, Economy.default().gate, Economy.fast().region
    (False, True, True)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: bool = Field(default=True, description="Whether frames in which nothing has moved are detected no more.")
    stride: bool = Field(default=True, description="Whether frames are left out that the motion does not need.")
    region: bool = Field(
        default=False,
        description="Whether only what lines and zones can see is looked at; objects elsewhere are then not seen.",
    )
    most_seconds: float = Field(
        default=0.125, gt=0, le=1, description="Longest time between two detections while something moves."
    )
    calm_seconds: float = Field(
        default=0.23,
        ge=0,
        le=1,
        description="The same while only what is known moves, and slowly; it leaves out one frame at most.",
    )
    reach: float = Field(
        default=0.6,
        gt=0,
        le=2,
        description="How far an object may move between two detections, as a part of its own size.",
    )
    doubt_seconds: float = Field(
        default=0.3,
        ge=0,
        le=2,
        description="How long every frame is looked at for an object that is not certain yet or was missed.",
    )
    rest_seconds: float = Field(
        default=2.0, gt=0, le=60, description="Longest time without a detection while nothing moves."
    )

    @classmethod
    def exact(cls) -> Self:
        """Nothing is left out: every frame is detected."""
        return cls(gate=False, stride=False, region=False)

    @classmethod
    def default(cls) -> Self:
        """Everything that loses no count."""
        return cls()

    @classmethod
    def fast(cls) -> Self:
        """All of it, where a count that is a little less sure is worth the time saved."""
        return cls(region=True, most_seconds=0.2, reach=0.9, doubt_seconds=0.0, rest_seconds=5.0)


class FrameChoice:
    """Which work the next frame of one camera needs.

    Parameters
    ----------
    economy : Economy
    scene : Scene or None
        In any units; fitted to the frames.
    size : (width, height)
        Of the frames, in pixels.

    Examples
    --------
    >>> choice = FrameChoice(Economy.default(), None, (64, 48))
    >>> still = np.full((48, 64, 3), 90, np.uint8)
    >>> [choice.choose(still, seconds) for seconds in (0.0, 0.05, 0.2)]
    ['detect', 'skip', 'repeat']
    """

    def __init__(self, economy: Economy, scene: Scene | None, size: tuple[int, int]) -> None:
        self.economy, self.size = economy, size
        self.part: Part | None = None
        if economy.region and scene is not None:
            self.part = visible_part(scene.for_size(*size), size)
        self._gate = MotionGate(size, self.part) if economy.gate else None
        self._stride = (
            Stride(economy.most_seconds, economy.reach, economy.doubt_seconds) if economy.stride else None
        )
        self._before: float | None = None
        self._looked = self._detected = 0.0

    def choose(self, image: npt.NDArray[np.uint8], seconds: float) -> Choice:
        """What to do with a frame; call it once for each, in the order of time.

        Parameters
        ----------
        image : uint8 array of shape (H, W, 3)
            RGB.
        seconds : float
            Time of the frame.

        Returns
        -------
        "detect", "repeat" or "skip"
            To detect in it; to feed what was detected last once more, at its time, for nothing has moved since; or
            to feed nothing, for what moves does not need it yet.
        """
        before, self._before = self._before, seconds
        if image.shape[:2] != (self.size[1], self.size[0]):
            # frames of another size cannot be compared with this camera's
            self._looked = self._detected = seconds
            if self._gate is not None:
                self._gate.forget()
            return "detect"
        if before is None or seconds <= before:
            return self._detect(image, seconds)
        if self._stride is not None and seconds - self._looked + (seconds - before) / 2 < self._stride.interval():
            return "skip"
        if self._gate is None or seconds - self._detected >= self.economy.rest_seconds:
            return self._detect(image, seconds)
        known = self._calm(before, seconds)
        moved = self._gate.moved(image, known)
        if moved == "nothing":
            self._looked = seconds
            return "repeat"
        return "skip" if moved == "known" else self._detect(image, seconds, compared=True)

    def detected_instead(self, image: npt.NDArray[np.uint8], seconds: float) -> None:
        """A newer frame is detected in place of the one that was to be: what `choose` need not be asked about."""
        self._before = seconds
        self._detect(image, seconds)

    def missed(self) -> None:
        """The frame that was to be detected is not: the next one is in any case."""
        self._before = None

    def seen(self, tracks: Tracks, seconds: float) -> None:
        """Take in the tracks of a frame that was detected or repeated, in pixels of frames of this size."""
        if self._stride is not None:
            self._stride.seen(tracks, seconds)

    def _calm(self, before: float, seconds: float) -> npt.NDArray[np.float64] | None:
        """What may move in this frame without a look at it; None where nothing may.

        For cameras with few frames a second, which the stride alone would look at in every one of them. What is
        not known yet is still met in the first frame in which it shows.
        """
        if self._stride is None or self._looked != before:
            return None
        until_next = 2 * seconds - before - self._detected
        allowed = min(self.economy.calm_seconds, self._stride.pace())
        return self._stride.boxes() if until_next <= allowed else None

    def _detect(self, image: npt.NDArray[np.uint8], seconds: float, *, compared: bool = False) -> Choice:
        self._looked = self._detected = seconds
        if self._gate is not None and compared:
            self._gate.remember_compared()
        elif self._gate is not None:
            self._gate.remember(image)
        return "detect"

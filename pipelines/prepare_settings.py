"""The settings of the prepare step, which are also its command line."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pipelines.datasets.generator.pictures import Mixture
from pipelines.datasets.readers import READERS
from pipelines.settings import StepSettings

__all__ = ["PrepareSettings"]


class PrepareSettings(StepSettings):
    """Where the data comes from, what is done with it, and where it goes."""

    source: str = Field("generated", description="'generated', or the folder or file that the format starts from")
    format: str = Field("generated", description=f"one of {', '.join(READERS)}")
    out: Path = Field(Path("data/prepared"), description="folder of the prepared data set")
    name: str = Field("cameras", pattern=r"^[\w.-]+$", description="name of the data set")
    store: str | None = Field(
        None, description="content-addressed store: folder or s3://bucket/prefix; beside `out` if not given"
    )
    classes: tuple[str, ...] = Field((), description="classes to keep, in order; empty: all of the source's")
    on_invalid: Literal["fail", "drop"] = Field("fail", description="what follows a finding of the validation")

    pictures: int = Field(320, gt=0, description="generated: how many pictures")
    cameras: int = Field(3, gt=0, description="generated: how many cameras")
    width: int = Field(320, ge=64, description="generated: width of the pictures, pixels")
    height: int = Field(240, ge=64, description="generated: height of the pictures, pixels")
    seed: int = Field(0, ge=0, description="generated: of all that happens")
    town: int = Field(0, ge=0, description="generated: which cameras")
    days: int = Field(14, gt=0, description="generated: over how many days the pictures are spread")
    density: Literal["easy", "street", "crowded"] = Field("easy", description="generated: how much is going on")
    mixture: Mixture = Field(Mixture(), description="generated: how often each light and weather occurs")
    clips: int = Field(2, ge=0, description="generated: how many test clips")
    clip_seconds: float = Field(15.0, gt=0, description="generated: length of a clip")
    clip_fps: float = Field(10.0, gt=0, description="generated: frames per second")
    clip_width: int = Field(320, ge=64, multiple_of=2, description="generated: width of the clips, pixels")
    clip_height: int = Field(240, ge=64, multiple_of=2, description="generated: height of the clips, pixels")
    clip_crossings: int = Field(6, ge=0, description="generated: fewest crossings of a clip")

    every: int = Field(1, ge=1, description="mot, video: take every n-th frame")
    unlabelled: Literal["background", "finding"] = Field(
        "background", description="yolo: what a picture without a label file is"
    )

    split: Literal["auto", "time", "given"] = Field(
        "auto", description="by camera and time, or as the source has it; auto: as the source has it, where it has"
    )
    val: float = Field(0.15, ge=0, lt=1, description="share of each camera's blocks of time for validation, or 0")
    test: float = Field(0.15, ge=0, lt=1, description="share of each camera's last blocks for the test, or 0")
    holdout_cameras: tuple[str, ...] = Field((), description="cameras that are in the test alone")
    block_minutes: float = Field(60.0, gt=0, description="pictures of a camera nearer in time are never parted")

    @property
    def store_uri(self) -> str:
        """Where the data set is kept: an absolute path, or a URI."""
        if self.store is not None and "://" in self.store:
            return self.store
        return str(Path(self.store).resolve() if self.store else self.out.resolve().parent / "store")

    @property
    def generates(self) -> bool:
        """Whether these settings alone say what to generate."""
        return self.format == "generated" and self.source == "generated"

    @property
    def origin(self) -> str:
        """Where the pictures come from, in one word for the manifest."""
        if self.source == "generated":
            return f"generated:seed={self.seed},town={self.town}"
        return f"{self.format}:{self.source}"

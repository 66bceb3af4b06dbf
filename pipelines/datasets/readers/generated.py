"""Generated scenes as a data set: a recipe goes in, pictures with exact labels come out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, Literal

import cv2
import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.datasets.errors import UnreadableSourceError
from pipelines.datasets.generator import PRESETS, Density, generate_pictures
from pipelines.datasets.generator.pictures import Mixture
from pipelines.datasets.readers.base import DatasetReader
from pipelines.datasets.records import Reading, Record

__all__ = ["GeneratedReader", "GeneratedRecipe"]


class GeneratedRecipe(BaseModel):
    """What to generate; as YAML or JSON in a file, or built in code.

    Parameters
    ----------
    pictures : int
    cameras : int
        How many different ones take turns.
    width, height : int
        Pixels.
    seed : int
        Of what happens; the same recipe gives the same bytes.
    town : int
        Of the places: other numbers are other cameras.
    days : int
        Over which the pictures are spread.
    density : str or Density
        A preset (easy, street, crowded) or the knobs.
    mixture : Mixture
        How often each light and weather occurs.
    classes : tuple of str
        Of person, car, truck, bus.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pictures: int = Field(default=240, gt=0)
    cameras: int = Field(default=3, gt=0, le=1000)
    width: int = Field(default=320, ge=64, le=4096)
    height: int = Field(default=240, ge=64, le=4096)
    seed: int = Field(default=0, ge=0)
    town: int = Field(default=0, ge=0)
    days: int = Field(default=14, gt=0)
    density: Literal["easy", "street", "crowded"] | Density = "easy"
    mixture: Mixture = Mixture()
    classes: tuple[Literal["person", "car", "truck", "bus"], ...] = ("person", "car", "truck")

    @property
    def knobs(self) -> Density:
        """The density's numbers."""
        return PRESETS[self.density] if isinstance(self.density, str) else self.density


class GeneratedReader(DatasetReader):
    """Reads a recipe file (YAML or JSON of `GeneratedRecipe`), or takes a recipe."""

    format: ClassVar[str] = "generated"

    def inputs(self, source: Path) -> Iterable[Path]:
        return [source]

    def read(self, source: Path, workspace: Path, on_picture: Callable[[], None] | None = None) -> Reading:
        try:
            content = yaml.safe_load(source.read_text(encoding="utf-8")) or {}
            recipe = GeneratedRecipe.model_validate(content)
        except (OSError, yaml.YAMLError, json.JSONDecodeError, ValidationError) as error:
            raise UnreadableSourceError(f"expected a recipe of generated scenes in {source}: {error}") from error
        return self.generate(recipe, workspace, on_picture)

    def generate(
        self, recipe: GeneratedRecipe, workspace: Path, on_picture: Callable[[], None] | None = None
    ) -> Reading:
        """Draw what a recipe asks for; the pictures lie in `workspace` afterwards, as JPEG."""
        records = []
        pictures = generate_pictures(
            recipe.pictures,
            cameras=range(recipe.cameras),
            width=recipe.width,
            height=recipe.height,
            seed=recipe.seed,
            town=recipe.town,
            days=recipe.days,
            density=recipe.knobs,
            mixture=recipe.mixture,
            classes=recipe.classes,
        )
        for index, shot in enumerate(pictures):
            name = f"{shot.camera}_{shot.time:%Y%m%dT%H%M%SZ}_{index:05d}.jpg"
            path = workspace / name
            ok, coded = cv2.imencode(".jpg", shot.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
            if not ok:
                raise OSError(f"expected to encode {name} as JPEG; the encoder refused")
            path.write_bytes(coded.tobytes())
            records.append(
                Record(
                    name=name,
                    path=path,
                    boxes=shot.boxes.astype(np.float64),
                    labels=shot.labels,
                    camera=shot.camera,
                    time=shot.time,
                    tags=dict(shot.tags),
                    size=(recipe.width, recipe.height),
                )
            )
            if on_picture is not None:
                on_picture()
        return Reading(tuple(records), tuple(recipe.classes))

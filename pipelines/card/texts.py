"""What only people can say of a model: what it is for, its limits, and how the people it sees are treated."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from camera_counting.scene_text import read_yaml

__all__ = ["CameraStatement", "CardTexts", "DataSource", "Privacy", "card_schema", "load_texts"]

Words = Annotated[str, Field(min_length=3)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class DataSource(_Strict):
    """Where data came from, and what may be done with them."""

    origin: Words = Field(
        description="Shell pattern of the origin that `prepare` recorded, such as `coco:*street*`."
    )
    licence: Words = Field(description="Licence of the pictures and labels, or on what footing they are used.")
    description: str = Field("", description="What they are.")


class CameraStatement(_Strict):
    """How the people that a camera sees are treated."""

    camera: str = Field(min_length=1, description="Name of the camera, or a shell pattern of names.")
    origin: str = Field("*", description="Only for data of such an origin (shell pattern).")
    statement: Words = Field(description="What is filmed, why, what is kept, and for how long.")
    legal_basis: str = Field("", description="Article 6 GDPR, or what holds where the camera hangs.")

    @field_validator("camera")
    @classmethod
    def _names_some(cls, camera: str) -> str:
        if not camera.strip("*?"):
            raise ValueError("a statement for whatever camera there may ever be states nothing; name them")
        return camera


class Privacy(_Strict):
    """What holds for all cameras."""

    statement: Words = Field(description="Which personal data are processed, which are stored, and which never.")
    controller: str = Field("", description="Who answers for it.")
    legal_basis: str = Field("", description="Article 6 GDPR, or the law of the place.")
    retention: str = Field("", description="What is kept for how long.")
    rights: str = Field("", description="How somebody who was filmed asks, objects, or has data deleted.")


class CardTexts(_Strict):
    """The file of texts; what is left out is told as not recorded."""

    format_version: Literal[1] = Field(description="Version of this file's format.")
    purpose: str = Field("", description="What the model is for, in a few sentences.")
    intended_use: tuple[Words, ...] = Field((), description="Uses that it was made and measured for.")
    excluded_use: tuple[Words, ...] = Field((), description="Uses that it must not be put to.")
    limits: tuple[Words, ...] = Field((), description="What is known to go wrong.")
    model_licence: str = Field("", description="Licence of the weights.")
    contact: str = Field("", description="Whom to ask.")
    privacy: Privacy | None = Field(None, description="What holds for all cameras.")
    data_sources: tuple[DataSource, ...] = Field(
        (), description="Licences of the data; the first that fits holds."
    )
    cameras: tuple[CameraStatement, ...] = Field((), description="One for each camera; the first that fits holds.")

    def source_of(self, origin: str) -> DataSource | None:
        """What is said of data of an origin."""
        return next((each for each in self.data_sources if fnmatchcase(origin, each.origin)), None)

    def statement_of(self, camera: str, origin: str) -> CameraStatement | None:
        """What is said of a camera, in data of an origin; an exact name goes before a pattern."""
        fits = [
            each
            for each in self.cameras
            if fnmatchcase(origin, each.origin) and (each.camera == camera or fnmatchcase(camera, each.camera))
        ]
        return next((each for each in fits if each.camera == camera), fits[0] if fits else None)


def load_texts(path: Path) -> CardTexts:
    """Read the file of texts.

    Raises
    ------
    ValueError
        Where it is no YAML, holds a key twice, or says something that no card shows; names file, key and reason.
    OSError
        Where it cannot be read.
    """
    try:
        content = read_yaml(path.read_text(encoding="utf-8"), f"the texts of the model card {path}")
    except UnicodeDecodeError as error:
        raise ValueError(f"the texts of the model card {path}: no valid YAML: {error}") from error
    try:
        return CardTexts.model_validate(content)
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or '(whole file)'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        )
        raise ValueError(f"the texts of the model card {path} cannot be used: {reasons}") from error


def card_schema() -> dict[str, Any]:
    """JSON schema of the file, every key explained; shipped as ``model_card.schema.json`` beside this module."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **CardTexts.model_json_schema()}


if __name__ == "__main__":
    text = json.dumps(card_schema(), indent=2) + "\n"
    Path(__file__).with_name("model_card.schema.json").write_text(text, encoding="utf-8")

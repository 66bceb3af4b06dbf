"""What a search may try, a file of its own: architectures, settings of the training, options of each trainer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from optuna.trial import BaseTrial
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from camera_counting.errors import SceneError
from camera_counting.scene_text import read_yaml
from pipelines.trainers import TRAINERS

__all__ = ["DEFAULT_SPACE", "Architecture", "Proposal", "SearchError", "SearchSpace", "load_space", "space_schema"]

DEFAULT_SPACE = Path(__file__).with_name("default_space.yaml")

# A space of more combinations than this is never exhausted.
_LISTED = 5000


class SearchError(ValueError):
    """A search that cannot begin or go on; says what to do."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Choice(_Part):
    """One of some values."""

    choices: tuple[bool | int | float | str, ...] = Field(min_length=1, description="The values, each once.")

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.choices)) < len(self.choices):
            raise ValueError(f"expected each value once, got {', '.join(map(str, self.choices))}")
        return self

    def suggest(self, trial: BaseTrial, name: str) -> Any:
        """The trial's value."""
        return trial.suggest_categorical(name, self.choices)

    def values(self) -> Sequence[Any] | None:
        """All of them."""
        return self.choices


class Range(_Part):
    """A number between two, both included."""

    low: int | float
    high: int | float
    log: bool = Field(False, description="Whether steps are factors: right for learning rates.")
    step: int | float | None = Field(None, gt=0, description="Only low, low + step, low + 2 step ...")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"expected low below high, got {self.low} and {self.high}")
        if self.log and (self.step is not None or self.low <= 0):
            raise ValueError("expected a logarithmic range to begin above 0 and to have no step")
        return self

    def suggest(self, trial: BaseTrial, name: str) -> Any:
        """The trial's value: whole where the bounds (and the step) are."""
        if all(isinstance(each, int) for each in (self.low, self.high, self.step or 1)):
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def values(self) -> Sequence[Any] | None:
        """All of them where they are whole numbers; None where they are too many to tell."""
        if not all(isinstance(each, int) for each in (self.low, self.high, self.step or 1)):
            return None
        return range(int(self.low), int(self.high) + 1, int(self.step or 1))


def _kind(value: Any) -> str:
    return "choice" if isinstance(value, Choice) or (isinstance(value, dict) and "choices" in value) else "range"


Values = Annotated[Annotated[Choice, Tag("choice")] | Annotated[Range, Tag("range")], Discriminator(_kind)]


class Architecture(_Part):
    """A trainer and one of its networks."""

    trainer: str = Field(description="A trainer's name: ultralytics, torchvision.")
    model: str = Field(description="A network, in the trainer's words: yolo11n.yaml.")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.trainer not in TRAINERS:
            raise ValueError(f"expected a trainer out of {', '.join(TRAINERS)}, got {self.trainer!r}")
        return self

    @property
    def name(self) -> str:
        """As trials and plots call it."""
        return f"{self.trainer} {self.model}"


class Settings(_Part):
    """Settings of every training."""

    image_size: Values = Field(description="Longer side of the input, in pixels; multiples of 32.")
    batch: Values = Field(Choice(choices=(8,)), description="Pictures per step.")


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one trial trains."""

    architecture: Architecture
    image_size: int
    batch: int
    options: dict[str, Any]

    def settings(self) -> dict[str, Any]:
        """As `TrainSettings` takes it."""
        return {
            "trainer": self.architecture.trainer,
            "model": self.architecture.model,
            "image_size": self.image_size,
            "batch": self.batch,
            "options": self.options,
        }


class SearchSpace(_Part):
    """All that a search may try."""

    format_version: Literal[1] = 1
    architectures: tuple[Architecture, ...] = Field(min_length=1, description="The networks that compete.")
    settings: Settings = Field(description="Of every training, whatever its trainer.")
    options: dict[str, dict[str, Values]] = Field({}, description="By trainer: its own options, by its own names.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [each.name for each in self.architectures]
        if len(set(names)) < len(names):
            raise ValueError(f"expected each architecture once, got {', '.join(names)}")
        unused = sorted(set(self.options) - {each.trainer for each in self.architectures})
        if unused:
            raise ValueError(f"expected options of trainers that are searched, got some of {', '.join(unused)}")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of what the file says, whatever its layout."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()

    def propose(self, trial: BaseTrial) -> Proposal:
        """What this trial trains; asked again, the same."""
        by_name = {each.name: each for each in self.architectures}
        architecture = by_name[str(trial.suggest_categorical("architecture", list(by_name)))]
        image_size = int(self.settings.image_size.suggest(trial, "image_size"))
        batch = int(self.settings.batch.suggest(trial, "batch"))
        options: Mapping[str, Choice | Range] = self.options.get(architecture.trainer, {})
        # Named by trainer: a learning rate of one says nothing about that of another.
        chosen = {
            name: values.suggest(trial, f"{architecture.trainer}.{name}") for name, values in options.items()
        }
        return Proposal(architecture, image_size, batch, chosen)

    def combinations(self) -> list[dict[str, Any]] | None:
        """Everything that trials may try, by parameter; None where it cannot be listed."""
        found: list[dict[str, Any]] = []
        for architecture in self.architectures:
            own: dict[str, Choice | Range] = {"image_size": self.settings.image_size, "batch": self.settings.batch}
            options = self.options.get(architecture.trainer, {})
            own |= {f"{architecture.trainer}.{name}": each for name, each in options.items()}
            listed = {name: each.values() for name, each in own.items()}
            if any(values is None for values in listed.values()):
                return None
            if len(found) + prod(len(values or ()) for values in listed.values()) > _LISTED:
                return None
            for drawn in product(*(values or () for values in listed.values())):
                found.append({"architecture": architecture.name, **dict(zip(listed, drawn, strict=True))})
        return found


def load_space(path: Path) -> SearchSpace:
    """Read a search space from YAML or JSON.

    Raises
    ------
    SearchError
        Names the file, the key and what is wrong with it.
    """
    try:
        content = read_yaml(path.read_text(encoding="utf-8"), "the file")
    except (OSError, UnicodeDecodeError, SceneError) as error:
        raise SearchError(f"expected a search space in {path}, it cannot be read: {error}") from error
    try:
        return SearchSpace.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors()
        )
        raise SearchError(f"{path} is no search space: {wrong}") from error


def space_schema() -> dict[str, Any]:
    """The JSON schema of such a file, as `search_space.schema.json` beside this module holds it."""
    return SearchSpace.model_json_schema()

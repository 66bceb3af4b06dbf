"""The recipe of a model CI run: settings of the steps, the policy, and what to watch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from camera_counting.scene_text import read_yaml
from pipelines.prepare import PrepareSettings
from pipelines.train import TrainSettings

__all__ = ["Recipe", "Watch", "load_recipe"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Watch(_Strict):
    """Shell patterns of files, relative to the checkout; ``**`` stands for any folders."""

    code: tuple[str, ...] = Field(min_length=1, description="What makes models.")
    configuration: tuple[str, ...] = Field(min_length=1, description="What decides how.")


class Recipe(_Strict):
    """What to run."""

    format_version: Literal[1] = Field(description="Version of this file's format.")
    name: str = Field("model-ci", description="Name of the registered model, in a registry of its own.")
    policy: Path = Field(description="Policy file, relative to the recipe.")
    texts: Path = Field(description="Texts of the model card, relative to the recipe.")
    prepare: dict[str, Any] = Field({}, description="Settings of the prepare step.")
    train: dict[str, Any] = Field({}, description="Settings of the train step.")
    watch: Watch = Field(description="What is looked at to tell whether anything changed.")

    def prepare_settings(self, folder: Path) -> PrepareSettings:
        """Settings of the prepare step, into a folder."""
        return PrepareSettings.model_validate({**self.prepare, "out": folder})

    def train_settings(self, data: Path, work: Path) -> TrainSettings:
        """Settings of the train step, on data and in a folder."""
        return TrainSettings.model_validate({**self.train, "data": data, "work": work})


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; the paths in it are then absolute.

    Raises
    ------
    ValueError
        Where it is no YAML, holds a key twice, or one that no step knows; names file, key and reason.
    OSError
        Where it cannot be read.
    """
    try:
        content = read_yaml(path.read_text(encoding="utf-8"), f"the recipe {path}")
        recipe = Recipe.model_validate(content)
        # Now, and not when the data have been drawn.
        recipe.prepare_settings(Path("data"))
        recipe.train_settings(Path("data"), Path("training"))
    except UnicodeDecodeError as error:
        raise ValueError(f"the recipe {path}: no valid YAML: {error}") from error
    except ValidationError as error:
        reasons = "; ".join(
            f"{error.title}: {'.'.join(map(str, fault['loc'])) or '(whole file)'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ValueError(f"the recipe {path} cannot be used: {reasons}") from error
    beside = path.resolve().parent
    return recipe.model_copy(update={"policy": beside / recipe.policy, "texts": beside / recipe.texts})

"""A tiny prepared data set for tests that need one: generated once, in a few seconds, the same every time."""

from __future__ import annotations

from pathlib import Path

from pipelines.datasets.clip_series import ClipRecipe, draw_clips
from pipelines.datasets.generator.pictures import Mixture
from pipelines.datasets.layout import write_dataset
from pipelines.datasets.manifest import PreparedDataset, load_dataset
from pipelines.datasets.profile import reference_profile
from pipelines.datasets.readers import GeneratedReader, GeneratedRecipe
from pipelines.datasets.splits import SplitRule, split_by_camera_and_time

__all__ = ["make_tiny_dataset"]


def make_tiny_dataset(
    folder: Path, *, pictures: int = 24, clips: int = 2, clip_seconds: float = 3.0, seed: int = 5
) -> PreparedDataset:
    """Generate, split and write a data set into `folder`; without MLflow, store or validation.

    Pictures of 160x120 from 2 cameras in clear daylight, clips of 160x120 at 10 frames a second with at least one
    crossing each; splits train, val and test; the reference profile.
    """
    workspace = folder.with_name(f"{folder.name}-source")
    workspace.mkdir(parents=True, exist_ok=True)
    recipe = GeneratedRecipe(
        pictures=pictures,
        cameras=2,
        width=160,
        height=120,
        seed=seed,
        mixture=Mixture(dusk=0, night=0, rain=0, fog=0),
    )
    reading = GeneratedReader().generate(recipe, workspace)
    plan = ClipRecipe(
        count=clips,
        cameras=2,
        seconds=clip_seconds,
        fps=10,
        width=160,
        height=120,
        seed=seed,
        town=0,
        density="easy",
        crossings=1,
        every_line=False,
        classes=reading.classes,
    )
    made = draw_clips(plan, workspace / "clips")
    splits = split_by_camera_and_time(reading.records, SplitRule(val=0.2, test=0.2))
    write_dataset(
        folder, name="tiny", source=f"generated:seed={seed}", classes=reading.classes, splits=splits, clips=made
    )
    dataset = load_dataset(folder)
    profile = reference_profile(dataset.samples("train"), dataset.classes)
    profile.to_parquet(folder / "reference_profile.parquet", index=False)
    return dataset

"""A series of generated test clips: cameras in turn, clear days, each with something to count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.datasets.generator import PRESETS
from pipelines.datasets.generator.clips import ClipPlan, plan_clip, write_clip
from pipelines.datasets.records import Clip

__all__ = ["ClipRecipe", "draw_clips", "eventful_plan"]


@dataclass(frozen=True, slots=True)
class ClipRecipe:
    """How many clips, of which cameras, how long and how busy.

    Parameters
    ----------
    crossings : int
        Fewest crossings of each clip.
    every_line : bool
        Whether each line of the clip must be crossed.
    after : datetime, optional
        The clips are of later days.
    """

    count: int
    cameras: int
    seconds: float
    fps: float
    width: int
    height: int
    seed: int
    town: int
    density: str
    crossings: int
    classes: tuple[str, ...]
    after: datetime | None = None
    every_line: bool = True


def eventful_plan(recipe: ClipRecipe, camera: int, first: int, tries: int = 60) -> ClipPlan:
    """The clip of the first seed from `first` on that has enough crossings; planning a clip draws nothing.

    Raises
    ------
    ValueError
        Where no clip of that length and density has so many.
    """
    for seed in range(first, first + tries):
        plan = plan_clip(
            camera,
            seconds=recipe.seconds,
            fps=recipe.fps,
            width=recipe.width,
            height=recipe.height,
            seed=seed,
            town=recipe.town,
            density=PRESETS[recipe.density],
            classes=recipe.classes,
        )
        crossed = {crossing.line for crossing in plan.crossings}
        if len(plan.crossings) >= recipe.crossings and (not recipe.every_line or len(crossed) == len(plan.lines)):
            return plan
    raise ValueError(
        f"expected a clip of {recipe.seconds} s at camera {camera} with {recipe.crossings} crossings, found none "
        f"in {tries} tries: ask for longer or busier clips, or for fewer crossings"
    )


def draw_clips(recipe: ClipRecipe, folder: Path, on_frame: Callable[[], None] | None = None) -> tuple[Clip, ...]:
    """Draw all clips of a recipe into a folder."""
    after = recipe.after or datetime(2026, 3, 16, tzinfo=UTC)
    start = datetime(after.year, after.month, after.day, 9, tzinfo=UTC) + timedelta(days=1)
    clips = []
    for number in range(recipe.count):
        camera = number % recipe.cameras
        made = write_clip(
            eventful_plan(recipe, camera, 1000 * (recipe.seed + 1) + 100 * number),
            folder,
            f"cam-{camera}-{number}",
            time=start + timedelta(hours=number),
            on_frame=None if on_frame is None else lambda done, total: on_frame(),
        )
        clips.append(
            Clip(
                made.name,
                made.video,
                made.truth_file,
                made.scene,
                made.mot,
                made.camera,
                made.time,
                dict(made.tags),
            )
        )
    return tuple(clips)

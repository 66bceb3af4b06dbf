"""All clips of an evaluation: counted, held against their truths, and put together as figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from counting_evaluator.clip_count import ClipCount
from counting_evaluator.clip_truth import TrueClip, read_clip_truth
from counting_evaluator.config import ClipTruth
from counting_evaluator.errors import EvaluationError
from counting_evaluator.lines import LineCount, compare_clip, line_errors
from counting_evaluator.occupancy import occupancy_differences
from counting_evaluator.resampling import line_intervals

__all__ = ["ClipFigures", "measure_clips", "read_truths"]


@dataclass(frozen=True, slots=True)
class ClipFigures:
    """What came out of the clips.

    Parameters
    ----------
    lines : tuple of LineCount
        One per clip, line, direction and class.
    metrics : dict
        ``line/...`` where the truths have lines, ``occupancy/mae`` and ``occupancy/samples`` (zones times full
        seconds) where they tell who is inside.
    intervals : dict of metric to (low, high)
    """

    lines: tuple[LineCount, ...]
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]


def read_truths(clips: Sequence[ClipTruth]) -> dict[str, TrueClip]:
    """The truth of each clip by its name.

    Raises
    ------
    EvaluationError
        As `read_clip_truth`, and where two clips have the same name.
    """
    names = [clip.name for clip in clips]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise EvaluationError(f"expected clips of different names, {', '.join(twice)} stands there more than once")
    return {clip.name: read_clip_truth(clip) for clip in clips}


def measure_clips(
    clips: Sequence[ClipTruth],
    truths: Mapping[str, TrueClip],
    count_clip: Callable[[ClipTruth], ClipCount],
    classes: Sequence[str],
    *,
    resamples: int,
    seed: int,
) -> ClipFigures:
    """Count every clip and hold it against its truth.

    Raises
    ------
    EvaluationError
        Where a clip and its truth do not belong together.
    """
    lines: list[LineCount] = []
    inside: list[int] = []
    for clip in clips:
        counted, true = count_clip(clip), truths[clip.name]
        lines += compare_clip(clip.name, counted, true, classes)
        for differences in occupancy_differences(clip.name, counted, true).values():
            inside += differences
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    # Without a line there is no error of lines, not one of zero.
    if any(true.lines for true in truths.values()):
        metrics |= {f"line/{name}": value for name, value in line_errors(lines).items()}
        intervals = line_intervals(lines, resamples=resamples, seed=seed)
    if inside:
        metrics |= {"occupancy/mae": float(np.abs(inside).mean()), "occupancy/samples": float(len(inside))}
    return ClipFigures(tuple(lines), metrics, intervals)

"""An evaluation from the pass over the pictures to named figures; no MLflow here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from camera_counting.detections import Detections
from counting_evaluator.clip_count import ClipCount
from counting_evaluator.clips import measure_clips, read_truths
from counting_evaluator.config import ClipTruth, EvaluatorConfig
from counting_evaluator.confusion import confusion_matrix
from counting_evaluator.counting import best_confidence, count_errors, count_table, true_counts
from counting_evaluator.detection import DetectionResult, evaluate_detection
from counting_evaluator.digests import picture_digests
from counting_evaluator.errors import EvaluationError
from counting_evaluator.game import grid_errors
from counting_evaluator.lines import LineCount
from counting_evaluator.passes import Detecting, DetectionPass, detect_all
from counting_evaluator.resampling import picture_intervals, units
from counting_evaluator.slices import find_slices, renamed_slices, size_metrics, slice_metrics
from counting_evaluator.truth import LabelledPicture

__all__ = ["Evaluation", "evaluate_pictures", "evaluated_classes"]

_OWN = ("true", "counted", "error", "latency_ms")
_BY_CLASS = ("true_", "counted_")


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What came out, with all that plots need.

    Parameters
    ----------
    metrics : dict
        Flat names such as ``detection/map50``.
    table : DataFrame
        One row per picture, the worst first: image, digest (SHA-256 of its file), time, slices, true and counted,
        per class as well, error, latency_ms. It is the record of what was counted: two models are compared picture
        by picture where their digests are the same.
    renamed : DataFrame
        The slices whose metrics have another name than the data, see `renamed_slices`; mostly empty.
    confusion : int64 array of shape (classes + 1, classes + 1)
        See `confusion_matrix`.
    counted, true : int64 arrays of shape (pictures, classes)
    """

    classes: tuple[str, ...]
    confidence: float
    pictures: tuple[LabelledPicture, ...]
    found: tuple[Detections, ...]
    detection: DetectionResult
    counted: npt.NDArray[np.int64]
    true: npt.NDArray[np.int64]
    confusion: npt.NDArray[np.int64]
    lines: tuple[LineCount, ...]
    metrics: dict[str, float]
    table: pd.DataFrame
    renamed: pd.DataFrame


def evaluate_pictures(
    model: Detecting,
    pictures: Sequence[LabelledPicture],
    config: EvaluatorConfig,
    *,
    names: Sequence[str],
    confidence: float,
    count_clip: Callable[[ClipTruth], ClipCount],
) -> Evaluation:
    """Evaluate a model on pictures and clips.

    Parameters
    ----------
    model : Detecting
    pictures : sequence of LabelledPicture
    config : EvaluatorConfig
    names : sequence of str
        The model's classes.
    confidence : float
        The score that counts.
    count_clip : callable
        Gives what the model counts in a clip.

    Raises
    ------
    EvaluationError
        Where labels name classes that the model does not know, a picture or a clip's truth cannot be read or says
        what cannot be, a slice is empty, or a column of the table has a name that the evaluation gives itself.
    """
    _refuse_own_columns(pictures)
    classes = evaluated_classes(pictures, config, names)
    true = true_counts(pictures, classes)
    # What is wrong with slices, truths and files is told before hours of detection, not after them.
    slices = find_slices(pictures, true.sum(axis=1), config.slices)
    truths = read_truths(config.clips)
    digests = picture_digests(pictures)
    done = detect_all(model, pictures, min(config.floor, confidence))
    detection = evaluate_detection(pictures, done.found, classes, confidence)
    matches = [detection.matches[name] for name in classes]
    counted = count_table(done.found, classes, confidence)
    clips = measure_clips(config.clips, truths, count_clip, classes, resamples=config.resamples, seed=config.seed)
    intervals = clips.intervals | picture_intervals(
        counted,
        true,
        matches,
        confidence,
        units([picture.clip for picture in pictures]),
        resamples=config.resamples,
        seed=config.seed,
    )
    metrics = {f"detection/{name}": value for name, value in detection.metrics.items()}
    metrics |= _count_metrics(counted, true, classes)
    for level in (1, 2, 3):
        grid = grid_errors(pictures, done.found, classes, confidence, done.sizes, level)
        metrics[f"count/game{level}"] = float(grid.mean())
    if true.any():
        # Told, so that somebody may try it on other pictures: used here, it would be fitted to what judges it.
        metrics["best_confidence"] = best_confidence(pictures, done.found, classes)
    metrics |= done.metrics() | clips.metrics
    metrics |= slice_metrics(slices, matches, counted, true, confidence)
    if "size" not in slices and (config.slices is None or "size" in config.slices):
        metrics |= size_metrics(detection.by_size)
    for name, (low, high) in intervals.items():
        metrics |= {f"ci95/{name}/low": low, f"ci95/{name}/high": high}
    metrics |= {"confidence": confidence, "pictures": float(len(pictures)), "objects": float(true.sum())}
    return Evaluation(
        classes,
        confidence,
        tuple(pictures),
        done.found,
        detection,
        counted,
        true,
        confusion_matrix(pictures, done.found, detection.matches, confidence),
        clips.lines,
        metrics,
        _table(pictures, digests, classes, counted, true, done),
        renamed_slices(pictures, slices),
    )


def evaluated_classes(
    pictures: Sequence[LabelledPicture], config: EvaluatorConfig, names: Sequence[str]
) -> tuple[str, ...]:
    """The annotated classes in the model's order; an error where the model does not know one of them."""
    wanted = set(config.classes or (label for picture in pictures for label in picture.labels))
    unknown = sorted(wanted - set(names))
    if unknown:
        raise EvaluationError(
            f"the labels name {', '.join(unknown)}, the model knows {', '.join(names)}: "
            "evaluate another model, or name the classes that both know in evaluator_config['classes']"
        )
    if not wanted:
        raise EvaluationError(
            "expected labelled objects, all pictures are empty: "
            "name the annotated classes in evaluator_config['classes']"
        )
    return tuple(name for name in names if name in wanted)


def _count_metrics(
    counted: npt.NDArray[np.int64], true: npt.NDArray[np.int64], classes: Sequence[str]
) -> dict[str, float]:
    """Of all objects together, of each class, and by class: there a person too many does not make up for a car."""
    total = true.sum(axis=1)
    metrics = {f"count/{name}": value for name, value in count_errors(counted.sum(axis=1), total).items()}
    # Per picture the classes' errors add up; held against the objects on it, they are the relative error.
    by_class = count_errors(total + np.abs(counted - true).sum(axis=1), total)
    metrics |= {f"count/{name}_by_class": by_class[name] for name in ("mae", "nae") if name in by_class}
    for number, name in enumerate(classes):
        errors = count_errors(counted[:, number], true[:, number])
        metrics |= {f"count/{figure}/{name}": value for figure, value in errors.items()}
    return metrics


def _refuse_own_columns(pictures: Sequence[LabelledPicture]) -> None:
    """A slice of such a name would stand in the place of what was counted, or be taken for a class."""
    for name in sorted({name for picture in pictures for name in picture.slices}):
        if name in _OWN or name.startswith(_BY_CLASS):
            raise EvaluationError(
                f"the column {name} of the data has a name that the table of an evaluation gives itself "
                f"({', '.join(_OWN)}, {', '.join(f'{each}<class>' for each in _BY_CLASS)}): give it another name"
            )


def _table(
    pictures: Sequence[LabelledPicture],
    digests: Sequence[str],
    classes: Sequence[str],
    counted: npt.NDArray[np.int64],
    true: npt.NDArray[np.int64],
    done: DetectionPass,
) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "image": [picture.path.name for picture in pictures],
        "digest": list(digests),
    }
    if any(picture.time is not None for picture in pictures):
        columns["time"] = [None if picture.time is None else picture.time.isoformat() for picture in pictures]
    for name in sorted({name for picture in pictures for name in picture.slices} - columns.keys()):
        columns[name] = [picture.slices.get(name, "") for picture in pictures]
    columns["true"] = true.sum(axis=1)
    columns["counted"] = counted.sum(axis=1)
    columns["error"] = np.abs(counted - true).sum(axis=1)
    for number, name in enumerate(classes):
        columns[f"true_{name}"] = true[:, number]
        columns[f"counted_{name}"] = counted[:, number]
    columns["latency_ms"] = np.round(done.seconds * 1000, 2)
    return pd.DataFrame(columns).sort_values("error", ascending=False, kind="stable", ignore_index=True)

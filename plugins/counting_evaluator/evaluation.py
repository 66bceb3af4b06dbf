"""An evaluation from the pass over the pictures to named figures; no MLflow here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from camera_counting.detections import Detections
from counting_evaluator.config import ClipTruth, EvaluatorConfig
from counting_evaluator.counting import count_errors, count_table, true_counts
from counting_evaluator.detection import DetectionResult, evaluate_detection
from counting_evaluator.errors import EvaluationError
from counting_evaluator.lines import LineCount, compare_lines, line_errors
from counting_evaluator.passes import Detecting, DetectionPass, detect_all
from counting_evaluator.slices import slice_metrics
from counting_evaluator.truth import LabelledPicture

__all__ = ["Evaluation", "evaluate_pictures", "evaluated_classes", "read_clip_truth"]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What came out, with all that plots need.

    Parameters
    ----------
    metrics : dict
        Flat names such as ``detection/map50``.
    table : DataFrame
        One row per picture: image, slices, true and counted per class, error, latency_ms.
    counted, true : int64 arrays of shape (pictures, classes)
    """

    classes: tuple[str, ...]
    confidence: float
    pictures: tuple[LabelledPicture, ...]
    found: tuple[Detections, ...]
    detection: DetectionResult
    counted: npt.NDArray[np.int64]
    true: npt.NDArray[np.int64]
    lines: tuple[LineCount, ...]
    metrics: dict[str, float]
    table: pd.DataFrame


def evaluate_pictures(
    model: Detecting,
    pictures: Sequence[LabelledPicture],
    config: EvaluatorConfig,
    *,
    names: Sequence[str],
    confidence: float,
    count_clip: Callable[[ClipTruth], Mapping[str, Any]],
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
        Gives the ``lines`` that the model counts in a clip.

    Raises
    ------
    EvaluationError
        Where labels name classes that the model does not know, or a picture or a clip's truth cannot be read.
    """
    classes = evaluated_classes(pictures, config, names)
    done = detect_all(model, pictures, min(config.floor, confidence))
    detection = evaluate_detection(pictures, done.found, classes, confidence)
    counted, true = count_table(done.found, classes, confidence), true_counts(pictures, classes)
    metrics = {f"detection/{name}": value for name, value in detection.metrics.items()}
    metrics |= _count_metrics(counted, true, classes)
    metrics |= done.metrics()
    lines: list[LineCount] = []
    for clip in config.clips:
        lines += compare_lines(clip.name, count_clip(clip), read_clip_truth(clip), classes)
    if config.clips:
        metrics |= {f"line/{name}": value for name, value in line_errors(lines).items()}
    matches = [detection.matches[name] for name in classes]
    metrics |= slice_metrics(pictures, matches, counted.sum(axis=1), true.sum(axis=1), confidence)
    metrics |= {"confidence": confidence, "pictures": float(len(pictures)), "objects": float(true.sum())}
    return Evaluation(
        classes,
        confidence,
        tuple(pictures),
        done.found,
        detection,
        counted,
        true,
        tuple(lines),
        metrics,
        _table(pictures, classes, counted, true, done),
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


def read_clip_truth(clip: ClipTruth) -> dict[str, Any]:
    """The true crossings of a clip, by line."""
    try:
        lines = json.loads(clip.truth.read_text(encoding="utf-8"))["lines"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"clip {clip.name}: expected JSON with the key 'lines' in {clip.truth}: {error!r}"
        ) from error
    if not isinstance(lines, dict):
        raise EvaluationError(f"clip {clip.name}: expected an object of lines in {clip.truth}, got {lines!r}")
    return lines


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


def _table(
    pictures: Sequence[LabelledPicture],
    classes: Sequence[str],
    counted: npt.NDArray[np.int64],
    true: npt.NDArray[np.int64],
    done: DetectionPass,
) -> pd.DataFrame:
    columns: dict[str, Any] = {"image": [picture.path.name for picture in pictures]}
    for name in sorted({name for picture in pictures for name in picture.slices}):
        columns[name] = [picture.slices.get(name, "") for picture in pictures]
    columns["true"] = true.sum(axis=1)
    columns["counted"] = counted.sum(axis=1)
    columns["error"] = np.abs(counted - true).sum(axis=1)
    for number, name in enumerate(classes):
        columns[f"true_{name}"] = true[:, number]
        columns[f"counted_{name}"] = counted[:, number]
    columns["latency_ms"] = np.round(done.seconds * 1000, 2)
    return pd.DataFrame(columns).sort_values("error", ascending=False, kind="stable", ignore_index=True)

"""What a person looks at of an evaluation before signing: which plots there are, and what each is given."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from counting_evaluator.config import EvaluatorConfig
from counting_evaluator.counting import confidence_errors
from counting_evaluator.evaluation import Evaluation
from counting_evaluator.gallery import draw_worst
from counting_evaluator.plots import (
    plot_confidence,
    plot_confusion,
    plot_counts,
    plot_hours,
    plot_lines,
    plot_precision,
)

__all__ = ["draw_figures"]


def draw_figures(evaluation: Evaluation, config: EvaluatorConfig) -> dict[str, Figure]:
    """All figures by name; those of clips, of hours and of wrong pictures only where there are any."""
    metrics = evaluation.detection.metrics
    working = {
        name: (metrics[f"recall/{name}"], metrics[f"precision/{name}"])
        for name in evaluation.detection.curves
        if f"precision/{name}" in metrics and f"recall/{name}" in metrics
    }
    confidences, errors = confidence_errors(evaluation.pictures, evaluation.found, evaluation.classes)
    figures = {
        "counted_against_true": plot_counts(evaluation.counted, evaluation.true, evaluation.classes),
        "precision_recall": plot_precision(evaluation.detection.curves, working),
        "confusion_matrix": plot_confusion(evaluation.confusion, evaluation.classes, evaluation.confidence),
        "count_error_over_confidence": plot_confidence(
            confidences.tolist(),
            (errors / len(evaluation.pictures)).tolist(),
            evaluation.confidence,
            evaluation.metrics.get("best_confidence"),
        ),
    }
    timed = [number for number, picture in enumerate(evaluation.pictures) if picture.time is not None]
    if timed:
        times = [time for picture in evaluation.pictures if (time := picture.time) is not None]
        clocks = {time.tzname() or "the table's clock" for time in times}
        figures["error_by_hour"] = plot_hours(
            np.array([time.hour for time in times]),
            evaluation.counted[timed].sum(axis=1),
            evaluation.true[timed].sum(axis=1),
            ", ".join(sorted(clocks)),
        )
    if evaluation.lines:
        figures["line_counts"] = plot_lines(evaluation.lines)
    worst = draw_worst(
        [picture.of_classes(evaluation.classes) for picture in evaluation.pictures],
        [seen.of_classes(evaluation.classes) for seen in evaluation.found],
        evaluation.confidence,
        abs(evaluation.counted - evaluation.true).sum(axis=1),
        config.worst,
    )
    if worst is not None:
        figures["worst_pictures"] = worst
    return figures

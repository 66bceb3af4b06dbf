"""What an evaluation asks beyond the pictures as they are, where somebody asked for it: robustness, behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from counting_evaluator.behaviour import measure_behaviour
from counting_evaluator.config import EvaluatorConfig
from counting_evaluator.evaluation import Evaluation
from counting_evaluator.passes import Detecting
from counting_evaluator.robustness import measure_robustness
from counting_evaluator.robustness_plots import draw_sheet, plot_robustness

__all__ = ["Hardship", "measure_hardship"]


@dataclass(frozen=True, slots=True, eq=False)
class Hardship:
    """Metrics, and what people look at: figures and tables by their name."""

    metrics: dict[str, float] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


def measure_hardship(model: Detecting, evaluation: Evaluation, config: EvaluatorConfig) -> Hardship:
    """Measure what the configuration asks for, on the evaluation's own pictures; nothing by default."""
    done = Hardship()
    confidence = evaluation.confidence
    if config.robustness is not None:
        robust = measure_robustness(
            model,
            evaluation.pictures,
            evaluation.found,
            evaluation.classes,
            confidence=confidence,
            floor=min(config.floor, confidence),
            config=config.robustness,
        )
        done.metrics.update(robust.metrics)
        done.figures["count_error_by_condition"] = plot_robustness(robust.table)
        done.tables["robustness"] = robust.table
        if robust.sheet:
            done.figures["conditions"] = draw_sheet(robust.sheet, confidence)
    if config.behaviour is not None:
        done.metrics.update(
            measure_behaviour(
                model,
                evaluation.pictures,
                evaluation.found,
                evaluation.classes,
                confidence=confidence,
                config=config.behaviour,
            )
        )
    return done

"""What people look at: how each condition spoils the counts, and what it looks like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from counting_evaluator.gallery import draw_boxes
from counting_evaluator.robustness import Spoiled

__all__ = ["draw_sheet", "plot_robustness"]

_BLUE, _ORANGE, _GREY = "#2b6cb0", "#dd6b20", "#a0aec0"


def plot_robustness(table: pd.DataFrame) -> Figure:
    """Count error and mAP50 under each condition, the worst first; the line is what they are when it is clear.

    The whiskers are the 95 % interval of what the condition adds to the error of the same pictures.
    """
    clear = table[table["condition"] == "clear"].iloc[0]
    rows = table[table["condition"] != "clear"].sort_values("count/mae", kind="stable")
    names, places = [str(name).replace("_", " ") for name in rows["condition"]], np.arange(len(rows))
    figure = Figure(figsize=(10, 1.6 + 0.42 * len(rows)), layout="constrained")
    errors, precision = figure.subplots(1, 2, sharey=True)
    whiskers = None
    if "count/mae_added/low" in rows:
        added = rows["count/mae_added"]
        whiskers = np.clip([added - rows["count/mae_added/low"], rows["count/mae_added/high"] - added], 0, None)
    errors.barh(places, rows["count/mae"], color=_BLUE, xerr=whiskers, ecolor=_GREY, capsize=3)
    errors.axvline(clear["count/mae"], color=_ORANGE, linestyle="--", label=f"clear: {clear['count/mae']:.2f}")
    errors.set_yticks(places, names)
    errors.set(xlabel="mean count error per picture", xlim=(0, None))
    if "detection/map50" in rows:
        precision.barh(places, rows["detection/map50"], color=_BLUE)
    if np.isfinite(level := float(clear.get("detection/map50", float("nan")))):
        precision.axvline(level, color=_ORANGE, linestyle="--", label=f"clear: {level:.2f}")
    precision.set(xlabel="mAP50", xlim=(0, 1))
    for axes in (errors, precision):
        axes.grid(axis="x", alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right", fontsize=8)
    figure.suptitle("The same pictures under each condition (whiskers: 95 % of what it adds to the error)")
    return figure


def draw_sheet(sheet: Sequence[Spoiled], confidence: float) -> Figure:
    """One picture under every condition, with what is true (green) and what was found (orange)."""
    columns = min(4, len(sheet))
    rows = -(-len(sheet) // columns)
    height, width = sheet[0].image.shape[:2]
    figure = Figure(figsize=(4.6 * columns, (4.6 * height / width + 0.35) * rows + 0.4), layout="constrained")
    for place, each in enumerate(sheet):
        axes = figure.add_subplot(rows, columns, place + 1)
        seen = each.found.at_least(confidence)
        axes.imshow(draw_boxes(each.image, each.truth, seen))
        title = f"{each.condition.replace('_', ' ')}: {len(seen)} counted, {len(each.truth.labels)} true"
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    figure.suptitle("One picture under each condition (green: true, orange: found with its score)")
    return figure

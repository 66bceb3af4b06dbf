"""Plots that a person looks at before signing: counts, hours, precision curves, confusion, confidence, lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from counting_evaluator.lines import LineCount

__all__ = ["plot_confidence", "plot_confusion", "plot_counts", "plot_hours", "plot_lines", "plot_precision"]

_BLUE, _ORANGE, _GREY = "#2b6cb0", "#dd6b20", "#a0aec0"


def plot_counts(counted: npt.NDArray[np.int64], true: npt.NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Counted against true, all classes together and each by itself; arrays of shape (pictures, classes)."""
    panels = [("all classes", counted.sum(axis=1), true.sum(axis=1))]
    if len(classes) > 1:
        panels += [(name, counted[:, number], true[:, number]) for number, name in enumerate(classes)]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4 * columns, 3.8 * rows), layout="constrained")
    for number, (title, seen, real) in enumerate(panels):
        axes = figure.add_subplot(rows, columns, number + 1)
        points, sizes = np.unique(np.stack([real, seen], axis=1), axis=0, return_counts=True)
        most = int(max(real.max(), seen.max(), 1))
        axes.plot([0, most], [0, most], color=_GREY, linewidth=1, zorder=1)
        axes.scatter(
            points[:, 0], points[:, 1], s=18 + 260 * sizes / sizes.sum(), color=_BLUE, alpha=0.7, zorder=2
        )
        axes.set(xlabel="true", ylabel="counted", xlim=(-0.5, most + 0.5), ylim=(-0.5, most + 0.5))
        axes.set_title(f"{title}: mean error {np.abs(seen - real).mean():.2f}", fontsize=10)
        axes.set_aspect("equal")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle("Objects per picture (area: share of the pictures)")
    return figure


def plot_precision(
    curves: Mapping[str, npt.NDArray[np.float64]], working: Mapping[str, tuple[float, float]]
) -> Figure:
    """Precision over recall per class at IoU 0.5; the dot is where the model works (recall, precision)."""
    figure = Figure(figsize=(6.5, 5), layout="constrained")
    axes = figure.add_subplot()
    recall = np.linspace(0, 1, 101)
    for name, precision in curves.items():
        [line] = axes.plot(recall, precision, label=f"{name} (AP50 {precision.mean():.2f})")
        if name in working:
            axes.plot(*working[name], "o", color=line.get_color(), markersize=7)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_title("Precision and recall at IoU 0.5 (dot: at the model's confidence)", fontsize=10)
    axes.grid(alpha=0.3)
    if curves:
        axes.legend(loc="lower left")
    return figure


def plot_confidence(
    confidences: Sequence[float], errors: Sequence[float], confidence: float, best: float | None = None
) -> Figure:
    """Mean count error per picture over the confidence; lines show the model's and the best for these pictures."""
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(confidences, errors, color=_BLUE)
    axes.axvline(confidence, color=_ORANGE, linestyle="--", label=f"the model's confidence {confidence:.2f}")
    if best is not None:
        axes.axvline(best, color=_GREY, linestyle=":", label=f"best on these very pictures {best:.2f} (not used)")
    axes.set(xlabel="confidence", ylabel="mean count error per picture", ylim=(0, None))
    axes.set_title("How the confidence moves the count error (sum over classes)", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def plot_lines(cells: Sequence[LineCount]) -> Figure:
    """Counted beside true for every clip, line and direction, all classes together."""
    sums: dict[str, list[int]] = {}
    for cell in cells:
        pair = sums.setdefault(f"{cell.clip}\n{cell.line} {cell.direction}", [0, 0])
        pair[0] += cell.counted
        pair[1] += cell.true
    names = list(sums)
    figure = Figure(figsize=(max(5.0, 1.1 * len(names) + 1.5), 4), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(names))
    for shift, index, label, color in ((-0.2, 1, "true", _GREY), (0.2, 0, "counted", _BLUE)):
        bars = axes.bar(places + shift, [sums[name][index] for name in names], 0.38, label=label, color=color)
        axes.bar_label(bars, fontsize=8)
    axes.set_xticks(places, names, fontsize=8)
    axes.set_ylabel("crossings")
    axes.set_title("Line counts of the clips", fontsize=10)
    axes.legend()
    return figure


def plot_confusion(matrix: npt.NDArray[np.int64], classes: Sequence[str], confidence: float) -> Figure:
    """What each true class was taken for: numbers of objects, hits in blue and errors in orange.

    The shade is the share of the row's objects; where nothing is there, of the column's detections.
    """
    names = len(classes) + 1
    many = names > 20
    side = min(1.6 + 0.85 * names, 20)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.add_subplot()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    share[-1] = matrix[-1] / np.maximum(matrix.sum(axis=0), 1)
    full = np.where(np.eye(names, dtype=bool)[..., None], to_rgb(_BLUE), to_rgb(_ORANGE))
    axes.imshow(1 - share[..., None] * (1 - full))
    for row, column in np.ndindex(*matrix.shape):
        if row == column == len(classes) or (many and not matrix[row, column]):
            continue  # background taken for background cannot be counted; of many classes most are never confused
        color = "white" if share[row, column] > 0.6 else "black"
        told = f"{matrix[row, column]}"
        axes.text(column, row, told, ha="center", va="center", color=color, fontsize=5 if many else 9)
    axes.set_xticks(range(names), [*classes, "not found"], rotation=90 if many else 30, ha="right")
    axes.set_yticks(range(names), [*classes, "nothing there"])
    axes.set(xlabel="found as", ylabel="true class")
    axes.set_title(f"Who was taken for what (IoU 0.5, score from {confidence:.2f} on)", fontsize=10)
    return figure


def plot_hours(
    hours: npt.NDArray[np.int64], counted: npt.NDArray[np.int64], true: npt.NDArray[np.int64], clock: str
) -> Figure:
    """Count error by the hour of the day; arrays of shape (pictures,), `clock` names the time zone."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    present = np.unique(hours)
    masks = [hours == hour for hour in present]
    error = [float(np.abs(counted[mask] - true[mask]).mean()) for mask in masks]
    bias = [float((counted[mask] - true[mask]).mean()) for mask in masks]
    axes.bar(present, error, 0.8, color=_BLUE, label="mean error (amount)")
    axes.plot(present, bias, "o", color=_ORANGE, markersize=5, label="bias (counted - true)")
    axes.axhline(0, color=_GREY, linewidth=1)
    axes.set(xlabel=f"hour of the day ({clock})", ylabel="objects per picture", xlim=(-0.7, 23.7))
    axes.set_xticks(
        present, [f"{hour}\n{mask.sum()}" for hour, mask in zip(present, masks, strict=True)], fontsize=8
    )
    room = 0.1 * max(*error, 0.1)
    axes.set_ylim(min(*bias, 0) - room * (min(*bias, 0) < 0), max(*error, 0.1) + 2 * room)
    axes.set_title("Count error by hour (below each hour: its number of pictures)", fontsize=10)
    axes.legend(fontsize=8)
    return figure

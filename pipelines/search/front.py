"""The Pareto front of points that are wanted low in every coordinate, and its picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

__all__ = ["Point", "pareto_front", "plot_front"]


@dataclass(frozen=True, slots=True)
class Point:
    """A model in the plane of count error and latency; `group` is its colour, `label` is written beside it."""

    latency_ms: float
    count_error: float
    group: str
    label: str


def pareto_front(points: Sequence[tuple[float, ...]]) -> list[int]:
    """Which points no other one beats: none is at least as low in every coordinate and lower in one.

    Examples
    --------
    >>> pareto_front([(1.0, 9.0), (2.0, 5.0), (3.0, 6.0), (4.0, 1.0)])
    [0, 1, 3]
    """

    def beaten(one: tuple[float, ...]) -> bool:
        return any(other != one and all(a <= b for a, b in zip(other, one, strict=True)) for other in points)

    return [number for number, point in enumerate(points) if not beaten(point)]


def plot_front(points: Sequence[Point], *, error: str, chosen: str | None = None) -> Figure:
    """Count error against latency: a colour for each group, the front as a line, the chosen one ringed.

    Parameters
    ----------
    points : sequence of Point
    error : str
        What the error is, for the axis.
    chosen : str, optional
        Label of the one that was chosen.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    front = pareto_front([(point.latency_ms, point.count_error) for point in points])
    for group in sorted({point.group for point in points}):
        members = [point for point in points if point.group == group]
        axes.scatter(
            [point.latency_ms for point in members],
            [point.count_error for point in members],
            label=group, s=45, zorder=3,
        )  # fmt: skip
    best = sorted((points[number] for number in front), key=lambda point: point.latency_ms)
    # Between two points of the front nothing better is known than the left one.
    axes.step(
        [point.latency_ms for point in best],
        [point.count_error for point in best],
        where="post", color="0.4", linewidth=1, linestyle="--", label="Pareto front", zorder=2,
    )  # fmt: skip
    for number, point in enumerate(points):
        beaten = number not in front
        axes.annotate(
            point.label, (point.latency_ms, point.count_error), xytext=(5, 4), textcoords="offset points",
            fontsize=8, fontweight="normal" if beaten else "bold", color="0.5" if beaten else "0.1",
        )  # fmt: skip
        if point.label == chosen:
            axes.scatter(
                [point.latency_ms], [point.count_error], s=190, facecolors="none", edgecolors="black",
                linewidths=1.6, label=f"chosen: {chosen}", zorder=4,
            )  # fmt: skip
    axes.set_xlabel("latency of a picture (median, ms)")
    axes.set_ylabel(error)
    # From zero, so that twice as slow looks twice as far; with room for the names at the far edges.
    axes.set_xlim(0, 1.15 * max([point.latency_ms for point in points], default=1.0))
    axes.set_ylim(0, 1.15 * max([point.count_error for point in points], default=1.0) or 1.0)
    axes.grid(alpha=0.3)
    if points:
        axes.legend(fontsize=8)
    return figure

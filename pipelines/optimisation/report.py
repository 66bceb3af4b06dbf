"""What was made and how it compares: a table and a plot that a person looks at before evaluating one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model_governance.policy import OptimisationRule
from pipelines.optimisation.verdict import Figures, Verdict

__all__ = ["Row", "figures_of", "plot", "table"]

_BLUE, _RED, _GREY = "#2b6cb0", "#c53030", "#a0aec0"


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate; `figures` is None where it could not be made, and `refusals` say why.

    Parameters
    ----------
    name : str
    figures : Figures or None
    verdict : Verdict or None
    refusals : tuple of str
        Empty where it is accepted.
    """

    name: str
    figures: Figures | None
    verdict: Verdict | None
    refusals: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        return not self.refusals

    def sentence(self) -> str:
        """For a person at a terminal."""
        if self.figures is None or self.verdict is None:
            return f"{self.name}: not made: {'; '.join(self.refusals)}"
        figures, latency = self.figures, self.figures.latency
        return (
            f"{self.name}: {figures.bytes / 1e6:.1f} MB, {latency.p50_ms:.1f} ms a picture ({latency.ratio:.2f} "
            f"times the model's), confidence {figures.confidence:.2f}, count error {self.verdict.before:.4g} -> "
            f"{self.verdict.after:.4g}: "
            + ("accepted" if self.accepted else f"refused: {'; '.join(self.refusals)}")
        )


def figures_of(figures: Figures, when: str) -> dict[str, float]:
    """Metrics of a run: ``optimisation/<figure>/<when>``, when being before or after."""
    latency = figures.latency
    found = {
        "size_mb": figures.bytes / 1e6,
        "latency_p50_ms": latency.p50_ms,
        "latency_p95_ms": latency.p95_ms,
        "confidence": figures.confidence,
        **figures.errors,
    }
    return {f"optimisation/{name}/{when}": value for name, value in found.items()}


def table(model: Figures, rows: Sequence[Row], rule: OptimisationRule) -> pd.DataFrame:
    """One row for the model and one per candidate: size, latency, threshold, count errors, verdict."""
    found = [{"candidate": "the model", **_cells(model), "difference": 0.0, "accepted": None, "reason": ""}]
    for row in rows:
        cells = _cells(row.figures) if row.figures else {}
        difference = row.verdict.difference if row.verdict else None
        found.append(
            {
                "candidate": row.name,
                **cells,
                "difference": difference,
                "accepted": row.accepted,
                "reason": "; ".join(row.refusals),
            }
        )
    named = pd.DataFrame(found)
    return named.rename(columns={"difference": f"{rule.metric} worse by"})


def _cells(figures: Figures) -> dict[str, Any]:
    latency = figures.latency
    return {
        "size_mb": round(figures.bytes / 1e6, 3),
        "latency_p50_ms": round(latency.p50_ms, 2),
        "latency_p95_ms": round(latency.p95_ms, 2),
        "latency_ratio": round(latency.ratio, 3),
        "latency_ratio_low": round(latency.ratio_low, 3),
        "latency_ratio_high": round(latency.ratio_high, 3),
        "confidence": figures.confidence,
        **{name: round(value, 4) for name, value in figures.errors.items()},
    }


def plot(model: Figures, rows: Sequence[Row], rule: OptimisationRule) -> Figure:
    """Size, latency and count error side by side; the line is what the policy allows."""
    made = [(row.name, row.figures, _BLUE if row.accepted else _RED) for row in rows if row.figures]
    bars = [("the model", model, _GREY), *made]
    names = [name for name, _, _ in bars]
    colours = [colour for _, _, colour in bars]
    figure = Figure(figsize=(11, 1.6 + 0.45 * len(bars)), layout="constrained")
    size, latency, error = figure.subplots(1, 3, sharey=True)
    _bars(size, names, [each.bytes / 1e6 for _, each, _ in bars], colours, "{:.1f}")
    size.set(title="size of the detector, MB")
    p95 = [each.latency.p95_ms for _, each, _ in bars]
    _bars(latency, names, [each.latency.p50_ms for _, each, _ in bars], colours, "{:.1f}", most=max(p95))
    latency.plot(p95, range(len(bars)), linestyle="none", marker="|", markersize=14, color="black")
    latency.set(title="one picture, ms (median; | 95 %)")
    limit = model.errors[rule.metric] + rule.worse_by_at_most
    _bars(error, names, [each.errors[rule.metric] for _, each, _ in bars], colours, "{:.3f}", most=limit)
    error.axvline(limit, color="black", linewidth=1, linestyle="--")
    error.set(title=f"{rule.metric}, validation split (-- limit)")
    size.invert_yaxis()
    figure.suptitle("Optimised: blue accepted, red refused")
    return figure


def _bars(
    axes: Axes, names: Sequence[str], values: Sequence[float], colours: Sequence[str], words: str, most: float = 0
) -> None:
    axes.barh(range(len(names)), values, color=colours, height=0.6)
    room = 1.15 * max(*values, most) or 1
    for row, value in enumerate(values):
        inside = value > 0.2 * room  # else the words stand beside the bar
        place, colour, side = (value / 2, "white", "center") if inside else (value + room / 50, "black", "left")
        axes.text(place, row, words.format(value), color=colour, ha=side, va="center", fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, room)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)

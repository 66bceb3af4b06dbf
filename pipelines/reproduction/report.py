"""The verdict as a run shows it: tags to search by, figures, a table, and a page to read."""

from __future__ import annotations

from collections.abc import Sequence

import mlflow

from pipelines.reproduction.comparison import Comparison

__all__ = ["log_comparison"]


def log_comparison(comparison: Comparison, run_id: str, rerun_id: str, notes: Sequence[str]) -> None:
    """Log ``reproduction/comparison.json`` (MLflow's table format) and ``.md`` into the active run."""
    mlflow.set_tags({"reproduction.verdict": comparison.verdict, "reproduction.rerun": rerun_id})
    mlflow.log_metrics(
        {
            "reproduction/compared": float(len(comparison.compared)),
            "reproduction/outside": float(len(comparison.outside)),
            "reproduction/largest_difference": min(comparison.largest, 1e300),
        }
    )
    mlflow.log_table(comparison.table(), "reproduction/comparison.json")
    mlflow.log_text(_page(comparison, run_id, rerun_id, notes), "reproduction/comparison.md")


def _page(comparison: Comparison, run_id: str, rerun_id: str, notes: Sequence[str]) -> str:
    lines = [f"# {comparison.sentence}", "", f"Run {run_id}, made again as {rerun_id}.", ""]
    lines += [f"- {note}" for note in notes]
    lines += [
        "",
        "| kind | name | recorded | reproduced | standing | difference | note |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in comparison.sorted:
        apart = "" if row.difference is None else f"{row.difference:.3g}"
        cells = (row.kind, row.name, row.recorded, row.reproduced, row.standing, apart, row.note)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"

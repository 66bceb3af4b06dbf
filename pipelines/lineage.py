"""The step that draws what came from what: ``python -m pipelines.lineage --version camera-counter/3``.

Both ways: to the left what a version, model or run was made of (data, training, the champion it follows, the drift
report that asked for it), to the right what came of it (evaluations, reviews, what serves, what it wrote into
prediction logs, drift reports over those, and trainings that they asked for).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import mlflow
from pydantic import Field

from pipelines.lineage_graph.graph import Graph
from pipelines.lineage_graph.history import History
from pipelines.lineage_graph.mermaid import markdown
from pipelines.lineage_graph.nodes import Pages
from pipelines.lineage_graph.page import page
from pipelines.lineage_graph.walk import Limits, Walk
from pipelines.settings import StepSettings, explained

__all__ = ["LineageResult", "LineageSettings", "main", "run"]


class LineageSettings(StepSettings):
    """Where to start, and how far to look."""

    version: str = Field(description="name/3, name@alias, a run's id, or m-... of a logged model")
    out: Path = Field(
        Path("workspace/lineage"), description="folder for lineage.html, lineage.md and lineage.json"
    )
    ui: str | None = Field(
        None, description="address of the MLflow UI for links; the tracking server's own where it is http"
    )
    log: list[str] = Field(default=[], description="prediction logs to look into, besides those of drift reports")
    log_days: float = Field(30.0, gt=0, description="how many days of a prediction log are read")
    newest: int = Field(5, ge=1, description="evaluations of a model, drift reports of a version, ...: the newest")
    nodes: int = Field(120, ge=2, le=2000, description="draw no more than so many")


@dataclass(frozen=True, slots=True)
class LineageResult:
    """The graph, its files, and the run that holds them."""

    graph: Graph
    html: Path
    markdown: Path
    run_id: str


def run(settings: LineageSettings) -> LineageResult:
    """Draw the graph, write it and log it.

    Raises
    ------
    LineageGraphError
        Where the tracking server knows no such version, model or run.
    """
    pages = Pages(settings.ui or mlflow.get_tracking_uri())
    limits = Limits(nodes=settings.nodes, newest=settings.newest, log_days=settings.log_days)
    graph = Walk(History(), pages, limits, settings.log).graph(settings.version)
    title = f"Where {settings.version} comes from, and what came of it"
    made = f"Drawn {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {len(graph.nodes)} nodes, {len(graph.edges)} edges."
    files = {
        "lineage.html": page(graph, title, made),
        "lineage.md": markdown(graph, title),
        "lineage.json": json.dumps(graph.to_dict(), indent=1, ensure_ascii=False) + "\n",
    }
    settings.out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        beside = settings.out / f".{name}.{os.getpid()}"
        beside.write_text(text, encoding="utf-8")
        beside.replace(settings.out / name)
    with mlflow.start_run(
        run_name=f"lineage {settings.version}", nested=mlflow.active_run() is not None
    ) as active:
        mlflow.set_tags({"step": "lineage", "lineage.of": settings.version})
        for name in files:
            mlflow.log_artifact(str(settings.out / name), "graph")
    return LineageResult(graph, settings.out / "lineage.html", settings.out / "lineage.md", active.info.run_id)


@explained
def main() -> None:
    """Exit code 1, with the reason, where there is nothing to start from."""
    result = run(LineageSettings.from_command_line())
    click.echo(f"{len(result.graph.nodes)} nodes, {len(result.graph.edges)} edges")
    click.echo(f"page     {result.html}")
    click.echo(f"Mermaid  {result.markdown}")
    click.echo(f"run      {result.run_id}")


if __name__ == "__main__":
    main()

"""`make demo`: from nothing to a counted clip, a served model and a drift report, every result checked."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import click
import mlflow
from rich.console import Console

from pipelines.demo.steps import Steps
from pipelines.demo.story import Story

EXPERIMENT = "camera-counting-demo"


@click.command(help=__doc__)
@click.option("--workspace", type=click.Path(path_type=Path), default=Path(".demo"), show_default=True)
def main(workspace: Path) -> None:
    workspace = workspace.resolve()
    workspace.mkdir(parents=True, exist_ok=True)
    os.environ["MLFLOW_TRACKING_URI"] = store = f"sqlite:///{workspace / 'mlflow.db'}"
    console = Console(width=max(100, min(160, Console().width)))
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    mlflow.set_tracking_uri(store)
    mlflow.set_registry_uri(store)
    if mlflow.get_experiment_by_name(EXPERIMENT) is None:
        mlflow.create_experiment(EXPERIMENT, artifact_location=(workspace / "mlartifacts").as_uri())
    mlflow.set_experiment(EXPERIMENT)

    steps = Steps(console)
    story = Story(workspace, steps)
    try:
        story.tell()
    except Exception:  # noqa: BLE001 - whatever stopped it, the table still tells how far it came
        console.print_exception(max_frames=6)
    console.print()
    console.print(steps.table())
    if story.annotated.exists():
        console.print(f"annotated clip    {story.annotated}", soft_wrap=True)
    binary = Path(sys.executable).with_name("mlflow")
    console.print(f"the MLflow UI     {binary} server --backend-store-uri {store} --port 5000", soft_wrap=True)
    sys.exit(0 if steps.right and story.finished else 1)


if __name__ == "__main__":
    main()

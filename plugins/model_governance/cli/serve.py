"""`model-governance serve`: a governed MLflow server on this machine, with nothing to set up."""

from __future__ import annotations

import os
from pathlib import Path

import click

__all__ = ["serve"]


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("mlflow-governed"),
    show_default=True,
    help="Where runs, registry, artefacts and log-ins are kept.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1))
@click.option(
    "--policy",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Policy with a section `governance`; a strict one by default.",
)
def serve(folder: Path, host: str, port: int, workers: int, policy: Path | None) -> None:
    """Serve MLflow, governed; the first passwords are made, and shown this once.

    Passwords of programs lie in FOLDER/server/*.password. For several machines, PostgreSQL or S3 start
    `mlflow server --app-name governed` itself.
    """
    from model_governance.governed.one_machine import OneMachine

    folder = folder.resolve()
    machine = OneMachine(folder / "server", f"sqlite:///{folder / 'mlflow.db'}", folder / "mlartifacts", policy)
    told: list[str] = []

    def tell(name: str, password: str, role: str) -> None:
        if not told:
            click.echo("First log-ins; their passwords are shown now and never again:")
        told.append(name)
        click.echo(f"  {name:10} {password:18} {role}")

    machine.prepare(tell)
    command = machine.command(port, host, workers)
    # its signals and its exit code are the server's
    os.execve(command[0], command, machine.environment())  # noqa: S606 - no shell is wanted

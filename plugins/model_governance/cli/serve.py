"""`model-governance serve`: a governed MLflow server on this machine, with nothing to set up."""

from __future__ import annotations

import os
from pathlib import Path

import click

from model_governance.cli.commands import _explained as explained

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
@click.option(
    "--heads",
    help="Folder or s3://bucket/prefix where signed heads of the audit log are kept; FOLDER/heads by default. "
    "Better one that whoever runs this server cannot write over.",
)
@click.option(
    "--heads-key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Private key that signs them; made where there is none. FOLDER/server/heads.pem by default.",
)
@click.option(
    "--notify",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Settings (YAML) of who is told of what; MODEL_GOVERNANCE_NOTIFY by default. Without them nobody is.",
)
@explained
def serve(
    folder: Path,
    host: str,
    port: int,
    workers: int,
    policy: Path | None,
    heads: str | None,
    heads_key: Path | None,
    notify: Path | None,
) -> None:
    """Serve MLflow, governed; the first passwords are made, and shown this once.

    Passwords of programs lie in FOLDER/server/*.password. For several machines, PostgreSQL or S3 start
    `mlflow server --app-name governed` itself.
    """
    from model_governance.governed.notify.settings import NOTIFY_FILE, load_notify
    from model_governance.governed.one_machine import OneMachine

    if notify is not None:
        load_notify(notify)  # now, and not after the first passwords were shown
        os.environ[NOTIFY_FILE] = str(notify.resolve())
    folder = folder.resolve()
    machine = OneMachine(
        folder / "server",
        f"sqlite:///{folder / 'mlflow.db'}",
        folder / "mlartifacts",
        policy,
        heads or str(folder / "heads"),
        heads_key,
    )
    told: list[str] = []

    def tell(name: str, password: str, role: str) -> None:
        if not told:
            click.echo("First log-ins; their passwords are shown now and never again:")
        told.append(name)
        click.echo(f"  {name:10} {password:18} {role}")

    machine.prepare(tell)
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - only told
    click.echo(
        f"Passwords of programs (validator, service): {folder / 'server'}/*.password\n"
        f"MLflow: http://{shown}:{port}/   reviews: http://{shown}:{port}/governance/   (ready in half a minute)"
    )
    command = machine.command(port, host, workers)
    # its signals and its exit code are the server's
    os.execve(command[0], command, machine.environment())  # noqa: S606 - no shell is wanted

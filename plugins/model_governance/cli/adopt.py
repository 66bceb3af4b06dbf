"""`model-governance adopt`: saying which version is in Production where a registry contradicts itself."""

from __future__ import annotations

import click

from model_governance.cli.served import ask_server

__all__ = ["adopt"]


@click.command()
@click.argument("name")
@click.argument("version")
@click.option("--reason", required=True, help="Why it is this one; a sentence.")
def adopt(name: str, version: str, reason: str) -> None:
    """Say which VERSION of NAME is in Production, where stages and aliases say two things; an operator does.

    A registry from before the gate, or one that was changed past it, so comes into step. What else stands in
    Production leaves it.
    """
    ask_server("adopt", {"name": name, "version": version, "reason": reason})
    click.echo(f"{name}: version {version} is the champion, and the only one in Production")

"""`model-governance compliance`: the status of a model's versions, area by area, on a governed server."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from model_governance.cli.served import ask_server

__all__ = ["compliance"]


@click.command()
@click.argument("name")
@click.argument("version", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")
def compliance(name: str, version: str | None, as_json: bool) -> None:
    """Tell the status of NAME's versions, or of one; exit 1 where the one in Production lacks something."""
    told = ask_server("compliance", name=name, version=version or "")
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        table = Table(title=escape(name))
        for column in ("version", "stage", "area", "status", ""):
            table.add_column(column)
        for each in told["versions"]:
            for row, area in enumerate(each["status"]):
                first = (each["version"], each["stage"]) if row == 0 else ("", "")
                table.add_row(*first, area["area"], area["state"], escape(area["summary"]), end_section=row == 7)
        Console().print(table)
    if any(
        area["state"] == "not met"
        for each in told["versions"]
        if each["stage"] == "Production"
        for area in each["status"]
    ):
        raise click.exceptions.Exit(1)

"""`model-governance tokens`: what programs log in to a governed server with."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from model_governance.cli.served import ask_server

__all__ = ["tokens"]


@click.group()
def tokens() -> None:
    """Tokens of programs on a governed server; a program sends its own as MLFLOW_TRACKING_TOKEN."""


@tokens.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")
def show(as_json: bool) -> None:
    """Show all tokens, also those that ended; for auditors and admins."""
    found = ask_server("tokens")["tokens"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    table = Table()
    for column in ("token", "log-in", "for", "state", "made by", "ends", "last used"):
        table.add_column(column)
    for each in found:
        used = each["used_at"][:10] if each["used_at"] else "never"
        ends = each["expires_at"][:10]
        made_by, purpose = escape(each["made_by"]), escape(each["purpose"])
        table.add_row(each["id"], escape(each["user"]), purpose, each["state"], made_by, ends, used)
    Console().print(table)


@tokens.command()
@click.argument("user")
@click.option("--purpose", required=True, help="What it is for, so that somebody knows later.")
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, 366), help="How long it works.")
@click.option("--out", type=click.Path(path_type=Path), help="New file for it, which you alone can read.")
def make(user: str, purpose: str, days: int, out: Path | None) -> None:
    """Make a token of the program's log-in USER; an admin does. It is told this once."""
    if out is None:
        click.echo(_made(user, purpose, days))
        return
    try:
        # first: a token whose file cannot be written would be lost
        file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.ClickException(f"expected a new file at {out}: {error.strerror}") from error
    try:
        text = _made(user, purpose, days)
    except click.ClickException:
        os.close(file)
        out.unlink()
        raise
    with os.fdopen(file, "w") as opened:
        opened.write(text + "\n")
    click.echo(f"the token of {user} is in {out}")


@tokens.command()
@click.argument("token")
def withdraw(token: str) -> None:
    """Let the TOKEN of this id work no more; an admin does."""
    ask_server("tokens/withdraw", {"id": token})
    click.echo(f"the token {token} works no more")


def _made(user: str, purpose: str, days: int) -> str:
    return str(ask_server("tokens/make", {"user": user, "purpose": purpose, "days": str(days)})["token"])

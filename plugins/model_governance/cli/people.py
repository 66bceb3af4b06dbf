"""`model-governance roles` and `model-governance access`: who may do what on a governed server."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from model_governance.cli.served import ask_server

__all__ = ["access", "roles"]


@click.group()
def roles() -> None:
    """Who is what on a governed server, and changing it."""


@roles.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")
def show(as_json: bool) -> None:
    """Show everybody's roles; without the role auditor or admin, your own."""
    _print_roles(ask_server("roles")["roles"], as_json)


@roles.command()
@click.argument("user")
@click.argument("role")
def grant(user: str, role: str) -> None:
    """Give USER the ROLE; an admin does."""
    ask_server("roles/grant", {"user": user, "role": role})
    click.echo(f"{user} has the role {role}")


@roles.command()
@click.argument("user")
@click.argument("role")
def withdraw(user: str, role: str) -> None:
    """Take the ROLE from USER; an admin does."""
    ask_server("roles/withdraw", {"user": user, "role": role})
    click.echo(f"{user} no longer has the role {role}")


@click.command()
@click.option(
    "--days", default=90, show_default=True, type=click.IntRange(1), help="How long a role may stay unused."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")
def access(days: int, as_json: bool) -> None:
    """Review access: who can do what, last used when, what to withdraw; exit 1 if anything is to be withdrawn."""
    found = ask_server("access", days=str(days))["access"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        table = Table()
        for column in ("log-in", "roles", "last change", "last read", "withdraw"):
            table.add_column(column)
        for each in found:
            table.add_row(
                escape(each["user"]) + ("" if each["exists"] else " [red](no such log-in)[/]"),
                escape(", ".join(role["role"] for role in each["roles"])),
                _day(each["last_act"]),
                _day(each["last_read"]),
                escape("\n".join(each["withdraw"])),
            )
        Console().print(table)
    if any(each["withdraw"] for each in found):
        raise click.exceptions.Exit(1)


def _print_roles(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    table = Table()
    for column in ("log-in", "role", "given by"):
        table.add_column(column)
    for each in found:
        table.add_row(escape(each["user"]), each["role"], escape(each["granted_by"]))
    Console().print(table)


def _day(time: str | None) -> str:
    return time[:10] if time else "never"

"""Files that a command writes: whole, or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

__all__ = ["check_writable", "write_json", "write_whole"]


def check_writable(path: Path | None) -> None:
    """Refuse a file that could not be written in the end, before hours of counting.

    Raises
    ------
    click.UsageError
    """
    if path is None or str(path) == "-":
        return
    if path.is_dir():
        raise click.UsageError(f"{path}: expected the name of a file, this is a folder")
    if not path.parent.is_dir():
        raise click.UsageError(f"{path}: the folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise click.UsageError(f"{path}: the folder {path.parent} may not be written to")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is either the old one or the whole new one, even after a crash.

    Raises
    ------
    click.ClickException
        Where it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise click.ClickException(f"{path}: cannot be written: {error.strerror}") from error


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write JSON; the path "-" is the standard output."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    if str(path) == "-":
        click.echo(text, nl=False)
    else:
        write_whole(path, text.encode())

"""Files that a command writes: whole, or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from camera_counting.pictures import SUFFIXES
from camera_counting.whole_file import is_device, part_of, put_in_place

__all__ = ["check_writable", "write_json", "write_whole"]


def check_writable(path: Path | None, *inputs: Path | None) -> None:
    """Refuse a file that could not be written in the end, before hours of counting, or that is one of the inputs.

    Raises
    ------
    click.UsageError
    """
    if path is None or str(path) == "-":
        return
    if path.is_dir():
        raise click.UsageError(f"{path}: expected the name of a file, this is a folder")
    if is_device(path):
        if not os.access(path, os.W_OK):
            raise click.UsageError(f"{path}: may not be written to")
        return
    if any(_replaces(path, given) for given in inputs if given is not None):
        raise click.UsageError(f"{path}: this would replace what the command reads; give the output another name")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise click.UsageError(f"{path}: the folder {path.parent} does not exist; create it first")
    if not os.access(folder, os.W_OK):
        raise click.UsageError(f"{path}: the folder {path.parent} may not be written to")


def _replaces(path: Path, given: Path) -> bool:
    if path.resolve() == given.resolve() or (path.exists() and given.exists() and path.samefile(given)):
        return True
    # of a folder, its pictures are read
    return path.exists() and path.suffix.lower() in SUFFIXES and path.resolve().parent == given.resolve()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is either the old one or the whole new one, even after a crash.

    Raises
    ------
    click.ClickException
        Where it cannot be written.
    """
    part: Path | None = None
    try:
        part = part_of(path)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(part, path)
    except OSError as error:
        if part is not None:
            part.unlink(missing_ok=True)
        raise click.ClickException(f"{path}: cannot be written: {error.strerror}") from error


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write JSON; the path "-" is the standard output."""
    # a file's name need not be UTF-8; what is not is escaped as JSON escapes it
    data = (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
    if str(path) == "-":
        click.echo(data, nl=False)
    else:
        write_whole(path, data)

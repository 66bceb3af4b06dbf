"""The place of a prepared data set: whether it is taken, by what, and how a new set takes it in one step."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from pipelines.datasets.errors import BrokenDatasetError
from pipelines.datasets.manifest import PreparedDataset, load_dataset

__all__ = [
    "building_beside",
    "existing",
    "kept_in",
    "note_store",
    "refuse_foreign",
    "report_beside",
    "take_place",
    "write_record",
]

RECORD = "prepare.json"


def write_record(folder: Path, fingerprint: str, settings: dict[str, Any], store: str) -> None:
    """Write down in a prepared data set what it was made of, and where it is kept."""
    record = {"fingerprint": fingerprint, "settings": settings, "store": store}
    beside = folder / f".{RECORD}.{os.getpid()}"
    beside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    beside.replace(folder / RECORD)


def kept_in(folder: Path) -> str | None:
    """The store that holds a prepared data set; None where nobody wrote it down."""
    path = folder / RECORD
    return json.loads(path.read_text(encoding="utf-8")).get("store") if path.is_file() else None


def note_store(out: Path, store: str) -> None:
    """A set that was there already is kept in this store from now on."""
    record = json.loads((out / RECORD).read_text(encoding="utf-8"))
    if record.get("store") != store:
        write_record(out, record["fingerprint"], record["settings"], store)


@contextmanager
def building_beside(out: Path) -> Iterator[Path]:
    """A folder beside `out` to build in, gone afterwards; also those of killed runs are."""
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(out)
    building = out.with_name(f".{out.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.building")
    try:
        building.mkdir()
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)


def report_beside(out: Path) -> Path:
    """Where the report of a set that was refused lies; a set that was made holds its own."""
    return out.with_name(f"{out.name}.validation.json")


def existing(out: Path, fingerprint: str) -> PreparedDataset | None:
    """The set that is there, if it was made by the same settings and no file of it was altered."""
    record = out / RECORD
    if not record.is_file():
        return None
    try:
        if json.loads(record.read_text(encoding="utf-8")).get("fingerprint") != fingerprint:
            return None
        return load_dataset(out, verify=True)
    except (BrokenDatasetError, json.JSONDecodeError) as error:
        click.echo(f"prepared data set in {out} is damaged and is made again: {error}", err=True)
        return None


def refuse_foreign(out: Path) -> None:
    """A `FileExistsError` where `out` holds something that is no prepared data set."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / RECORD).is_file())):
        raise FileExistsError(
            f"expected {out} to be absent, empty or a data set that this step prepared; it holds something else, "
            "which would be lost: choose another --out"
        )


def take_place(new: Path, out: Path) -> None:
    """Put `new` in the place of `out`; after a kill in between the next run makes it again."""
    old = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.old")
    if out.exists():
        out.rename(old)
    new.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _remove_leftovers(out: Path) -> None:
    """What a killed run of this step left behind: its process is gone."""
    for path in out.parent.glob(f".{out.name}.*.building"):
        process = path.name.removeprefix(f".{out.name}.").split(".")[0]
        if not Path(f"/proc/{process}").exists():
            shutil.rmtree(path, ignore_errors=True)
    for path in out.parent.glob(f".{out.name}.*.old"):
        shutil.rmtree(path, ignore_errors=True)

"""Files that appear under their name when they are complete, never half written."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["is_device", "part_of", "put_in_place"]

_DEVICES = {Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd")}


def is_device(path: Path) -> bool:
    """Whether what is there must be written into, and not be replaced: /dev/null, /dev/stdout, a pipe."""
    return path.exists() and not path.is_dir() and (path.parent in _DEVICES or not path.is_file())


def part_of(path: Path) -> Path:
    """Where to write until all is written: beside the file, or beside the one that it links to."""
    if is_device(path):
        handle, name = tempfile.mkstemp(prefix="camera-counting.", suffix=".part")
        os.close(handle)
        return Path(name)
    target = path.resolve()
    return target.with_name(f".{target.name}.{os.getpid()}.part")


def put_in_place(part: Path, path: Path) -> None:
    """Let what was written appear under its name.

    Raises
    ------
    OSError
        Where that cannot be; the part is still there.
    """
    if is_device(path):
        with part.open("rb") as written, path.open("wb") as device:
            shutil.copyfileobj(written, device)
        part.unlink()
    else:
        part.replace(path.resolve())

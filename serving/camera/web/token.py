"""The token: read from a file that nobody else may read, or made once and written there."""

from __future__ import annotations

import logging
import os
import re
import secrets
import stat
from pathlib import Path

from serving.errors import ServingError

__all__ = ["read_token"]

_log = logging.getLogger("serving.camera")

_SHORTEST = 16


def read_token(path: Path) -> str:
    """The token of a file; where there is no file, one is made and written, for its owner alone.

    Raises
    ------
    ServingError
        Where others may read the file, or it holds no token of at least 16 printable characters without blanks.
    """
    try:
        return _made(path) if not path.exists() else _read(path)
    except FileExistsError:  # somebody else has just made it
        return _read(path)
    except OSError as error:
        raise ServingError(f"the token file {path} cannot be used: {error.strerror}") from error


def _made(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_urlsafe(32)
    # complete under another name first: a second process must never read half of it
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)
    finally:
        part.unlink(missing_ok=True)
    _log.info("a token for the page was made; read it in %s", path)
    return token


def _read(path: Path) -> str:
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ServingError(
            f"the token file {path} may be read by others (mode {stat.S_IMODE(mode):o}): chmod 600 it"
        )
    token = path.read_text(encoding="utf-8", errors="replace").strip()
    if len(token) < _SHORTEST or not re.fullmatch(r"[\x21-\x7e]+", token):
        raise ServingError(
            f"the token file {path}: expected one token of at least {_SHORTEST} printable ASCII characters "
            "without blanks; remove the file and one is made"
        )
    return token

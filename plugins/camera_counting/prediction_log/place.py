"""Where a prediction log and its spool lie."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

__all__ = ["local_root", "spool_folder"]


def local_root(uri: str) -> Path | None:
    """The folder that a URI names; None for one of a remote store."""
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://"))
    return None if "://" in uri else Path(uri)


def spool_folder(uri: str) -> Path:
    """Where the spool of this log lies: in the log itself, or, for a remote one, in a local folder."""
    root = local_root(uri)
    if root is not None:
        return root / "_spool"
    home = os.environ.get("CAMERA_COUNTING_SPOOL") or os.path.join(  # noqa: PTH118
        os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state", "camera-counting", "spool"
    )
    return Path(home) / hashlib.sha256(uri.encode()).hexdigest()[:16]

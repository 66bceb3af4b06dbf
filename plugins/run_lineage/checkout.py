"""Asking git about the checkout that a process runs in, without disturbing whoever works there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

__all__ = ["git", "root_of"]


def git(folder: Path, *arguments: str, patience: float = 2.0) -> bytes | None:
    """What git answers; None where there is no git, no checkout, or no answer within `patience` seconds."""
    try:
        answer = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            # A run must not take the index lock away from somebody who is committing.
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            timeout=patience,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout


def root_of(folder: Path) -> Path | None:
    """The checkout around a folder."""
    return next((up for up in (folder.resolve(), *folder.resolve().parents) if (up / ".git").exists()), None)

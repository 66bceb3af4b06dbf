"""The code that made a run: commit, changes on top of it, the script, the locks."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["checkout_tags"]

_LOCKS = ("requirements/*.txt", "requirements*.txt", "conda.yaml", "uv.lock", "poetry.lock", "pixi.lock")
_PATIENCE_SECONDS = 2.0


def checkout_tags(folder: Path | None = None) -> dict[str, str]:
    """Tags of the checkout around a folder (the working directory by default); none outside of one."""
    folder = folder or Path.cwd()
    tags = _state(folder)
    root = _root(folder) if tags else None
    script = _script()
    if script is not None:
        tags["lineage.entry_point"] = _relative(script, root)
    if root is not None and (digest := _lock_digest(root)):
        tags["lineage.lock_digest"] = digest
    return tags


def _state(folder: Path) -> dict[str, str]:
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=normal")
    if status is None:
        return _commit(folder)
    head: dict[str, str] = {}
    dirty = False
    for line in status:
        if line.startswith("# branch."):
            key, _, value = line.removeprefix("# branch.").partition(" ")
            head[key] = value
        elif not line.startswith("#"):
            dirty = True
    if head.get("oid", "(initial)") == "(initial)":
        return {}
    return {
        "lineage.git_commit": head["oid"],
        "lineage.git_branch": head.get("head", "(detached)"),
        "lineage.git_dirty": "true" if dirty else "false",
    }


def _commit(folder: Path) -> dict[str, str]:
    """What is known of a checkout so large that its state takes too long: the commit, but not what was changed."""
    answer = _git(folder, "rev-parse", "HEAD", "--abbrev-ref", "HEAD")
    if answer is None or len(answer) != 2:
        return {}
    commit, branch = answer
    return {"lineage.git_commit": commit, "lineage.git_branch": "(detached)" if branch == "HEAD" else branch}


def _git(folder: Path, *arguments: str) -> list[str] | None:
    """The lines of git's answer; None where there is no git, no checkout, or no answer in time."""
    try:
        answer = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            # A run must not take the index lock away from somebody who is committing.
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return answer.stdout.splitlines()


def _root(folder: Path) -> Path | None:
    return next((up for up in (folder.resolve(), *folder.resolve().parents) if (up / ".git").exists()), None)


def _script() -> Path | None:
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(main) if main else None


def _relative(script: Path, root: Path | None) -> str:
    script = script.resolve()
    if root is not None and script.is_relative_to(root):
        return script.relative_to(root).as_posix()
    return script.name


def _lock_digest(root: Path) -> str | None:
    digest, found = hashlib.sha256(), False
    for path in sorted({path for pattern in _LOCKS for path in root.glob(pattern)}):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
        found = True
    return digest.hexdigest() if found else None

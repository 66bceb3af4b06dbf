"""The code that made a run: commit, changes on top of it, the script, the locks."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from run_lineage.checkout import git, root_of

__all__ = ["checkout_tags", "lock_digest", "lock_files"]

_LOCKS = ("requirements/*.txt", "requirements*.txt", "conda.yaml", "uv.lock", "poetry.lock", "pixi.lock")


def checkout_tags(folder: Path | None = None) -> dict[str, str]:
    """Tags of the checkout around a folder (the working directory by default); none outside of one."""
    folder = folder or Path.cwd()
    tags = _state(folder)
    root = root_of(folder) if tags else None
    script = _script()
    if script is not None:
        tags["lineage.entry_point"] = _relative(script, root)
    if root is not None and (digest := lock_digest(root)):
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
    """The lines of git's answer; None where there is none."""
    answer = git(folder, *arguments)
    # A file's name may be any bytes; of it only whether it is there is wanted.
    return None if answer is None else answer.decode("utf-8", "replace").splitlines()


def _script() -> Path | None:
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(main) if main else None


def _relative(script: Path, root: Path | None) -> str:
    script = script.resolve()
    if root is not None and script.is_relative_to(root):
        return script.relative_to(root).as_posix()
    return script.name


def lock_files(root: Path) -> list[Path]:
    """The checkout's lock files, sorted."""
    return sorted({path for pattern in _LOCKS for path in root.glob(pattern) if path.is_file()})


def lock_digest(root: Path) -> str | None:
    """SHA-256 over names, sizes and bytes of the lock files; None where there is none."""
    digest, found = hashlib.sha256(), False
    for path in lock_files(root):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
        found = True
    return digest.hexdigest() if found else None

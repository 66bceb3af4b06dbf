"""Whether data, code or configuration changed since the last run, by their digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.ci.recipe import Recipe
from pipelines.datasets.fingerprint import fingerprint
from pipelines.trainers.training_folder import write_whole

__all__ = ["LastRun", "changed", "digests_of", "read_last", "write_last"]


class LastRun(BaseModel):
    """What a run leaves for the next one to compare with.

    Attributes
    ----------
    digests : dict
        SHA-256 by ``data``, ``code`` and ``configuration``.
    passed : bool
        Whether every gate passed.
    figures : dict
        Metrics by name.
    summary : str
        Its Markdown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    digests: dict[str, str]
    passed: bool
    figures: dict[str, float]
    summary: str


def digests_of(recipe: Recipe, recipe_file: Path, root: Path) -> dict[str, str]:
    """The three digests of a checkout.

    Raises
    ------
    ValueError
        Where a pattern of the recipe finds no file: whoever watches nothing would never notice a change.
    """
    configuration = [*_found(recipe.watch.configuration, root), recipe_file.resolve(), recipe.policy, recipe.texts]
    return {
        "data": fingerprint(recipe.prepare_settings(Path("data"))),
        "code": _digest(_found(recipe.watch.code, root), root),
        "configuration": _digest(configuration, root),
    }


def changed(digests: dict[str, str], last: LastRun | None) -> tuple[str, ...]:
    """Which of them differ; all of them where there was no run before."""
    before = last.digests if last else {}
    return tuple(what for what, digest in digests.items() if before.get(what) != digest)


def read_last(path: Path) -> LastRun | None:
    """The last run; None where there was none, or where what it left cannot be read: then everything changed."""
    try:
        return LastRun.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None


def write_last(path: Path, last: LastRun) -> None:
    """Whole or not at all: a run that is killed leaves that of the run before."""
    write_whole(path, json.dumps(last.model_dump(), indent=1) + "\n")


def _found(patterns: Iterable[str], root: Path) -> list[Path]:
    found: set[Path] = set()
    for pattern in patterns:
        matched = [path for path in root.glob(pattern) if path.is_file()]
        if not matched:
            raise ValueError(f"the recipe watches {pattern}, which no file in {root} matches; correct the pattern")
        found.update(matched)
    return sorted(found)


def _digest(paths: Iterable[Path], root: Path) -> str:
    lines = {
        (path.relative_to(root) if path.is_relative_to(root) else Path(path.name)).as_posix(): path
        for path in paths
    }
    digest = hashlib.sha256()
    for name, path in sorted(lines.items()):
        digest.update(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n".encode())
    return digest.hexdigest()

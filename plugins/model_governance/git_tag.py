"""The git tag of a version: ``model/<name>/<semantic version>``, annotated, on the commit that made it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from model_governance.admission import find_version
from model_governance.errors import VersioningError

__all__ = ["git_tag_name", "tag_commit"]

_PATIENCE_SECONDS = 30
_WHOLE = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def git_tag_name(version: ModelVersion) -> str:
    """The tag's name; a registered version needs a semantic version for one."""
    semantic = version.tags.get("semantic_version")
    if not semantic:
        raise VersioningError(
            f"version {version.version} of {version.name!r} has no semantic version; register its model with "
            "`model-governance register`"
        )
    return f"model/{version.name}/{semantic}"


def tag_commit(name: str, version: str, repository: Path | str = ".") -> str:
    """Tag the commit that a version was made from; gives the tag's name. A tag that is there already is left.

    Nothing is forced and nothing is pushed.

    Raises
    ------
    VersioningError
        Where no commit was recorded or the repository does not hold it; where the tag stands on another commit;
        where git refuses the name.
    TransitionError
        Where there is no such version.
    """
    found = find_version(MlflowClient(), name, version)
    tag, commit = git_tag_name(found), found.tags.get("git_commit")
    label, folder = f"version {found.version} of {name!r}", Path(repository)
    if not commit:
        raise VersioningError(f"{label} carries no git commit, so there is nothing to tag: train from a checkout")
    if not _WHOLE.fullmatch(commit):
        raise VersioningError(
            f"{label} carries the git commit {commit[:60]!r}, which is no whole commit id of 40 or 64 digits: a "
            "branch or a short id may mean another commit tomorrow"
        )
    if _git(folder, "check-ref-format", f"refs/tags/{tag}") is None:
        raise VersioningError(f"git takes no tag {tag!r}; a model to be tagged needs a plainer name than {name!r}")
    # Not `rev-parse`, which gives back any 40 digits, known or not.
    if _git(folder, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        raise VersioningError(
            f"{label} was made from commit {commit}, which the repository {folder.resolve().name!r} does not "
            "hold; fetch it, or name the repository that does"
        )
    there = _git(folder, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}")
    if there is None:
        _create(folder, tag, commit, _message(found))
        there = _git(folder, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}")
    if there != commit:
        raise VersioningError(
            f"the tag {tag} stands on commit {there}, {label} was made from {commit}; a tag is never moved here: "
            "find out who set it, and remove it by hand if it is wrong"
        )
    return tag


def _create(folder: Path, tag: str, commit: str, message: str) -> None:
    try:
        subprocess.run(
            ["git", "tag", "--annotate", "--message", message, tag, commit],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise VersioningError(f"git did not set the tag {tag}: {error.stderr.strip()}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise VersioningError(f"git did not set the tag {tag}: {error}") from error


def _message(version: ModelVersion) -> str:
    tags = version.tags
    lines = [
        f"{version.name} {tags['semantic_version']}",
        "",
        f"registered version: {version.version}",
        f"artifact digest: {tags.get('artifact_digest', 'not recorded')}",
        f"run: {tags.get('source_run_id', 'not recorded')}",
        f"gates: {tags.get('gates', 'never judged')}",
    ]
    run = MlflowClient().get_run(tags["source_run_id"]) if tags.get("source_run_id") else None
    if run is not None and run.data.tags.get("lineage.git_dirty") == "true":
        lines.append("made with uncommitted changes on top of this commit: the run keeps them")
    return "\n".join(lines)


def _git(folder: Path, *arguments: str) -> str | None:
    """What git answers, without the line's end; None where it says no."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise VersioningError(f"git cannot be asked in {folder}: {error}") from error
    return done.stdout.strip() if done.returncode == 0 else None

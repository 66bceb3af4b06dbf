"""The place that a run is made again in: its code and its interpreter, and nothing left of it afterwards."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from pipelines.reproduction.errors import ReproductionError
from run_lineage import RunRecord
from run_lineage.locks import differences
from run_lineage.machine import installed

__all__ = ["check_code", "interpreter", "recorded_code", "scratch"]

# The project itself: its code comes from the recorded commit, whatever is installed.
_OURSELVES = "mlflow-camera-counting"


@contextmanager
def scratch(work: Path, *, keep: bool = False) -> Iterator[Path]:
    """A new folder below `work`, gone afterwards unless it is kept; those of killed runs are removed as well."""
    work.mkdir(parents=True, exist_ok=True)
    for old in work.glob("*.again"):
        process = old.name.split("-")[0]
        if not Path(f"/proc/{process}").exists():
            _git(old, "worktree", "remove", "--force", "--force", "code")
            shutil.rmtree(old, ignore_errors=True)
    place = work / f"{os.getpid()}-{uuid.uuid4().hex[:8]}{'' if keep else '.again'}"
    place.mkdir()
    try:
        yield place.resolve()
    finally:
        if not keep:
            shutil.rmtree(place, ignore_errors=True)


def check_code(record: RunRecord, repository: Path) -> None:
    """Refuse, before anything is made, what cannot become the recorded code.

    Raises
    ------
    ReproductionError
        Where the run recorded no commit, the commit is not in the repository, or changes of tracked files were not
        kept.
    """
    if record.commit is None:
        raise ReproductionError(
            "the run recorded no commit: it ran outside of a git checkout, so nobody knows its code"
        )
    if _git(repository, "rev-parse", "--git-dir").returncode:
        raise ReproductionError(
            f"expected a git checkout of this project in {repository.resolve()}, found none: give --repository"
        )
    if _git(repository, "cat-file", "-e", f"{record.commit}^{{commit}}").returncode:
        raise ReproductionError(
            f"the run's commit {record.commit} is not in {repository.resolve()}: fetch the branch it was on "
            f"(git fetch origin {record.commit}), or give --repository, a checkout that has it"
        )
    lost = {**record.changed, **{path: why for path, why in record.new.items() if path.endswith(".py")}}
    if lost:
        named = "; ".join(f"{path} ({why})" for path, why in list(lost.items())[:5])
        raise ReproductionError(
            f"the run's code was not only its commit, and these changes were not kept: {named}. What ran is not "
            "known, so it cannot be run again; commit before runs that are to be reproducible"
        )


@contextmanager
def recorded_code(record: RunRecord, repository: Path, folder: Path, *, keep: bool = False) -> Iterator[Path]:
    """The recorded commit with the recorded changes on top, as a worktree; the checkout itself stays as it is.

    Raises
    ------
    ReproductionError
        Where git cannot make it, or the changes do not apply.
    """
    made = _git(repository, "worktree", "add", "--detach", "--quiet", str(folder), str(record.commit))
    try:
        if made.returncode:
            raise ReproductionError(f"git cannot check out {record.commit}: {_said(made)}")
        if record.diff:
            applied = _git(folder, "apply", "--whitespace=nowarn", "-", content=record.diff)
            if applied.returncode:
                raise ReproductionError(f"the recorded changes do not apply to {record.commit}: {_said(applied)}")
        yield folder
    finally:
        if not keep:
            _git(repository, "worktree", "remove", "--force", "--force", str(folder))


def interpreter(record: RunRecord, env: str, code: Path, environments: Path) -> tuple[Path, list[str]]:
    """The Python to run with, and sentences about where its packages differ from the recorded ones.

    Parameters
    ----------
    env : str
        same: this one, which must hold the recorded packages; any: this one, whatever it holds; uv: one that uv
        builds from the recorded lock, kept in `environments` by its digest.

    Raises
    ------
    ReproductionError
        Where the packages differ and env is same, or uv cannot build the environment.
    """
    if env == "uv":
        return _built(record, code, environments), []
    differing = {
        name: told
        for name, told in differences(list(record.environment), installed()).items()
        if name != _OURSELVES
    }
    here = ".".join(map(str, sys.version_info[:3]))
    if record.python.split(".")[:2] != here.split(".")[:2]:
        differing = {"python": f"{record.python or 'unknown'}, here {here}", **differing}
    # What was not there then is imported by no recorded code; it is told, and does not stand in the way.
    added = {name for name, told in differing.items() if told.startswith("not installed")}
    decisive = {name: told for name, told in differing.items() if name not in added}
    if decisive and env == "same":
        named = "; ".join(f"{name} {told}" for name, told in list(decisive.items())[:8])
        more = f" and {len(decisive) - 8} more" if len(decisive) > 8 else ""
        raise ReproductionError(
            f"this environment is not the run's: {named}{more}. Give --env uv to build it from the run's lock, or "
            "--env any to run with what is here and see whether it matters"
        )
    told = [f"{name} {how}" for name, how in decisive.items()]
    if added:
        told.append(f"{len(added)} packages here that were not there: {', '.join(sorted(added)[:8])}")
    return Path(sys.executable), told


def _built(record: RunRecord, code: Path, environments: Path) -> Path:
    if record.lock is None:
        raise ReproductionError("the run recorded no lock file to build an environment from: give --env any")
    version = ".".join(record.python.split(".")[:2]) or ".".join(map(str, sys.version_info[:2]))
    name = hashlib.sha256(f"{version} {record.commit} {record.lock}".encode()).hexdigest()[:16]
    place = environments.resolve() / name
    python = place / "bin" / "python"
    if (place / "complete").exists():
        return python
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if uv is None:
        raise ReproductionError("--env uv needs uv, which is not installed: pip install uv")
    shutil.rmtree(place, ignore_errors=True)  # what a killed call left
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = place.parent / f"{name}.lock.txt"
    lock.write_text(record.lock, encoding="utf-8")
    hashes = ["--require-hashes"] if "--hash=" in record.lock else []
    click.echo(f"building the environment of the run in {place}", err=True)
    commands = [
        [uv, "venv", "--quiet", "--python", version, str(place)],
        [uv, "pip", "sync", "--quiet", "--python", str(python), *hashes, str(lock)],
    ]
    if (code / "pyproject.toml").is_file():
        # Its entry points are how MLflow finds its plugins; its modules come from the worktree.
        commands.append([uv, "pip", "install", "--quiet", "--python", str(python), "--no-deps", str(code)])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ReproductionError(f"uv cannot build the run's environment: {done.stderr.strip()[-800:]}")
    (place / "complete").touch()
    return python


def _git(folder: Path, *arguments: str, content: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    # No hook of the repository runs, and no setting of the user changes what comes out.
    quiet = ("-c", f"core.hooksPath={os.devnull}", "-c", "core.autocrlf=false", "-c", "advice.detachedHead=false")
    # Inside of a hook these would lead to another repository.
    misleading = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    environment = {name: value for name, value in os.environ.items() if name not in misleading}
    try:
        return subprocess.run(
            ["git", *quiet, *arguments],
            cwd=folder,
            input=content,
            env=environment,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise ReproductionError(f"git cannot be run in {folder}: {error}") from error


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stderr.decode("utf-8", "replace").strip()[-500:]

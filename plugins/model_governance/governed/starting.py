"""What a server keeps from its start to its end: the policy as it was then, and whether it ever ran.

`mlflow server` imports the app in its own process, starts uvicorn, waits for it and forgets how it ended. In that
first process the policy and the settings of notifications are copied into a private folder, and every worker,
also one that uvicorn starts again a week later, reads the copies: all of them go by the same rules. What is edited
meanwhile is told in the log and waits for the next start of the server.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import threading
from pathlib import Path

import click

from model_governance.errors import PolicyError
from model_governance.governed.current_policy import POLICY_VARIABLE
from model_governance.governed.notify.settings import NOTIFY_FILE, load_notify
from model_governance.policy import load_policy

__all__ = ["START_VARIABLE", "ever_ran", "keep_start", "note_running"]

START_VARIABLE = "_MODEL_GOVERNANCE_START"
"""Environment variable with the folder that a server's workers share."""

_READERS = {POLICY_VARIABLE: load_policy, NOTIFY_FILE: load_notify}
_LOOK_EVERY_S = 5.0
_logger = logging.getLogger(__name__)


def keep_start(app_name: str) -> None:
    """Keep what the workers read, where this process is the `mlflow server` that is about to start them.

    Anywhere else nothing happens. When that command ends, the folder goes, and the exit code is 1 where no worker
    ever ran.

    Raises
    ------
    click.ClickException
        Where a file cannot be read: the command says why, ends with 1, and starts nothing.
    """
    context = click.get_current_context(silent=True)
    if context is None or context.params.get("app_name") != app_name:
        return
    folder = Path(tempfile.mkdtemp(prefix="mlflow-governed-"))
    # what clears folders for temporary files leaves alone what is locked (systemd-tmpfiles does)
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_SH)
    over = threading.Event()

    def end() -> None:
        over.set()
        ran = _ran(folder)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        if not ran:
            click.echo("The governed server could not start; the log above says why.", err=True)
            raise SystemExit(1)

    context.call_on_close(end)
    kept: dict[str, tuple[Path, bytes]] = {}
    for variable, read in _READERS.items():
        if path := os.environ.get(variable, "").strip():
            copy = folder / f"{variable.lower()}.yaml"
            try:
                content = Path(path).read_bytes()
                copy.write_bytes(content)
                read(copy)
            except OSError as error:
                raise click.ClickException(f"cannot read {path}, which {variable} names: {error}") from error
            except PolicyError as error:
                raise click.ClickException(str(error).replace(str(copy), path)) from error
            os.environ[variable] = str(copy)
            kept[variable] = (Path(path), content)
    os.environ[START_VARIABLE] = str(folder)
    for variable, (original, content) in kept.items():
        watch = threading.Thread(
            target=_tell_of_edits, args=(variable, original.absolute(), content, over), daemon=True
        )
        watch.start()


def note_running() -> None:
    """Write down that a worker of this server runs."""
    if folder := os.environ.get(START_VARIABLE):
        (Path(folder) / "ran").touch()


def ever_ran() -> bool:
    """Whether a worker of this server runs, or ran before."""
    return _ran(Path(os.environ.get(START_VARIABLE) or os.devnull))


def _ran(folder: Path) -> bool:
    return (folder / "ran").is_file()


def _tell_of_edits(variable: str, path: Path, known: bytes, over: threading.Event) -> None:
    """Say in the log, once each time, that a file is no longer what the server started with."""
    started_with = known
    while not over.wait(_LOOK_EVERY_S):
        try:
            now = path.read_bytes()
        except OSError:
            now = b""
        if now == known:
            continue
        known = now
        if now == started_with:
            _logger.warning("%s is again what this server started with", path)
            continue
        try:
            _READERS[variable](path)
            then = "to take the new one, restart the server"
        except PolicyError as error:
            then = f"with it as it is now the server would not start again: {error}"
        _logger.warning("%s is not what this server started with; it goes on by what it read then; %s", path, then)

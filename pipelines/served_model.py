"""`mlflow models serve` as a child process, and the counting requests that are sent to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal

import mlflow
import psutil

__all__ = ["ServedModel", "ServingError", "ask", "serve", "serving"]

# Pictures for this machine go to no proxy, whatever the environment names one for.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_PREDICTION_LOG = "CAMERA_COUNTING_PREDICTION_LOG"


class ServingError(RuntimeError):
    """The server did not start, or did not answer; carries the end of its log or its answer.

    Attributes
    ----------
    status : int or None
        Of its answer, where there was one.
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A server that answers.

    Attributes
    ----------
    url : str
        Of its invocations.
    process : psutil.Process
        The command that was started; the server itself may be a child of it.
    started : float
        `time.monotonic()` just before it was started.
    """

    url: str
    process: psutil.Process
    started: float

    def memory_mb(self) -> float:
        """Memory of the command and all its children now, in 10^6 bytes; what they share is counted once.

        The proportional set size where the system tells it (Linux), else the resident one.
        """
        total = 0
        for process in (self.process, *self.process.children(recursive=True)):
            try:
                full = process.memory_full_info()
                total += getattr(full, "pss", 0) or full.rss
            except psutil.NoSuchProcess:
                continue  # ended between being listed and being asked
            except psutil.AccessDenied:
                total += process.memory_info().rss  # some systems tell the full figures to nobody
        return total / 1e6


@contextmanager
def serving(model_uri: str, *, log: Path, prediction_log: Path, patience: float = 240.0) -> Iterator[str]:
    """Serve a registered model in an environment of its own; gives the URL of its invocations.

    Parameters
    ----------
    log : Path
        Where the server's output goes.
    prediction_log : Path
        Folder of the prediction log that the served model writes.
    patience : float
        Seconds until it must answer; the first start builds the environment.

    Raises
    ------
    ServingError
        Where it does not come up.
    """
    with serve(model_uri, log=log, prediction_log=prediction_log, patience=patience, env_manager="uv") as served:
        yield served.url


@contextmanager
def serve(
    model_uri: str,
    *,
    log: Path,
    prediction_log: Path | None = None,
    patience: float = 240.0,
    env_manager: Literal["local", "uv"] = "local",
) -> Iterator[ServedModel]:
    """Start `mlflow models serve` on a model, wait until it answers, and end it with all its children.

    Parameters
    ----------
    prediction_log : Path, optional
        Folder of the prediction log that the served model writes; without it none is written, whatever this
        process's own environment says.
    env_manager : str
        ``local`` serves with the packages of this process, ``uv`` builds the model's own environment.

    Raises
    ------
    ServingError
        Where it does not come up.
    """
    port = _free_port()
    binaries = Path(sys.executable).parent
    command = [
        *(str(binaries / "mlflow"), "models", "serve", "--model-uri", model_uri),
        *("--env-manager", env_manager, "--host", "127.0.0.1", "--port", str(port)),
    ]
    inherited = {name: value for name, value in os.environ.items() if name != _PREDICTION_LOG}
    environment = inherited | {
        "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}",
        # Set in this process it may be in no variable.
        "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
        "MLFLOW_REGISTRY_URI": mlflow.get_registry_uri(),
        # Byte code written beside the model's own code would be a change of its files.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if prediction_log is not None:
        environment[_PREDICTION_LOG] = str(prediction_log.resolve())
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            served = ServedModel(f"http://127.0.0.1:{port}/invocations", psutil.Process(process.pid), started)
            _await(f"http://127.0.0.1:{port}/ping", process, log, patience)
            yield served
        finally:
            _stop(process)


def ask(url: str, columns: list[str], rows: list[list[Any]], params: dict[str, Any] | None = None) -> list[Any]:
    """Send one table of counting requests; gives the rows of the answer.

    Raises
    ------
    ServingError
        With the server's own sentence where it refuses.
    """
    body: dict[str, Any] = {"dataframe_split": {"columns": columns, "data": rows}}
    if params:
        body["params"] = params
    request = urllib.request.Request(  # noqa: S310 - an address of this machine
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with _DIRECT.open(request, timeout=120) as answer:
            return list(json.load(answer)["predictions"])
    except urllib.error.HTTPError as error:
        text = f"HTTP {error.code}: {error.read().decode(errors='replace')[-500:]}"
        raise ServingError(text, error.code) from error
    except (OSError, ValueError, KeyError, TypeError, HTTPException) as error:
        # It broke off, took too long, or answered with something else than predictions.
        raise ServingError(f"no answer: {type(error).__name__}: {error}") from error


def _await(url: str, process: subprocess.Popen[bytes], log: Path, patience: float) -> None:
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with _DIRECT.open(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    tail = log.read_text(errors="replace")[-1500:]
    ended = process.poll()
    how = f"did not answer within {patience:.0f} s" if ended is None else f"ended with exit code {ended}"
    raise ServingError(f"mlflow models serve {how}; its log ends with:\n{tail}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the command and whatever it started, also where the command itself has ended before."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=20)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

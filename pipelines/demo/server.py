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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["ServingError", "ask", "serving"]


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
    port = _free_port()
    binaries = Path(sys.executable).parent
    command = [
        *(str(binaries / "mlflow"), "models", "serve", "--model-uri", model_uri),
        *("--env-manager", "uv", "--host", "127.0.0.1", "--port", str(port)),
    ]
    environment = {
        **os.environ,
        "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}",
        "CAMERA_COUNTING_PREDICTION_LOG": str(prediction_log.resolve()),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            _await(f"http://127.0.0.1:{port}/ping", process, log, patience)
            yield f"http://127.0.0.1:{port}/invocations"
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
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return list(json.load(answer)["predictions"])
    except urllib.error.HTTPError as error:
        text = f"HTTP {error.code}: {error.read().decode(errors='replace')[-500:]}"
        raise ServingError(text, error.code) from error


def _await(url: str, process: subprocess.Popen[bytes], log: Path, patience: float) -> None:
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    tail = log.read_text(errors="replace")[-1500:]
    raise ServingError(f"mlflow models serve did not answer within {patience:.0f} s; its log ends with:\n{tail}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

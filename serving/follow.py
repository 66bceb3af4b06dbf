"""Serve whatever version has the alias `serving`, with `mlflow models serve`, and follow the alias when it moves.

    python -m serving.follow --name camera-counter --port 5001

While no version has the alias, it waits and says so. When the alias moves, the new version is served on the same
port as soon as the old server has let go of it: some seconds without answers.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

__all__ = ["main", "serving_version"]

_log = logging.getLogger("serving.follow")


def serving_version(name: str, alias: str = "serving") -> str | None:
    """The version with the alias; None where there is none (yet), or where the registry does not answer."""
    try:
        return str(MlflowClient().get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        _log.debug("no %s@%s: %s", name, alias, error)
        return None


@click.command(help=__doc__)
@click.option("--name", default="camera-counter", show_default=True, help="Registered model.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=5001, show_default=True)
@click.option("--env-manager", default="local", show_default=True)
@click.option("--every", default=5.0, show_default=True, help="Seconds between two looks at the alias.")
def main(name: str, host: str, port: int, env_manager: str, every: float) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    served: str | None = None
    server: subprocess.Popen[bytes] | None = None
    told = False
    try:
        while True:
            wanted = serving_version(name)
            if wanted is None and served is None and not told:
                _log.info("%s: no version has the alias `serving` yet; promote one (make demo does)", name)
                told = True
            if wanted is not None and wanted != served:
                _stop(server)
                _log.info("%s: serving version %s on http://%s:%d/invocations", name, wanted, host, port)
                server, served = _start(f"models:/{name}/{wanted}", host, port, env_manager), wanted
            if server is not None and server.poll() is not None:
                raise SystemExit(f"{name} version {served}: mlflow models serve ended with {server.returncode}")
            time.sleep(every)
    finally:
        _stop(server)


def _start(model_uri: str, host: str, port: int, env_manager: str) -> subprocess.Popen[bytes]:
    mlflow = Path(sys.executable).with_name("mlflow")
    command = [
        *(str(mlflow), "models", "serve", "--model-uri", model_uri, "--env-manager", env_manager),
        *("--host", host, "--port", str(port)),
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.Popen(command, env={**os.environ, "PATH": path}, start_new_session=True)


def _stop(server: subprocess.Popen[bytes] | None) -> None:
    """The whole group: `mlflow models serve` starts its workers as children."""
    if server is None or server.poll() is not None:
        return
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(timeout=15)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


if __name__ == "__main__":
    main()

"""Serve whatever version has the alias `serving`, with `mlflow models serve`, and follow the alias when it moves.

    python -m serving.follow --name camera-counter --port 5001

While no version has the alias, it waits and says so. When the alias moves, the new version's files are fetched and
held against the digest that was approved, and the version is started on a spare port while the old one goes on
serving. Once it answers there, it takes the old one's place: some seconds without answers. A version that is not
what was approved, or does not start, is refused with the reason and tried again a minute later; the old one stays.
"""

from __future__ import annotations

import logging
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from model_governance import GovernanceError
from serving.approved import fetch_approved
from serving.errors import ServingError
from serving.server import Server, free_port

__all__ = ["Follower", "main", "serving_version"]

_log = logging.getLogger("serving.follow")


def serving_version(name: str, alias: str = "serving") -> str | None:
    """The version with the alias; None where there is none (yet), or where the registry does not answer."""
    try:
        return str(MlflowClient().get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        _log.debug("no %s@%s: %s", name, alias, error)
        return None


@dataclass
class _Served:
    version: str
    folder: Path
    server: Server


class Follower:
    """Serves one version of a registered model at a time.

    Parameters
    ----------
    name : str
        Registered model.
    home : Path
        A folder that nobody else can write; versions are fetched into it.
    host, port, env_manager
        As for `mlflow models serve`.
    patience : float
        Seconds until a server must answer; the first start may build an environment.
    pause : float
        Seconds until a version that was refused is tried again.
    """

    def __init__(
        self,
        name: str,
        home: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 5001,
        env_manager: str = "local",
        patience: float = 600.0,
        pause: float = 60.0,
    ) -> None:
        self.name = name
        self._home, self._host, self._port, self._env_manager = home, host, port, env_manager
        self._patience, self._pause = patience, pause
        self._now: _Served | None = None
        self._refused: tuple[str, float] | None = None
        self._servers: list[Server] = []
        self._fetched = 0
        self._told = False

    @property
    def version(self) -> str | None:
        """What is served now."""
        return self._now.version if self._now else None

    def look(self) -> None:
        """One look at the alias and at the server; returns when what had to change has changed."""
        wanted = serving_version(self.name)
        if wanted is None and self._now is None and not self._told:
            _log.info("%s: no version has the alias `serving` yet; promote one (make demo does)", self.name)
            self._told = True
        if wanted is not None and wanted != self.version and not self._is_refused(wanted):
            self._change_to(wanted)
        if self._now is not None and self._now.server.ended is not None:
            again, self._now = self._now, None
            status = again.server.ended
            _log.error("%s: version %s ended with %s; it is started again", self.name, again.version, status)
            self._stop(again.server)
            self._serve(again.version, again.folder)

    def close(self) -> None:
        """End every server."""
        for server in self._servers:
            server.terminate()
        for server in self._servers:
            server.stop()
        self._servers.clear()
        self._now = None

    def _is_refused(self, version: str) -> bool:
        return self._refused is not None and self._refused[0] == version and time.monotonic() < self._refused[1]

    def _change_to(self, version: str) -> None:
        self._fetched += 1
        into = self._home / str(self._fetched)
        try:
            folder = fetch_approved(self.name, version, into)
            if self._now is not None:  # else there is nothing that a failure could take away
                self._prove(folder)
        except (ServingError, GovernanceError, MlflowException, OSError) as error:
            self._refuse(version, error)
            shutil.rmtree(into, ignore_errors=True)
            return
        before, self._now = self._now, None
        if before is not None:
            self._stop(before.server)
        if not self._serve(version, folder) and before is not None:
            self._serve(before.version, before.folder)
        elif before is not None:
            shutil.rmtree(before.folder, ignore_errors=True)

    def _prove(self, folder: Path) -> None:
        """Load it once on a spare port. It counts nothing there, so that it writes no prediction log."""
        without = ("CAMERA_COUNTING_PREDICTION_LOG",)
        server = Server(folder, "127.0.0.1", free_port(), self._env_manager, without=without)
        self._servers.append(server)
        try:
            server.wait(self._patience)
        finally:
            self._stop(server)

    def _serve(self, version: str, folder: Path) -> bool:
        """Start it on the public port; whether it came up. Where not, nothing is served."""
        server = Server(folder, self._host, self._port, self._env_manager)
        self._servers.append(server)
        try:
            server.wait(self._patience)
        except ServingError as error:
            self._stop(server)
            self._refuse(version, error)
            return False
        self._now = _Served(version, folder, server)
        _log.info("%s: serving version %s on http://%s:%d/invocations", self.name, version, self._host, self._port)
        return True

    def _stop(self, server: Server) -> None:
        server.stop()
        self._servers.remove(server)

    def _refuse(self, version: str, error: Exception) -> None:
        self._refused = (version, time.monotonic() + self._pause)
        stays = f", version {self.version} goes on serving" if self._now else ""
        _log.error("%s: version %s is refused%s: %s", self.name, version, stays, error)


@click.command(help=__doc__)
@click.option("--name", default="camera-counter", show_default=True, help="Registered model.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=5001, show_default=True)
@click.option("--env-manager", default="local", show_default=True)
@click.option("--every", default=5.0, show_default=True, help="Seconds between two looks at the alias.")
def main(name: str, host: str, port: int, env_manager: str, every: float) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="camera-counting-serving-") as home:
        follower = Follower(name, Path(home), host=host, port=port, env_manager=env_manager)
        try:
            while True:
                follower.look()
                time.sleep(every)
        finally:
            follower.close()


if __name__ == "__main__":
    main()

"""`mlflow models serve` of one model folder, as a group of processes that starts and ends as one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from serving.direct import DIRECT
from serving.errors import ServingError

__all__ = ["Server", "free_port"]

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - where to ask what listens everywhere


class Server:
    """Starts at once; `wait` says when it answers.

    Parameters
    ----------
    folder : Path
        The model.
    host, port : str, int
        Where it listens.
    env_manager : str
        As for `mlflow models serve`.
    without : tuple of str
        Environment variables that it shall not see.
    """

    def __init__(
        self, folder: Path, host: str, port: int, env_manager: str, *, without: tuple[str, ...] = ()
    ) -> None:
        binaries = Path(sys.executable).parent
        command = [
            *(str(binaries / "mlflow"), "models", "serve", "--model-uri", str(folder)),
            *("--env-manager", env_manager, "--host", host, "--port", str(port)),
        ]
        kept = {name: value for name, value in os.environ.items() if name not in without}
        path = f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"
        self._ping = f"http://{_EVERYWHERE.get(host, host)}:{port}/ping"
        # a session of its own: MLflow starts the workers as children, and all of them have to go together
        self._process = subprocess.Popen(command, env={**kept, "PATH": path}, start_new_session=True)

    @property
    def ended(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.poll()

    def wait(self, patience: float) -> None:
        """Until the model is loaded and the server answers.

        Raises
        ------
        ServingError
            Where it ends, or has not answered after `patience` seconds.
        """
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.ended is not None:
                raise ServingError(f"mlflow models serve ended with {self.ended}; what it printed above says why")
            try:
                with DIRECT.open(self._ping, timeout=5):  # the server started above, on this machine
                    # by now it could have ended, and another one have answered
                    if self.ended is None:
                        return
            except OSError:
                time.sleep(0.2)
        raise ServingError(f"mlflow models serve did not answer at {self._ping} within {patience:.0f} s")

    def terminate(self) -> None:
        """Ask the whole group to end; the workers also where their parent is gone already."""
        self._signal(signal.SIGTERM)

    def stop(self) -> None:
        """End the whole group, and wait until it has let go of its port."""
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=15)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def free_port() -> int:
    """A port of this machine on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""The governed server of the demo: who registers and who approves are two log-ins, and the server knows which."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow

from model_governance.governed.one_machine import PROGRAMS, OneMachine

__all__ = ["Office"]

_LOG_IN = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
# Its address ends with the demo: no links to it.
_SILENT = "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"


class Office:
    """Log-ins at a governed server over the demo's own database.

    Parameters
    ----------
    url : str
    passwords : dict of str to str
        By log-in.
    """

    def __init__(self, url: str, passwords: dict[str, str]) -> None:
        self.url, self._passwords = url, passwords

    @classmethod
    @contextmanager
    def opened(cls, workspace: Path, policy: Path) -> Iterator[Office]:
        """Open while the block lasts; the log-ins are of this demo alone, their roles and the audit stay."""
        passwords: dict[str, str] = {}
        with TemporaryDirectory(prefix="demo-log-ins-") as folder:
            machine = OneMachine(
                Path(folder), f"sqlite:///{workspace / 'mlflow.db'}", workspace / "mlartifacts", policy
            )
            machine.prepare(lambda name, password, role: passwords.__setitem__(name, password))
            passwords |= {name: machine.password(name) for name in PROGRAMS}
            with machine.running(workspace / "governed.log") as url:
                yield cls(url, passwords)

    @contextmanager
    def as_(self, name: str) -> Iterator[None]:
        """Ask the server as this log-in, and afterwards the database as before."""
        before = {each: os.environ.get(each) for each in (*_LOG_IN, _SILENT)}
        stores = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
        os.environ |= dict(zip(_LOG_IN, (self.url, name, self._passwords[name]), strict=True)) | {_SILENT: "true"}
        mlflow.set_tracking_uri(self.url)
        mlflow.set_registry_uri(self.url)
        try:
            yield
        finally:
            for each, value in before.items():
                os.environ.pop(each, None)
                if value is not None:
                    os.environ[each] = value
            mlflow.set_tracking_uri(stores[0])
            mlflow.set_registry_uri(stores[1])

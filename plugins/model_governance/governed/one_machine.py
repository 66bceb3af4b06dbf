"""A governed server on one machine, with nothing to set up: its database, its log-ins, its key.

Everything that is the server's own lies in one folder that nobody else can read. Passwords of people are made at
the first start and told once; those of programs lie in files, for the programs that run beside the server.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from model_governance.errors import GovernanceError
from model_governance.governed.audit.heads import make_key
from model_governance.governed.audit.keeping import HEADS_KEY, HEADS_PLACE
from model_governance.rules.governance import Role

__all__ = ["PEOPLE", "PROGRAMS", "OneMachine"]

PEOPLE: Mapping[str, Role | None] = {
    "admin": None,  # whom MLflow calls an admin is one
    "author": "data_scientist",
    "reviewer": "reviewer",
    "operator": "operator",
    "auditor": "auditor",
}
"""First log-ins of people, and their roles; an admin makes those of real names."""

PROGRAMS: Mapping[str, Role | None] = {"validator": "validator", "service": None}
"""First log-ins of programs: who records evidence, and who serves, counts and reports."""

_SETTINGS = """[mlflow]
default_permission = EDIT
admin_username = admin
database_uri = sqlite:///{folder}/log_ins.db
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 30
"""


@dataclass(frozen=True)
class OneMachine:
    """Where a server of this machine keeps what.

    Parameters
    ----------
    folder : Path
        Of the server's own files: log-ins, key, passwords of programs.
    database : str
        SQLAlchemy's address of runs, registry and audit, such as ``sqlite:////srv/mlflow.db``.
    artifacts : Path
        Where artefacts go, through the server alone.
    policy : Path, optional
        The policy whose section `governance` it enforces; a strict one of its own by default.
    heads : str, optional
        Where signed heads of the audit log are kept, a folder or ``s3://bucket/prefix``; nowhere by default.
    heads_key : Path, optional
        The private key that signs them; one of the server's own folder, made once, by default.
    """

    folder: Path
    database: str
    artifacts: Path
    policy: Path | None = None
    heads: str | None = None
    heads_key: Path | None = None

    def prepare(self, tell: Callable[[str, str, str], None], people: Mapping[str, Role | None] = PEOPLE) -> None:
        """Make what is not there yet: the key, and each log-in with its role.

        Killed in between it goes on next time; a password that was told but not made is replaced by another.

        Parameters
        ----------
        tell : callable
            Called with log-in, password and role of each of the people that are new, before it is made.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        settings = self.folder / "log_ins.ini"
        settings.write_text(_SETTINGS.format(folder=self.folder.resolve()))
        self._secret("key")
        if self.heads and not self._signs_heads.exists():
            make_key(self._signs_heads)
        # Read when basic-auth is imported.
        os.environ["MLFLOW_AUTH_CONFIG_PATH"] = str(settings)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what MLflow's server imports
            from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

        log_ins = SqlAlchemyStore()
        log_ins.init_db(f"sqlite:///{(self.folder / 'log_ins.db').resolve()}")
        for name, role in people.items():
            if not log_ins.has_user(name):
                password = secrets.token_urlsafe(12)
                tell(name, password, role or name)
                log_ins.create_user(name, password, is_admin=name == "admin")
        for name in PROGRAMS:
            fresh = not (self.folder / f"{name}.password").exists()
            password = self._secret(f"{name}.password")
            if not log_ins.has_user(name):
                log_ins.create_user(name, password)
            elif fresh:
                log_ins.update_user(name, password=password)
        log_ins.engine.dispose()
        self._grant({**people, **PROGRAMS})

    def command(self, port: int, host: str = "127.0.0.1", workers: int = 1) -> list[str]:
        """What starts the server; with `environment`."""
        return [
            *(sys.executable, "-m", "mlflow", "server", "--app-name", "governed", "--host", host),
            *("--port", str(port), "--workers", str(workers), "--backend-store-uri", self.database),
            *("--registry-store-uri", f"governed+{self.database}"),
            *("--artifacts-destination", str(self.artifacts)),
        ]

    def environment(self) -> dict[str, str]:
        """The environment of the server, without the log-in of whoever starts it."""
        others = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MLFLOW_TRACKING_", "MLFLOW_REGISTRY_", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT"))
        }
        return others | {
            "MLFLOW_AUTH_CONFIG_PATH": str(self.folder / "log_ins.ini"),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": self._secret("key"),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # whoever asks says nothing of where they ask from, unless somebody names the proxy that may
            "FORWARDED_ALLOW_IPS": os.environ.get("FORWARDED_ALLOW_IPS", ""),
            **({"MODEL_GOVERNANCE_POLICY": str(self.policy)} if self.policy else {}),
            **({HEADS_PLACE: self.heads, HEADS_KEY: str(self._signs_heads)} if self.heads else {}),
        }

    @property
    def _signs_heads(self) -> Path:
        return self.heads_key or self.folder / "heads.pem"

    def password(self, program: str) -> str:
        """Of one of the programs; made where there is none yet."""
        return self._secret(f"{program}.password")

    @contextmanager
    def running(self, log: Path, port: int | None = None, patience: float = 120) -> Iterator[str]:
        """The server's address, on a free port where none is given, while it runs as a child of this process.

        Raises
        ------
        GovernanceError
            Where it ends before it answers, or does not answer; with the end of its log.
        """
        port = port or _free_port()
        with log.open("ab") as out:
            server = subprocess.Popen(
                self.command(port),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        url = f"http://127.0.0.1:{port}"
        try:
            end = time.monotonic() + patience
            while not _answers(url):
                if server.poll() is not None or time.monotonic() > end:
                    last = log.read_text(errors="replace")[-1500:]
                    raise GovernanceError(f"expected the governed server to answer at {url}; it says: {last}")
                time.sleep(0.2)
            yield url
        finally:
            _end(server)

    def _grant(self, roles: Mapping[str, Role | None]) -> None:
        from model_governance.governed.actor import Actor, acting
        from model_governance.governed.current_policy import POLICY_VARIABLE
        from model_governance.governed.store import GovernedStore

        # under the server's own policy, which whoever prepares it need not stand under
        before = os.environ.get(POLICY_VARIABLE)
        os.environ[POLICY_VARIABLE] = str(self.policy or "")
        try:
            store = GovernedStore(f"governed+{self.database}", str(self.artifacts))
        finally:
            os.environ.pop(POLICY_VARIABLE)
            if before is not None:
                os.environ[POLICY_VARIABLE] = before
        with acting(Actor("admin", is_admin=True)):
            present = {(each.user, each.role) for each in store.grants()}
            for name, role in roles.items():
                if role is not None and (name, role) not in present:
                    store.grant(name, role)
        store.engine.dispose()

    def _secret(self, name: str) -> str:
        """The content of a file that only its owner can read; made anew, and whole, where there is none."""
        path = self.folder / name
        with suppress(FileNotFoundError):
            return path.read_text().strip()
        beside = path.with_suffix(f".{secrets.token_hex(4)}")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
        beside.replace(path)
        return path.read_text().strip()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine needs no proxy
    try:
        opener.open(f"{url}/health", timeout=5).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server and its workers."""
    for number in (15, 9):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with suppress(subprocess.TimeoutExpired):
            server.wait(20)
            return

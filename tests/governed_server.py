"""Real `mlflow server` processes for tests: one that governs, and plain basic-auth to hold it against.

    with governed_server(folder) as server:
        server.post("rita", "model-versions/transition-stage", name="m", version="1", stage="Production")
        server.client("ann").create_registered_model("m")

Both keep runs, registry and log-ins in files of `folder`, know the same people, and let each of them edit every
model (`default_permission = EDIT`): what the governed server refuses, it refuses by itself.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from mlflow import MlflowClient

from tests.back_ends import KEYS, Place
from tests.empty_store import empty_store

ROOT = Path(__file__).resolve().parent.parent
_SETTINGS = ("MLFLOW_", "_MLFLOW", "MODEL_GOVERNANCE_")
"""How variables begin that a server of a test gets from its test alone."""

ROLES: dict[str, str | None] = {
    "ann": "data_scientist",
    "rita": "reviewer",
    "rob": "reviewer",
    "otto": "operator",
    "aud": "auditor",
    "mallory": None,  # may edit in MLflow's eyes, and has no role at all
    "validator": "validator",
    "rollout": "rollout",
}
"""Who there is beside `admin`, and as what."""


@dataclass
class MlflowServer:
    """A running server; requests are made as whoever is named, or as nobody where the name is None."""

    url: str
    folder: Path
    governed: bool
    process: subprocess.Popen[bytes]
    place: Place
    sessions: dict[str | None, requests.Session] = field(default_factory=dict)

    @property
    def database(self) -> str:
        """SQLAlchemy's address of what holds runs, registry and audit."""
        return self.place.database

    @property
    def log(self) -> str:
        """What the server wrote to its standard output and error so far."""
        return (self.folder / "server.log").read_text(errors="replace")

    def session(self, user: str | None) -> requests.Session:
        """A session that logs in as `user` at each request."""
        if user not in self.sessions:
            self.sessions[user] = requests.Session()
            self.sessions[user].trust_env = False
            if user is not None:
                self.sessions[user].auth = (user, password(user))
        return self.sessions[user]

    def request(self, user: str | None, method: str, path: str, **options: Any) -> requests.Response:
        """One request to a path of the server, whatever it answers."""
        return self.session(user).request(method, f"{self.url}{path}", timeout=60, **options)

    def post(self, user: str | None, call: str, /, **body: Any) -> requests.Response:
        """A POST to MLflow's REST API, such as ``registered-models/create``."""
        return self.request(user, "POST", f"/api/2.0/mlflow/{call}", json=body)

    def get(self, user: str | None, call: str, /, **query: Any) -> requests.Response:
        """A GET from MLflow's REST API."""
        return self.request(user, "GET", f"/api/2.0/mlflow/{call}", params=query)

    def address(self, user: str) -> str:
        """The server's address with a log-in in it, for whatever takes a tracking URI."""
        return self.url.replace("http://", f"http://{user}:{password(user)}@")

    def client(self, user: str) -> MlflowClient:
        """MLflow's own client, logged in as `user` whatever the environment says."""
        return MlflowClient(self.address(user), registry_uri=self.address(user))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the server and its workers."""
        for session in self.sessions.values():
            session.close()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, how)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)


def password(user: str) -> str:
    """The password of somebody at these servers."""
    return f"{user}-s3cret-w0rds"


@contextmanager
def governed_server(folder: Path, policy: Path | None = None, **options: Any) -> Iterator[MlflowServer]:
    """`mlflow server --app-name governed` over SQLite, everybody with a role, until the block ends."""
    with serving(folder, governed=True, policy=policy, **options) as server:
        yield server


@contextmanager
def plain_server(folder: Path, **options: Any) -> Iterator[MlflowServer]:
    """`mlflow server --app-name basic-auth` with the same people, until the block ends."""
    with serving(folder, governed=False, **options) as server:
        yield server


@contextmanager
def serving(
    folder: Path,
    *,
    governed: bool,
    policy: Path | None = None,
    workers: int = 1,
    place: Place | None = None,
    environment: Mapping[str, str] | None = None,
    remember_logins: bool = True,
    prefix: str = "",
) -> Iterator[MlflowServer]:
    """Start a server on a free port, make its people, and stop it afterwards.

    Parameters
    ----------
    policy : Path, optional
        The policy that it governs by; its built-in one by default.
    place : Place, optional
        Its databases and where artefacts go; SQLite and files in `folder` by default.
    environment : mapping of str to str, optional
        Further environment variables of the server.
    remember_logins : bool
        Whether basic-auth may keep a right password for a while; its own default is to hash at each request, which
        costs a test tens of milliseconds each.
    prefix : str
        MLflow's ``--static-prefix``; the server's `url` ends with it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if place is None:
        place = Place.below(folder)
        empty_store(folder)
    (folder / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = EDIT\nadmin_username = admin\n"
        f"database_uri = {place.logins}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        f"auth_cache_ttl_seconds = {300 if remember_logins else 0}\n"
    )
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", str(workers), "--app-name", "governed" if governed else "basic-auth",
        "--backend-store-uri", place.database,
        "--registry-store-uri", f"governed+{place.database}" if governed else place.database,
        "--artifacts-destination", place.artifacts,
        *(["--static-prefix", prefix] if prefix else []),
    ]  # fmt: skip
    env = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    env |= {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": password("admin"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a-key-for-tests-alone",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(ROOT), os.environ.get("PYTHONPATH", "")]),
        **KEYS,
        "HOME": str(folder),  # no file of whoever runs the tests names other keys
        **place.environment,
        **({"MODEL_GOVERNANCE_POLICY": str(policy)} if policy else {}),
        **(environment or {}),
    }
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    server = MlflowServer(f"http://127.0.0.1:{port}{prefix}", folder, governed, process, place)
    try:
        await_answer(server)
        make_people(server)
        yield server
    finally:
        server.stop()


def await_answer(server: MlflowServer, seconds: float = 90) -> None:
    """Wait until the server answers; fails with its log where it ends or stays silent."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert server.process.poll() is None, f"the server ended:\n{server.log[-4000:]}"
        with suppress(requests.ConnectionError):
            if requests.get(f"{server.url}/health", timeout=5).ok:
                return
        time.sleep(0.1)
    raise AssertionError(f"no answer in {seconds} s:\n{server.log[-4000:]}")


def make_people(server: MlflowServer) -> None:
    """Make everybody's log-in and, where the server governs, give them their roles as its admin does."""
    for user in ROLES:
        made = server.post("admin", "users/create", username=user, password=password(user))
        assert made.ok or "already exists" in made.text, made.text
    if server.governed:
        from model_governance.governed.actor import Actor, acting
        from model_governance.governed.store import GovernedStore

        governed = GovernedStore(f"governed+{server.database}", server.place.artifacts)
        with acting(Actor("admin", is_admin=True)):
            for user, role in ROLES.items():
                if role is not None:
                    governed.grant(user, role)
        governed.engine.dispose()

"""`mlflow server --app-name governed`: basic-auth, with a gate behind it that binds admins too.

The registry store decides; this app tells it who asks, guards the files that the store never sees, refuses what
nobody has classified, and serves the pages of `model_governance.governed.pages`.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow.server
from flask import Flask
from mlflow.environment_variables import _MLFLOW_SGI_NAME
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.server.constants import ARTIFACTS_DESTINATION_ENV_VAR
from sqlalchemy import text

from model_governance.governed.actor import current_actor
from model_governance.governed.artifact_guard import ArtifactGuard
from model_governance.governed.asgi_gate import guard_fastapi
from model_governance.governed.clockwork import start_clockwork
from model_governance.governed.endpoints import PAGES
from model_governance.governed.flask_gate import FlaskGate
from model_governance.governed.pages import add_pages
from model_governance.governed.redaction import redact_logs
from model_governance.governed.refusals import Registry
from model_governance.governed.run_writes import RunWrites
from model_governance.governed.starting import ever_ran, keep_start, note_running
from model_governance.governed.store import GovernedStore
from model_governance.governed.throttle import FailedLogins
from model_governance.governed.token_login import let_tokens_in
from model_governance.governed.uploads import Uploads
from model_governance.governed.witness import Witness

__all__ = ["create_app"]

_logger = logging.getLogger(__name__)
_PAUSE_S = 10

keep_start("governed")  # in `mlflow server`, which imports this before it starts any worker


def create_app(app: Flask = mlflow.server.app) -> Any:
    """MLflow's server with basic-auth and the gate; what ``--app-name governed`` starts.

    Returns
    -------
    FastAPI
        As `mlflow.server.auth.create_app` gives under uvicorn.

    Raises
    ------
    MlflowException
        Where the registry's store is not governed, the server is not uvicorn, or basic-auth cannot start; then the
        server ends, but one whose other workers run goes on with them.
    """
    redact_logs()
    try:
        served = _governed(app)
    except Exception:
        if (parent := multiprocessing.parent_process()) is not None and parent.pid:
            if ever_ran():
                _logger.exception(
                    "a worker of the governed server cannot start; the others go on, and uvicorn tries again"
                )
                time.sleep(_PAUSE_S)  # it would do so at once, and again and again
            else:
                _logger.exception("the governed server cannot start")
                os.kill(parent.pid, signal.SIGTERM)
        raise
    note_running()
    return served


def _governed(app: Flask) -> Any:
    from mlflow.server import auth

    from model_governance.governed.notify.sender import start_sender

    if _MLFLOW_SGI_NAME.get() != "uvicorn":
        raise MlflowException(
            "the governed server runs under uvicorn, MLflow's default; start it without --gunicorn-opts and "
            "--waitress-opts: there an upload could end after its folder was registered",
            INVALID_PARAMETER_VALUE,
        )
    store = _governed_store()
    start_sender(store.engine)  # first: settings that cannot be read stop the server
    start_clockwork(store.engine, lambda: store.rules)

    gate = FlaskGate(
        guard=ArtifactGuard(store.engine, _tracking_store, _destination()),
        uploads=Uploads(store.engine, _destination()),
        writes=RunWrites(store.engine, lambda: store.rules),
        witness=Witness(store.engine),
        registry=_registry(store),
        logins=FailedLogins(store.engine),
        is_admin=_is_admin,
    )
    gate.before_login(app)
    with _one_at_a_time(auth.auth_config.database_uri):
        served = auth.create_app(app)
    gate.after_login(app)
    add_pages(app)
    _let_pages_in(auth)
    let_tokens_in(auth, lambda text: _bearer(store, _is_admin, text))
    guard_fastapi(served, gate)
    if not ever_ran():
        store.tell_policy()
    return served


def _governed_store() -> GovernedStore:
    from mlflow.server.handlers import _get_model_registry_store

    store = _get_model_registry_store()
    if isinstance(store, GovernedStore):
        return store
    raise MlflowException(
        "the app 'governed' needs a registry that enforces the policy, and this server has a "
        f"{type(store).__name__}: start it with --registry-store-uri governed+sqlite:///... or "
        "governed+postgresql://...",
        INVALID_PARAMETER_VALUE,
    )


def _tracking_store() -> Any:
    from mlflow.server.handlers import _get_tracking_store

    return _get_tracking_store()


def _is_admin(user: str) -> bool:
    """MLflow's own mark, as it stands now: one statement, for each change of the registry asks this."""
    from mlflow.server import auth

    with auth.store.engine.connect() as connection:
        return bool(connection.scalar(_MARK, {"user": user}))


_MARK = text("SELECT is_admin FROM users WHERE username = :user")


def _destination() -> str:
    """Where the artifact proxy keeps files; where there is none, nothing of it can be reached."""
    return os.environ.get(ARTIFACTS_DESTINATION_ENV_VAR) or str(Path("mlartifacts").resolve())


def _registry(store: GovernedStore) -> Registry:
    def hand_over(user: str, suspend: bool) -> None:
        store.hand_over(user, suspend=suspend)
        store.withdraw_tokens_of(user)

    return Registry(
        enforced=lambda: store.rules.enforce,
        roles=lambda: store.roles_of(current_actor()),
        record_creator=store.record_creator,
        password_set=store.password_set,
        hand_over=hand_over,
    )


def _bearer(store: GovernedStore, is_admin: Callable[[str], bool], text: str) -> str | None:
    user = store.bearer(text)
    return None if user is None or is_admin(user) else user  # a program that was made an admin since


@contextmanager
def _one_at_a_time(address: str) -> Iterator[None]:
    """Let one worker of this machine after the other make basic-auth's tables and its admin."""
    name = f"mlflow-governed-{os.getuid()}-{hashlib.sha256(address.encode()).hexdigest()[:16]}.lock"
    descriptor = os.open(
        Path(tempfile.gettempdir()) / name, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _let_pages_in(auth: Any) -> None:
    """Everybody with a log-in may ask for our pages, which decide by roles; basic-auth knows none of them."""
    find = auth._find_validator

    def find_with_pages(request: Any) -> Any:
        return (lambda: True) if str(request.endpoint or "").startswith(PAGES) else find(request)

    auth._find_validator = find_with_pages

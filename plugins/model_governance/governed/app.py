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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow.server
from flask import Flask
from mlflow.environment_variables import _MLFLOW_SGI_NAME
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.server.constants import ARTIFACTS_DESTINATION_ENV_VAR

from model_governance.governed.actor import current_actor
from model_governance.governed.artifact_guard import ArtifactGuard
from model_governance.governed.asgi_gate import guard_fastapi
from model_governance.governed.endpoints import PAGES
from model_governance.governed.flask_gate import FlaskGate, Registry
from model_governance.governed.pages import add_pages
from model_governance.governed.redaction import redact_logs
from model_governance.governed.store import GovernedStore
from model_governance.governed.throttle import FailedLogins
from model_governance.governed.witness import Witness

__all__ = ["create_app"]

_logger = logging.getLogger(__name__)


def create_app(app: Flask = mlflow.server.app) -> Any:
    """MLflow's server with basic-auth and the gate; what ``--app-name governed`` starts.

    Returns
    -------
    FastAPI
        As `mlflow.server.auth.create_app` gives under uvicorn.

    Raises
    ------
    MlflowException
        Where the registry's store is not governed, the server is not uvicorn, or basic-auth cannot start; then no
        worker starts.
    """
    redact_logs()
    try:
        return _governed(app)
    except Exception:
        # uvicorn would start a worker that can never run again and again
        if (parent := multiprocessing.parent_process()) is not None and parent.pid:
            _logger.exception("the governed server cannot start")
            os.kill(parent.pid, signal.SIGTERM)
        raise


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
    gate = FlaskGate(
        guard=ArtifactGuard(store.engine, _tracking_store, _destination()),
        witness=Witness(store.engine),
        registry=_registry(store),
        logins=FailedLogins(),
        is_admin=lambda user: auth.store.has_user(user) and bool(auth.store.get_user(user).is_admin),
    )
    gate.before_login(app)
    with _one_at_a_time(auth.auth_config.database_uri):
        served = auth.create_app(app)
    gate.after_login(app)
    add_pages(app)
    _let_pages_in(auth)
    guard_fastapi(served, gate)
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


def _destination() -> str:
    """Where the artifact proxy keeps files; where there is none, nothing of it can be reached."""
    return os.environ.get(ARTIFACTS_DESTINATION_ENV_VAR) or str(Path("mlartifacts").resolve())


def _registry(store: GovernedStore) -> Registry:
    def withdraw_all(user: str) -> None:
        for each in store.grants(user):
            try:
                store.withdraw(each.user, each.role)
            except MlflowException as error:
                _logger.warning("could not withdraw the role %s of %s: %s", each.role, user, error.message)

    return Registry(
        enforced=lambda: store.rules.enforce,
        roles=lambda: store.roles_of(current_actor()),
        record_creator=store.record_creator,
        withdraw_all=withdraw_all,
    )


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

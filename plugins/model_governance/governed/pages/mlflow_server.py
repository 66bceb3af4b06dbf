"""The sources as MLflow's own server has them: its accounts, and runs whose files lie where the server keeps them.

MLflow has no public functions for this, so a few of its server's own are called here and nowhere else.
"""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from flask import Flask, g
from mlflow.entities import FileInfo, Run

from model_governance.governed.pages.site import pages_blueprint
from model_governance.governed.pages.sources import Account, Registry, Sources
from model_governance.governed.pages.stage_menu import serve_index

__all__ = ["add_pages"]


class ServerAccounts:
    """Users and permissions of MLflow's basic-auth."""

    def everybody(self) -> Sequence[Account]:
        """All log-ins, by name."""
        from mlflow.server import auth

        return [
            Account(user.username, bool(user.is_admin), _permissions(auth.store, user.username))
            for user in sorted(auth.store.list_users(), key=lambda user: str(user.username))
        ]

    def readable_models(self, user: str) -> Callable[[str], bool]:
        return self._readable(user, "registered_model")

    def readable_experiments(self, user: str) -> Callable[[str], bool]:
        return self._readable(user, "experiment")

    def _readable(self, user: str, kind: str) -> Callable[[str], bool]:
        from mlflow.server import auth

        if auth.store.get_user(user).is_admin:
            return lambda _: True
        may_read: Callable[[str], bool] = auth._role_based_read_predicate(user, kind)
        return may_read


def _permissions(store: Any, user: str) -> tuple[str, ...]:
    granted = [
        *((each.permission, "model", each.name) for each in store.list_registered_model_permissions(user)),
        *((each.permission, "experiment", each.experiment_id) for each in store.list_experiment_permissions(user)),
    ]
    return tuple(sorted(f"{permission} on {kind} {name}" for permission, kind, name in granted))


class ServerFiles:
    """Runs of the server's tracking store, and their artefacts; used while a request is answered."""

    def run(self, run_id: str) -> Run:
        from mlflow.server.handlers import _get_tracking_store

        # one page asks for the same run again and again, and MLflow reads all of it each time
        read: dict[str, Run] = g.setdefault("governance_runs", {})
        if run_id not in read:
            read[run_id] = _get_tracking_store().get_run(run_id)
        return read[run_id]

    def listing(self, run_id: str, folder: str | None) -> Sequence[FileInfo]:
        repository, root = self._place(run_id)
        found = repository.list_artifacts(posixpath.join(root, folder or "") or None)
        return [
            FileInfo(posixpath.relpath(each.path, root) if root else each.path, each.is_dir, each.file_size)
            for each in found
        ]

    @contextmanager
    def local(self, run_id: str, path: str) -> Iterator[Path]:
        from mlflow.utils.uri import validate_path_is_safe

        repository, root = self._place(run_id)
        path = validate_path_is_safe(path)  # it may stand in a tag that anybody wrote
        with tempfile.TemporaryDirectory(prefix="model-governance-") as target:
            yield Path(repository.download_artifacts(posixpath.join(root, path), target))

    def _place(self, run_id: str) -> tuple[Any, str]:
        """The repository that holds a run's artefacts, and their folder in it."""
        from mlflow.server import handlers

        run = self.run(run_id)
        if handlers._is_servable_proxied_run_artifact_root(run.info.artifact_uri):
            root = handlers._get_proxied_run_artifact_destination_path(run.info.artifact_uri)
            return handlers._get_artifact_repo_mlflow_artifacts(), root
        return handlers._get_artifact_repo(run), ""


def add_pages(app: Flask) -> None:
    """Add the pages to MLflow's Flask app, after `mlflow.server.auth.create_app` prepared it."""
    from mlflow.server.handlers import _add_static_prefix, _get_model_registry_store

    def registry() -> Registry:
        store: Any = _get_model_registry_store()  # the app has seen to it that it is the governed one
        return cast(Registry, store)

    sources = Sources(registry, ServerAccounts(), ServerFiles())
    app.register_blueprint(pages_blueprint(sources, prefix=_add_static_prefix("/").rstrip("/")))
    # the form's token stands in it
    app.config.update(SESSION_COOKIE_SAMESITE="Strict", SESSION_COOKIE_HTTPONLY=True)
    serve_index(app)

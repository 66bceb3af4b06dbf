"""Files of registered versions: which version a place belongs to, so that nobody writes over what was judged.

A place is where files lie, spelled one way whatever the address said: ``mlflow-artifacts:/1/ab`` and
``https://host/api/2.0/mlflow-artifacts/artifacts/1/./ab`` are both the folder under the server's artifacts
destination. Every run and every logged model has a folder that carries its identifier; a version is registered
from one of these, so whose files a place holds is asked by the identifiers in it.
"""

from __future__ import annotations

import posixpath
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cachetools import LRUCache
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlModelVersionTag
from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.engine import Engine

from model_governance.governed.records import LOGGED_MODEL, RUN

__all__ = ["ArtifactGuard", "Holder", "Source", "place_of"]

_RUN, _MODEL = re.compile(r"[0-9a-f]{32}"), re.compile(r"m-[0-9a-f]{32}")
_NAMED_RUN = re.compile(r"(?<![0-9a-z-])[0-9a-f]{32}(?![0-9a-z])")
_PROXY = "/mlflow-artifacts/artifacts/"
_DELETED = "Deleted_Internal"
_VERSION, _TAG = SqlModelVersion.__table__, SqlModelVersionTag.__table__


@dataclass(frozen=True, slots=True)
class Holder:
    """A registered version that a place belongs to.

    Attributes
    ----------
    part : str
        ``files`` or ``evidence``: what of the version lies there.
    """

    model: str
    version: str
    part: str = "files"

    def __str__(self) -> str:
        return f"version {self.version} of {self.model!r}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where somebody says that a new version's files are."""

    uri: str
    run_id: str = ""
    model_id: str = ""


def place_of(uri: str, destination: str) -> str:
    """The one spelling of where an address leads.

    Parameters
    ----------
    uri : str
        Address of a file or folder: of the artifact proxy, of an object store, or of the server's own disk.
    destination : str
        The server's ``--artifacts-destination``.

    Examples
    --------
    >>> place_of("mlflow-artifacts:/1/ab/../cd/", "s3://bucket/mlflow")
    's3://bucket/mlflow/1/cd'
    >>> place_of("https://here:5000/api/2.0/mlflow-artifacts/artifacts/1/%2563d", "s3://bucket/mlflow")
    's3://bucket/mlflow/1/cd'
    """
    address = urlsplit(uri)
    path = _plain(address.path)
    if address.scheme == "mlflow-artifacts":
        return place_of(posixpath.join(destination, path.lstrip("/")), destination)
    if address.scheme in ("http", "https") and _PROXY in path:
        return place_of(posixpath.join(destination, path.split(_PROXY, 1)[1].lstrip("/")), destination)
    if address.scheme in ("", "file"):
        return str(Path(path).resolve())
    return f"{address.scheme}://{address.netloc}{posixpath.normpath('/' + path.lstrip('/'))}"


def _plain(path: str) -> str:
    """Unquoted until nothing changes, as MLflow does before it looks for ``..``."""
    while (unquoted := unquote(path)) != path:
        path = unquoted
    return path


def _within(place: str, folder: str) -> bool:
    return place == folder or place.startswith(folder.rstrip("/") + "/")


def _touches(place: str, folder: str) -> bool:
    """Whether what happens to a place also happens in a folder: the folder goes when one around it goes."""
    return _within(place, folder) or _within(folder, place)


@dataclass(frozen=True, slots=True)
class ArtifactGuard:
    """Asks the registry whose files lie where.

    Attributes
    ----------
    engine : Engine
        Of the registry's database.
    tracking : callable
        Gives MLflow's tracking store, which knows where runs and logged models keep their files.
    destination : str
        The server's ``--artifacts-destination``.
    """

    engine: Engine
    tracking: Callable[[], Any]
    destination: str
    # a run's folder stays where it was when the run was made
    _runs: LRUCache[str, str] = field(default_factory=lambda: LRUCache(20_000), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def place(self, path: str) -> str:
        """The place of a path below the artifact proxy."""
        return place_of(posixpath.join(self.destination, path.lstrip("/")), self.destination)

    def run_place(self, run_id: str, path: str = "") -> str:
        """The place of a run's file; its folder where no path is given."""
        with self._lock:
            uri = self._runs.get(run_id)
        if not uri:
            uri = self._folder_of_run(run_id)
            with self._lock:
                self._runs[run_id] = uri
        return place_of(posixpath.join(uri, path), self.destination)

    def _folder_of_run(self, run_id: str) -> str:
        from mlflow.store.tracking.dbmodels.models import SqlRun

        tracking = self.tracking()
        with tracking.ManagedSessionMaker() as session:  # all that MLflow reads of a run takes ten times as long
            uri = session.query(SqlRun.artifact_uri).filter(SqlRun.run_uuid == run_id).scalar()
        return str(uri or tracking.get_run(run_id).info.artifact_uri)  # which says that there is none

    def model_place(self, model_id: str, path: str = "") -> str:
        """The place of a logged model's file; its folder where no path is given."""
        model = self.tracking().get_logged_model(model_id, allow_deleted=True)
        return place_of(posixpath.join(model.artifact_location, path), self.destination)

    def folder(self, kind: str, identity: str) -> str:
        """The place of a run's or logged model's folder; nowhere, which is empty, where there is no such thing."""
        try:
            return self.run_place(identity) if kind == RUN else self.model_place(identity)
        except MlflowException:
            return ""

    def holder(self, place: str) -> Holder | None:
        """The version whose files or evidence are at a place, in it, or around it; None where nobody's are."""
        segments = place.split("/")
        runs = [each for each in segments if _RUN.fullmatch(each)]
        return self._files(place, segments) or (self._evidence(place, runs) if runs else None)

    def belongs(self, place: str) -> bool:
        """Whether a place is in the folder of one run, one logged model or one trace."""
        below = place.removeprefix(place_of(self.destination, self.destination)).strip("/").split("/")
        return any(_RUN.fullmatch(each) or _MODEL.fullmatch(each) or each.startswith("tr-") for each in below)

    def of_run(self, run_id: str) -> Holder | None:
        """The version that was registered from a run, or whose evidence lies in it."""
        rows = self._versions(or_(_VERSION.c.run_id == run_id, _names(run_id)))
        if rows:
            return Holder(rows[0].name, str(rows[0].version))
        kept = self._kept_in([run_id])
        return Holder(kept[0].name, str(kept[0].version), "evidence") if kept else None

    def of_model(self, model_id: str) -> Holder | None:
        """The version that was registered from a logged model."""
        rows = self._versions(_names(model_id))
        return Holder(rows[0].name, str(rows[0].version)) if rows else None

    def of_experiment(self, experiment_id: int) -> Holder | None:
        """A version that was registered from a run or a logged model of an experiment."""
        from mlflow.store.tracking.dbmodels.models import SqlLoggedModel, SqlRun

        rows = self._versions(None)
        of_runs = {row.run_id: row for row in rows if row.run_id} | {
            found: row for row in rows for found in _NAMED_RUN.findall(f"{row.source} {row.storage_location}")
        }
        of_models = {
            found: row for row in rows for found in _MODEL.findall(f"{row.source} {row.storage_location}")
        }
        evidence = {row.value: row for row in self._kept_in(None)}
        with self.tracking().ManagedSessionMaker() as session:
            query = session.query(SqlRun.run_uuid).filter(SqlRun.experiment_id == experiment_id)
            for (run_id,) in query:
                if row := of_runs.get(run_id) or evidence.get(run_id):
                    return Holder(row.name, str(row.version))
            models = session.query(SqlLoggedModel.model_id)
            for (model_id,) in models.filter(SqlLoggedModel.experiment_id == experiment_id):
                if row := of_models.get(model_id):
                    return Holder(row.name, str(row.version))
        return None

    def in_experiment(self, experiment_id: int) -> list[tuple[str, str]]:
        """The runs and logged models that go when an experiment is deleted, as kind and identifier."""
        from mlflow.store.tracking.dbmodels.models import SqlLoggedModel, SqlRun

        with self.tracking().ManagedSessionMaker() as session:
            return [
                (kind, identity)
                for kind, table, column in (
                    (RUN, SqlRun, SqlRun.run_uuid),
                    (LOGGED_MODEL, SqlLoggedModel, SqlLoggedModel.model_id),
                )
                for (identity,) in session.query(column).filter(
                    table.experiment_id == experiment_id, table.lifecycle_stage == LifecycleStage.ACTIVE
                )
            ]

    def unguardable(self, source: Source) -> str | None:
        """Why the files of a version that is to be registered could not be guarded; None where they can.

        Only what lies in the folder of a run or of a logged model of this server is, whatever is registered: from
        anywhere else somebody could exchange it after the review.
        """
        address = urlsplit(source.uri)
        if _plain(source.uri) != source.uri:
            return f"the source {source.uri!r} is spelled with %; give it in plain letters"
        if address.scheme in ("models", "runs"):
            return None  # MLflow has looked for it, and for what was registered as what
        place = place_of(source.uri, self.destination)
        try:
            folders = [
                *([self.run_place(source.run_id)] if source.run_id else []),
                *([self.model_place(source.model_id)] if source.model_id else []),
            ]
        except MlflowException as error:
            return error.message
        if any(_within(place, folder) for folder in folders):
            return None
        return (
            f"the source {source.uri!r} is in no folder of a run or logged model of this server, so nobody could "
            "keep its files as they were reviewed; log the model here and register models:/<its id> or "
            "runs:/<run>/<path>"
        )

    def _files(self, place: str, segments: list[str]) -> Holder | None:
        named = [each for each in segments if _RUN.fullmatch(each) or _MODEL.fullmatch(each)]
        around = [place]
        while (parent := posixpath.dirname(around[-1])) not in (around[-1], ""):
            around.append(parent)
        spelled = [*around, *(f"{each}/" for each in around), *(f"file://{each}" for each in around)]
        rows = self._versions(
            or_(
                *(_names(each) for each in named),
                _VERSION.c.storage_location.in_(spelled),
                _VERSION.c.source.in_(spelled),
            )
        )
        for row in rows:
            if any(_touches(place, folder) for folder in self._folders(row)):
                return Holder(row.name, str(row.version))
        return None

    def _folders(self, row: Any) -> list[str]:
        """Where a version's files lie."""
        found = []
        for uri in {row.storage_location or row.source, row.source}:
            address = urlsplit(uri or "")
            parts = address.path.strip("/").split("/", 1)
            try:
                if address.scheme == "runs":
                    found.append(self.run_place(parts[0], parts[1] if len(parts) > 1 else ""))
                elif address.scheme == "models" and _MODEL.fullmatch(parts[0]):
                    found.append(self.model_place(parts[0]))
                elif address.scheme != "models" and uri:
                    found.append(place_of(uri, self.destination))
            except MlflowException:
                continue  # the run is gone for good, and its folder with it
        return found

    def _evidence(self, place: str, runs: list[str]) -> Holder | None:
        kept = self._kept_in(runs)
        if not kept:
            return None
        of = or_(*(and_(_TAG.c.name == row.name, _TAG.c.version == row.version) for row in kept))
        folders = select(_TAG.c.name, _TAG.c.version, _TAG.c.value).where(_TAG.c.key == "evidence", of)
        runs_of = {(row.name, row.version): row.value for row in kept}
        with self.engine.connect() as connection:
            rows = connection.execute(folders).all()
        for row in rows:
            try:
                folder = self.run_place(runs_of[row.name, row.version], str(row.value))
            except MlflowException:
                continue
            if _touches(place, folder):
                return Holder(row.name, str(row.version), "evidence")
        return None

    def _kept_in(self, runs: list[str] | None) -> list[Any]:
        """Versions whose evidence lies in these runs (in any, where None); `value` is the run's identifier."""
        query = select(_TAG.c.name, _TAG.c.version, _TAG.c.value).where(_TAG.c.key == "source_run_id")
        with self.engine.connect() as connection:
            return list(connection.execute(query if runs is None else query.where(_TAG.c.value.in_(runs))).all())

    def _versions(self, where: ColumnElement[bool] | None) -> list[Any]:
        columns = (
            _VERSION.c.name, _VERSION.c.version, _VERSION.c.source, _VERSION.c.storage_location, _VERSION.c.run_id,
        )  # fmt: skip
        query = select(*columns).where(_VERSION.c.current_stage != _DELETED)
        with self.engine.connect() as connection:
            return list(connection.execute(query if where is None else query.where(where)).all())


def _names(identifier: str) -> ColumnElement[bool]:
    """Versions whose source or storage location names a run or a logged model."""
    return or_(_VERSION.c.source.contains(identifier), _VERSION.c.storage_location.contains(identifier))

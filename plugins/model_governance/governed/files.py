"""A version's files and its verdict, read where the server itself keeps them."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import mlflow
import yaml
from cachetools import LRUCache
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.utils.file_utils import local_file_uri_to_path
from pydantic import ValidationError

from model_governance.artifact import artifact_digest
from model_governance.errors import EvidenceError, GovernanceError
from model_governance.evidence import Evidence as Recorded
from model_governance.gates import Verdict
from model_governance.gates.wording import shortfall
from model_governance.governed.artifact_guard import place_of
from model_governance.source import locate

__all__ = [
    "Files",
    "failed_gates",
    "is_guarded",
    "measuring_runs",
    "own_location",
    "place_of_run",
    "read_files",
    "shown_files",
    "true_place",
]

_DESTINATION = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
_ANCHOR = "/api/2.0/mlflow-artifacts/artifacts/"
_FOLDER = re.compile(r"governance/[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Files:
    """Digest of a version's files; None where they cannot be read, and why."""

    digest: str | None = None
    trouble: str = ""


def own_location(location: str, destination: str | None) -> str:
    """Where the server keeps what clients reach through its artifact proxy; any other location as it is.

    Parameters
    ----------
    destination : str or None
        What `mlflow server --artifacts-destination` names; None where nothing is known of it.

    Examples
    --------
    >>> own_location("mlflow-artifacts:/1/models/m-2/artifacts", "s3://bucket/root/")
    's3://bucket/root/1/models/m-2/artifacts'
    >>> own_location("/srv/models/1", "s3://bucket/root")
    '/srv/models/1'
    """
    parsed = urlparse(location)
    if parsed.scheme == "mlflow-artifacts":
        path = parsed.path
    elif parsed.scheme in ("http", "https") and _ANCHOR in parsed.path:
        path = parsed.path.split(_ANCHOR, 1)[1]
    else:
        return location
    destination = os.environ.get(_DESTINATION) or destination
    if destination is None:
        return location
    parts = [part for part in unquote(path).split("/") if part]
    if ".." in parts:
        raise MlflowException.invalid_parameter_value(f"{location} leads out of where artefacts are kept")
    return "/".join([destination.rstrip("/"), *parts])


def is_guarded(location: str, destination: str | None) -> bool:
    """Whether files lie below the server's own artefacts; of a registry without a server nobody can tell, and so.

    Examples
    --------
    >>> is_guarded("mlflow-artifacts:/1/models/m-2/artifacts", "s3://bucket/root")
    True
    >>> is_guarded("s3://anns-bucket/model", "s3://bucket/root"), is_guarded("/home/ann", "/srv/artifacts")
    (False, False)
    """
    destination = os.environ.get(_DESTINATION) or destination
    if destination is None:
        return True
    place, own = place_of(location, destination), place_of(destination, destination)
    return place == own or place.startswith(own.rstrip("/") + "/")


def true_place(location: str, destination: str | None) -> str:
    """The one spelling of a location (`place_of`), as this server keeps artefacts."""
    return place_of(location, os.environ.get(_DESTINATION) or destination or "")


def place_of_run(source: str) -> str | None:
    """Where the files of an address ``runs:/<run>/<path>`` lie; None of any other address.

    MLflow's newer clients say so themselves when they register. Older ones and programs send the address as it is,
    which a server cannot read: it would ask itself over HTTP.

    Raises
    ------
    MlflowException
        Where there is no such run.
    """
    if urlparse(source).scheme != "runs":
        return None
    try:
        return locate(source).location
    except EvidenceError as error:
        raise MlflowException(str(error), RESOURCE_DOES_NOT_EXIST) from error


def read_files(location: str | None, destination: str | None) -> Files:
    """The digest of the files at a location, or why it cannot be told."""
    if not location:
        return Files(trouble="the version names no place where they are")
    try:
        return Files(artifact_digest(own_location(location, destination)))
    except (GovernanceError, MlflowException, OSError, yaml.YAMLError) as error:
        return Files(trouble=str(error)[:500])


def shown_files(location: str | None, destination: str | None) -> Files:
    """As `read_files`, for a page that only shows: not hashed again while nothing about the files has changed.

    Of files on the server's own disk the system tells inode, size and both times, of which nobody but the system
    sets the one of the last change. Files that changed just now are hashed each time, because a second change in
    the same tick of the clock would not be seen. Whoever decides calls `read_files`.
    """
    folder = _own_folder(location, destination)
    before = None if folder is None else _fingerprint(folder)
    if folder is None or before is None:
        return read_files(location, destination)
    with _LOCK:
        kept = _SHOWN.get(folder)
    if kept is not None and kept[0] == before:
        return kept[1]
    files = read_files(location, destination)
    if files.digest is not None and _fingerprint(folder) == before:
        with _LOCK:
            _SHOWN[folder] = (before, files)
    return files


_SETTLED_NS = 2_000_000_000  # longer than a tick of any file system's clock
_MOST_FILES = 10_000
_SHOWN: LRUCache[str, tuple[str, Files]] = LRUCache(1000)
_LOCK = threading.Lock()


def _own_folder(location: str | None, destination: str | None) -> str | None:
    """A folder of this machine; None where the files are elsewhere, or nobody knows where."""
    try:
        found = own_location(location or "", destination)
        if not found or urlparse(found).scheme not in ("", "file"):
            return None
        return str(local_file_uri_to_path(found))
    except MlflowException:
        return None


def _fingerprint(folder: str) -> str | None:
    """SHA-256 over what the system tells of every file below; None where that says nothing for sure."""
    found: list[tuple[str, int, int, int, int, int, int]] = []
    open_, newest = [folder], 0
    try:
        while open_:
            for entry in list(os.scandir(open_.pop())):
                path, of = entry.path, entry.stat(follow_symlinks=False)
                newest = max(newest, of.st_ctime_ns, of.st_mtime_ns)
                found.append((path, of.st_dev, of.st_ino, of.st_mode, of.st_size, of.st_mtime_ns, of.st_ctime_ns))
                if stat.S_ISDIR(of.st_mode):
                    open_.append(path)
            if len(found) > _MOST_FILES:
                return None
    except OSError:
        return None
    if newest > time.time_ns() - _SETTLED_NS:
        return None
    return hashlib.sha256(repr(sorted(found)).encode("utf-8", "surrogatepass")).hexdigest()


def failed_gates(version: ModelVersion, destination: str | None) -> tuple[str, ...]:
    """The gates that a version failed, as sentences; none where its verdict cannot be read or was changed."""
    folder, run_id = version.tags.get("evidence", ""), version.tags.get("source_run_id", "")
    if version.tags.get("gates") in (None, "passed") or not _FOLDER.fullmatch(folder):
        return ()
    try:
        root = MlflowClient().get_run(run_id).info.artifact_uri or ""
        verdict = Verdict.model_validate_json(_text(own_location(f"{root}/{folder}/verdict.json", destination)))
    except (MlflowException, OSError, ValidationError, UnicodeDecodeError):
        return ()
    content = verdict.model_dump_json(exclude={"judged_at"})
    if folder != f"governance/{hashlib.sha256(content.encode()).hexdigest()[:16]}":
        return ()
    return tuple(shortfall(row.gate, row.expected, row.got) or row.sentence() for row in verdict.failures)


def measuring_runs(version: ModelVersion, destination: str | None) -> tuple[str, ...] | None:
    """The runs that measured a version, as its evidence tells; None where that cannot be read or was changed."""
    folder, run_id = version.tags.get("evidence", ""), version.tags.get("source_run_id", "")
    if not _FOLDER.fullmatch(folder):
        return None
    try:
        root = MlflowClient().get_run(run_id).info.artifact_uri or ""
        evidence = Recorded.model_validate_json(_text(own_location(f"{root}/{folder}/evidence.json", destination)))
    except (MlflowException, OSError, ValidationError, UnicodeDecodeError):
        return None
    if evidence.digest != version.tags.get("evidence_digest"):
        return None
    return tuple(dict.fromkeys(each.run_id for each in evidence.evaluations))


def _text(uri: str) -> str:
    if urlparse(uri).scheme in ("", "file"):
        return Path(local_file_uri_to_path(uri)).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="model-governance-") as folder:
        path = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
        return Path(path).read_text(encoding="utf-8")

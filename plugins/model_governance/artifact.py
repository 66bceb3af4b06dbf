"""A model's files: their digests and what they are, read from the files themselves."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import mlflow
import yaml
from mlflow.utils.file_utils import local_file_uri_to_path
from pydantic import BaseModel, ConfigDict

from model_governance.errors import EvidenceError

__all__ = ["Artifact", "ArtifactFile", "artifact_digest", "read_artifact"]

# MLflow writes this one beside the model whenever a registered version is loaded; it is not part of the model.
_WRITTEN_BY_LOADING = "registered_model_meta"
_PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".p", ".joblib", ".dill", ".cloudpickle", ".pt", ".pth", ".bin"})
_CHUNK = 1 << 20


class ArtifactFile(BaseModel):
    """One file of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size: int
    sha256: str
    pickle: bool


class Artifact(BaseModel):
    """All files of a model.

    Attributes
    ----------
    digest : str
        SHA-256 over the sorted lines ``sha256  size  path`` of all files: it changes with any byte, any name, and
        with any file added or removed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[ArtifactFile, ...]

    @property
    def digest(self) -> str:
        lines = "\n".join(f"{file.sha256}  {file.size}  {file.path}" for file in self.files)
        return hashlib.sha256(lines.encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


def artifact_digest(location: str) -> str:
    """The digest of the files at an artifact location (a folder, or any URI that MLflow can download)."""
    return read_artifact(location)[0].digest


def read_artifact(location: str) -> tuple[Artifact, dict[str, Any]]:
    """Read every file of a model; gives them and the content of its MLmodel file.

    Raises
    ------
    EvidenceError
        Where there is no MLmodel file, or something that is neither file nor folder.
    """
    with _folder(location) as folder:
        if not (folder / "MLmodel").is_file():
            raise EvidenceError(f"no MLflow model at {location}: expected a folder with a file named MLmodel")
        files = tuple(_read_file(path, folder) for path in _paths(folder, location))
        content = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise EvidenceError(f"the MLmodel file at {location} holds no mapping; log the model again")
    return Artifact(files=files), content


@contextmanager
def _folder(location: str) -> Iterator[Path]:
    if urlparse(location).scheme in ("", "file"):
        yield Path(local_file_uri_to_path(location))  # type: ignore[no-untyped-call]
        return
    with tempfile.TemporaryDirectory(prefix="model-governance-") as folder:
        yield Path(mlflow.artifacts.download_artifacts(artifact_uri=location, dst_path=folder))


def _paths(folder: Path, location: str) -> list[Path]:
    paths = []
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        if path.is_symlink():
            raise EvidenceError(
                f"{path.relative_to(folder)} in {location} is a link; a model must hold its files itself"
            )
        # Python writes byte code beside code that a model carries when it is loaded in place.
        if path.is_file() and path.name != _WRITTEN_BY_LOADING and "__pycache__" not in path.parts:
            paths.append(path)
    return paths


def _read_file(path: Path, folder: Path) -> ArtifactFile:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return ArtifactFile(
        path=path.relative_to(folder).as_posix(),
        size=size,
        sha256=digest.hexdigest(),
        pickle=_is_pickle(path),
    )


def _is_pickle(path: Path) -> bool:
    """By its name, or by how it begins: a renamed pickle is a pickle.

    Covers pickle protocols 2 and up, archives that hold one (torch, keras) and NumPy arrays of objects.
    """
    # `.bin` is also how OpenVINO names plain weights, so that suffix alone proves nothing.
    if path.suffix.lower() in _PICKLE_SUFFIXES - {".bin"}:
        return True
    with path.open("rb") as stream:
        head = stream.read(256)
        if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05" and head[1:2]:
            stream.seek(-1, 2)
            return stream.read() == b"."
        if head.startswith(b"\x93NUMPY"):
            return b"'|O'" in head
    if head.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:
                return any(Path(name).suffix.lower() in _PICKLE_SUFFIXES for name in archive.namelist())
        except zipfile.BadZipFile:
            return False
    return False

"""A model's files: their digests and what they are, read from the files themselves."""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
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
from model_governance.pickles import is_pickle
from model_governance.plain_yaml import read_yaml
from model_governance.unpacked import Allowance

__all__ = ["Artifact", "ArtifactFile", "artifact_digest", "read_artifact"]

# MLflow writes this one beside the model whenever it is loaded by a models:/ address; it is not part of the model.
# The name alone excuses nothing: whatever else stands in it would be a file that nobody vouches for.
_WRITTEN_BY_LOADING = "registered_model_meta"
# Reading it as YAML takes a second for each 200 kB, and whoever logs it chooses its size.
_LARGEST_MLMODEL = 1_000_000
_LARGEST_NOTE = 1024
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # as MLflow does


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
        Where there is no MLmodel file, or something that is neither file nor folder, or byte code.
    """
    with _folder(location) as folder:
        if not (folder / "MLmodel").is_file():
            raise EvidenceError(f"no MLflow model at {location}: expected a folder with a file named MLmodel")
        allowance = Allowance()
        files = tuple(_read_file(path, folder, allowance) for path in _paths(folder, location))
        content = _mlmodel(folder / "MLmodel", location)
    if not isinstance(content, dict):
        raise EvidenceError(f"the MLmodel file at {location} holds no mapping; log the model again")
    return Artifact(files=files), content


def _mlmodel(path: Path, location: str) -> Any:
    if path.stat().st_size > _LARGEST_MLMODEL:
        raise EvidenceError(
            f"the MLmodel file at {location} has {path.stat().st_size:,} bytes, and {_LARGEST_MLMODEL:,} fit; "
            "keep metadata of that size in a file of its own"
        )
    try:
        return read_yaml(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise EvidenceError(f"the MLmodel file at {location} is not YAML: {error}; log the model again") from error


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
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise EvidenceError(f"{name} in {location} is a link; a model must hold its files itself")
        if not path.is_file() or (name == _WRITTEN_BY_LOADING and _is_note_of_loading(path)):
            continue
        # Counted in, it would change the model's digest whenever the model is loaded; left out, it would be code
        # that nobody vouches for.
        if path.suffix in (".pyc", ".pyo") or path.parent.name == "__pycache__":
            raise EvidenceError(
                f"{name} in {location} is byte code, which Python may run in place of the reviewed source. Remove "
                "it; where loading the model in place has written it, load with PYTHONDONTWRITEBYTECODE=1"
            )
        if not name.isprintable():
            # the digest is over lines, and a name that holds one could stand for another file
            raise EvidenceError(f"{name!r} in {location} is no name that one can read; give the file another one")
        paths.append(path)
    return paths


def _is_note_of_loading(path: Path) -> bool:
    """Whether a file says a version's name and number, or null and null, as MLflow does, and not a byte more."""
    if _says_version(path):
        return True
    time.sleep(0.05)  # somebody who loads the model at this very moment may have written half of it
    return _says_version(path)


def _says_version(path: Path) -> bool:
    with path.open("rb") as stream:
        content = stream.read(_LARGEST_NOTE + 1)
    if len(content) > _LARGEST_NOTE:
        return False
    try:
        said = read_yaml(content)
    except (yaml.YAMLError, UnicodeDecodeError):
        return False
    if not isinstance(said, dict) or said.keys() != {"model_name", "model_version"}:
        return False
    name, number = said["model_name"], said["model_version"]
    of_version = isinstance(name, str) and re.fullmatch(r"[0-9]{1,18}", str(number))
    if not of_version and (name, number) != (None, None):  # what is loaded by a logged model's id has neither
        return False
    written = yaml.dump(said, default_flow_style=False, allow_unicode=True, Dumper=_DUMPER)
    return content == written.encode()


def _read_file(path: Path, folder: Path, allowance: Allowance) -> ArtifactFile:
    with path.open("rb") as stream:
        digest, size = hashlib.file_digest(stream, "sha256"), stream.tell()
        stream.seek(0)
        allowance.begin(size)
        pickle = is_pickle(path.name, stream, allowance)
    return ArtifactFile(
        path=path.relative_to(folder).as_posix(), size=size, sha256=digest.hexdigest(), pickle=pickle
    )

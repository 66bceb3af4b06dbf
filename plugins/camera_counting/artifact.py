"""The model folder: `model.json` with a format version, the detector's files, and a digest for each and for all.

    camera_counting/
    ├── model.json          the manifest
    └── detector.onnx       or detector.xml and detector.bin

It is data alone: opening it runs nothing, and nothing is given to a runtime before its digest holds.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from camera_counting.artifact_formats import FORMAT_VERSION, upgraded
from camera_counting.detectors import HEADS, InputSpec
from camera_counting.detectors.onnx_file import read_onnx_file
from camera_counting.errors import ArtifactError, DetectorError

__all__ = ["FORMAT_VERSION", "MANIFEST", "Artifact", "Manifest", "ModelFile", "read_artifact", "write_artifact"]

MANIFEST = "model.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ModelFile(_Part):
    """One file of the detector: its path relative to the manifest, with forward slashes, and its SHA-256."""

    path: str
    sha256: Sha256
    bytes: int = Field(ge=0)

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        parts = PurePosixPath(path).parts
        if not parts or PurePosixPath(path).is_absolute() or ".." in parts or "\\" in path or ":" in path:
            raise ValueError(f"expected a path inside the model folder, got {path!r}")
        return path


class Manifest(_Part):
    """What stands in `model.json`.

    Attributes
    ----------
    format_version : int
        The newest; an older file is read as what it says in the newest format (`artifact_formats`).
    detector : str
        Path of the file that a runtime opens: .onnx or .xml.
    files : tuple of ModelFile
        Every file of the detector.
    classes : tuple of str
        In the order of the detector's outputs.
    confidence, iou : float
        Score a detection needs; overlap above which two boxes of a class are one.
    head : str
        One of `camera_counting.detectors.HEADS`.
    input : InputSpec
        How a picture has to be laid out.
    runtimes : tuple of str
        Runtimes that ran it when it was saved, the preferred one first.
    digest : str
        SHA-256 over all of the above as the file has it: two models with the same digest count the same.
    """

    format_version: Literal[1]
    detector: str
    files: tuple[ModelFile, ...] = Field(min_length=1)
    classes: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    confidence: float = Field(ge=0, le=1)
    iou: float = Field(gt=0, le=1)
    head: str
    input: InputSpec
    runtimes: tuple[str, ...] = Field(min_length=1)
    digest: Sha256

    @model_validator(mode="after")
    def _belongs_together(self) -> Manifest:
        paths = [file.path for file in self.files]
        if len(set(paths)) != len(paths):
            raise ValueError("a file stands there twice")
        if self.detector not in paths:
            raise ValueError(f"the detector {self.detector!r} is not among the files")
        # A runtime goes by the ending, in whatever case; so does what is checked of the file.
        if PurePosixPath(self.detector).suffix not in (".onnx", ".xml"):
            raise ValueError(f"expected a detector that ends in .onnx or .xml, got {self.detector!r}")
        if self.detector.endswith(".xml") and self.detector[:-4] + ".bin" not in paths:
            raise ValueError(f"the weights of {self.detector!r} are not among the files")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class stands there twice")
        if self.head not in HEADS:
            raise ValueError(f"expected a head of {', '.join(HEADS)}; got {self.head!r}")
        return self


@dataclass(frozen=True)
class Artifact:
    """A model folder that was read and whose digests hold."""

    folder: Path
    manifest: Manifest

    @property
    def detector(self) -> Path:
        """The file that a runtime opens."""
        return self.folder / self.manifest.detector


def write_artifact(
    folder: Path,
    detector: Path,
    *,
    classes: Sequence[str],
    confidence: float,
    iou: float,
    head: str,
    spec: InputSpec,
    runtimes: Sequence[str],
) -> Manifest:
    """Copy a detector into a new model folder and write its manifest.

    Parameters
    ----------
    folder : Path
        Must not exist or be empty.
    detector : Path
        .onnx (with its external data, where it has some) or OpenVINO .xml (with its .bin).

    Raises
    ------
    ArtifactError
        Where the folder is not empty, a file of the detector is missing, or a value makes no sense.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ArtifactError(f"{folder} is not empty; expected a new folder for the model")
    folder.mkdir(parents=True, exist_ok=True)
    sources = _files_of(detector)
    for name, source in sources.items():
        if not source.is_file():
            raise ArtifactError(f"{detector.name} needs the file {source.name} beside it, which is not there")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / name)
    content: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "detector": next(iter(sources)),
        "files": [
            {"path": name, "sha256": _sha256(folder / name), "bytes": (folder / name).stat().st_size}
            for name in sources
        ],
        "classes": list(classes),
        "confidence": float(confidence),
        "iou": float(iou),
        "head": head,
        "input": spec.model_dump(),
        "runtimes": list(runtimes),
    }
    content["digest"] = _digest(content)
    _parsed(json.dumps(content), folder / MANIFEST)
    (folder / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    # what could not be read again is found now, and not by who serves it
    return read_artifact(folder).manifest


def read_artifact(folder: str | Path) -> Artifact:
    """Read a model folder and hold every file against its digest.

    Raises
    ------
    ArtifactError
        Where the manifest is missing, of an unknown format version or makes no sense; where a file is missing,
        altered, or lies outside the folder.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ArtifactError(f"{folder} is no camera_counting model: it has no {MANIFEST}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from None
    manifest = _parsed(text, path)
    home = folder.resolve()
    for file in manifest.files:
        target = (home / file.path).resolve()
        if not target.is_relative_to(home):
            raise ArtifactError(f"{path}: {file.path!r} leads out of the model folder")
        if not target.is_file():
            raise ArtifactError(f"{folder}: the file {file.path} is missing; the model is incomplete")
        if (found := _sha256(target)) != file.sha256:
            raise ArtifactError(
                f"{folder}: {file.path} was altered or damaged: expected SHA-256 {file.sha256}, found {found}. "
                "Get the model anew from where it was registered"
            )
    artifact = Artifact(home, manifest)
    if artifact.detector.suffix == ".onnx":
        listed = {file.path for file in manifest.files}
        beside = PurePosixPath(manifest.detector).parent
        try:
            external = read_onnx_file(artifact.detector).external
        except DetectorError as error:
            raise ArtifactError(f"{folder}: {error}") from None
        for name in external:
            if str(beside / name) not in listed:
                raise ArtifactError(
                    f"{folder}: {manifest.detector} reads {name}, which {MANIFEST} does not vouch for"
                )
    return artifact


def _parsed(text: str, path: Path) -> Manifest:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ArtifactError(f"{path} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise ArtifactError(f"{path}: expected an object, got {type(content).__name__}")
    newest = upgraded(content, str(path))
    try:
        manifest = Manifest.model_validate_json(json.dumps(newest))
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(str(part) for part in reason['loc']) or MANIFEST}: {reason['msg']}"
            for reason in error.errors()
        )
        raise ArtifactError(f"{path}: {reasons}") from None
    if (found := _digest(content)) != manifest.digest:
        raise ArtifactError(f"{path} was altered: its digest says {manifest.digest}, its content gives {found}")
    return manifest


def _files_of(detector: Path) -> dict[str, Path]:
    """Names in the model folder and where they come from; the detector itself first."""
    if detector.suffix.lower() == ".xml":
        return {"detector.xml": detector, "detector.bin": detector.with_suffix(".bin")}
    files = {"detector.onnx": detector}
    for name in read_onnx_file(detector).external:
        # the ONNX file refers to it by this very name; some file systems do not tell upper from lower case
        if PurePosixPath(name).parts[0].lower() in {MANIFEST, "detector.onnx"}:
            raise ArtifactError(f"{detector.name} keeps its weights in a file {name!r}; export it as one file")
        files[name] = detector.parent / name
    return files


def _digest(content: dict[str, Any]) -> str:
    """SHA-256 of the manifest without its digest, as JSON with sorted keys and no spaces."""
    rest = {key: value for key, value in content.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()

"""A saved model of any format version, written anew in the newest: same detector, same counts, today's code."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from camera_counting.artifact import MANIFEST, Artifact, Manifest
from camera_counting.artifact_formats import FORMAT_VERSION
from camera_counting.errors import ArtifactError
from camera_counting.flavor import artifact_of, save_model

__all__ = ["Migrated", "migrate_model"]

_SAME = ("classes", "confidence", "iou", "head", "input")


@dataclass(frozen=True, slots=True)
class Migrated:
    """What came of it.

    Attributes
    ----------
    folder : Path
        Of the new model.
    format_before, format_after : int
    digest_before, digest_after : str
        Of the manifests; equal where nothing but the code beside the detector is new.
    """

    folder: Path
    format_before: int
    format_after: int
    digest_before: str
    digest_after: str


def migrate_model(folder: Path, out: Path) -> Migrated:
    """Write a saved model in the newest format, with the code of this version of the package.

    The folder appears whole under its name or not at all; the model it was made from is left as it is. The new one
    holds the same detector, byte for byte, with the same classes and thresholds, the same signature and the same
    requirements. It is another model to a registry: it has to be registered as one.

    Parameters
    ----------
    folder : Path
        Of the model, with its MLmodel file.
    out : Path
        Must not exist.

    Raises
    ------
    ArtifactError
        Where the folder is no such model, was altered or is of a newer format than is known; where `out` exists.
    DetectorError
        Where the detector cannot be run on this machine.
    """
    from mlflow.models import Model

    if out.exists() or out.is_symlink():
        raise ArtifactError(f"{out} is there already; expected the name of a new folder")
    artifact = artifact_of(folder)
    before, saved = artifact.manifest, Model.load(str(folder))
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    try:
        save_model(
            artifact.detector,
            part,
            classes=before.classes,
            confidence=before.confidence,
            iou=before.iou,
            head=before.head,
            size=(before.input.width, before.input.height),
            signature=saved.signature,
            input_example=None if saved.saved_input_example_info else False,
            pip_requirements=_requirements(folder),
            metadata={**(saved.metadata or {}), "migrated_from": before.digest},
        )
        after = artifact_of(part).manifest
        _require_the_same(before, after, folder)
        part.chmod(0o777 & ~_umask())  # a temporary folder is its maker's alone
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Migrated(out, _format_of(artifact), FORMAT_VERSION, before.digest, after.digest)


def _format_of(artifact: Artifact) -> int:
    """As the file has it; the manifest is read in the newest."""
    return int(json.loads((artifact.folder / MANIFEST).read_text(encoding="utf-8"))["format_version"])


def _requirements(folder: Path) -> list[str] | None:
    """What the model says that it needs, line by line; None where it says nothing, and today's defaults hold."""
    path = folder / "requirements.txt"
    if not path.is_file():
        return None
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _require_the_same(before: Manifest, after: Manifest, folder: Path) -> None:
    changed = [name for name in _SAME if getattr(before, name) != getattr(after, name)]
    files = [{file.sha256 for file in manifest.files} for manifest in (before, after)]
    if files[0] != files[1]:
        changed.append("files")
    if changed:
        raise ArtifactError(
            f"{folder} would count differently in format {FORMAT_VERSION}: {', '.join(changed)} changed. Nothing "
            "was written; export its detector again and save that"
        )


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask

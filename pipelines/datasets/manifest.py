"""The prepared data set on disk: its manifest, and how a training or an evaluation reads it.

    FOLDER/
      dataset.json              the manifest: every picture with digest, camera, time, tags, boxes, labels
      data.yaml                 the same set for Ultralytics, with images/<split>/ and labels/<split>/
      statistics.json, .md      counts per split, class, camera, light, size
      reference_profile.parquet one row for each training picture, for the drift report
      clips/                    test clips with scene, tracks (MOT) and truth

The digest depends on the pictures' bytes, their labels, splits, cameras, times and tags and on the clips, not on
the order in which they were read, nor on where the folder lies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from pipelines.datasets.errors import BrokenDatasetError
from pipelines.datasets.records import Tag

__all__ = [
    "FORMAT_VERSION",
    "SPLITS",
    "ClipEntry",
    "Manifest",
    "PictureEntry",
    "PreparedDataset",
    "Sample",
    "load_dataset",
    "sha256",
]

FORMAT_VERSION = 1
SPLITS = ("train", "val", "test")
MANIFEST = "dataset.json"


def sha256(path: Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PictureEntry(_Entry):
    """One picture of the manifest; boxes are x1, y1, x2, y2 in pixels."""

    file: str
    sha256: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    camera: str | None = None
    time: datetime | None = None
    tags: dict[str, Tag] = {}
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    labels: tuple[str, ...] = ()


class ClipEntry(_Entry):
    """One clip of the manifest; files are relative to the data set's folder, digests by the same keys.

    `split` is the one that its frames are in; a clip of which no frame is among the pictures has none, and its
    entry does not name it, as before there was one.
    """

    name: str
    video: str
    truth: str | None = None
    scene: str | None = None
    mot: str | None = None
    camera: str | None = None
    time: datetime | None = None
    tags: dict[str, Tag] = {}
    sha256: dict[str, str] = {}
    split: Literal["train", "val", "test"] | None = None

    @model_serializer(mode="wrap")
    def _without_an_empty_split(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialise(self)
        if self.split is None:
            del content["split"]
        return content


class Manifest(_Entry):
    """What `dataset.json` holds."""

    format_version: int = FORMAT_VERSION
    name: str
    classes: tuple[str, ...] = Field(min_length=1)
    digest: str = ""
    source: str
    splits: dict[str, tuple[PictureEntry, ...]]
    clips: tuple[ClipEntry, ...] = ()

    def content_digest(self) -> str:
        """SHA-256 over everything that a training or an evaluation can see, in an order of its own."""
        lines = [f"format {self.format_version}", f"classes {json.dumps(self.classes)}"]
        for split in sorted(self.splits):
            lines += sorted(f"{split} {_canonical(entry)}" for entry in self.splits[split])
        lines += sorted(f"clip {_canonical(clip)}" for clip in self.clips)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def signed(self) -> Manifest:
        """The same manifest with its digest filled in."""
        return self.model_copy(update={"digest": self.content_digest()})

    def to_json(self) -> str:
        """Text of `dataset.json`; equal manifests give equal bytes."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def _canonical(entry: _Entry) -> str:
    return json.dumps(entry.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One picture with its labels.

    Parameters
    ----------
    path : Path
    width, height : int
    boxes : float32 array (N, 4)
        x1, y1, x2, y2 in pixels.
    labels : tuple of str
    camera : str, optional
    time : datetime, optional
        UTC.
    tags : dict
    """

    path: Path
    width: int
    height: int
    boxes: npt.NDArray[np.float32]
    labels: tuple[str, ...]
    camera: str | None
    time: datetime | None
    tags: dict[str, Tag]


@dataclass(frozen=True, slots=True)
class PreparedClip:
    """One clip with its files; those that a source did not have are None."""

    name: str
    video: Path
    truth: Path | None
    scene: Path | None
    mot: Path | None
    camera: str | None
    time: datetime | None
    tags: dict[str, Tag]
    split: str | None = None


@dataclass(frozen=True, slots=True)
class PreparedDataset:
    """A prepared data set on disk.

    Attributes
    ----------
    folder : Path
    manifest : Manifest
    """

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.manifest.classes

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(split for split in SPLITS if split in self.manifest.splits)

    @property
    def data_yaml(self) -> Path:
        """The same set for Ultralytics."""
        return self.folder / "data.yaml"

    @property
    def clips(self) -> tuple[PreparedClip, ...]:
        def path(name: str | None) -> Path | None:
            return None if name is None else self.folder / name

        return tuple(
            PreparedClip(
                c.name,
                self.folder / c.video,
                path(c.truth),
                path(c.scene),
                path(c.mot),
                c.camera,
                c.time,
                dict(c.tags),
                c.split,
            )
            for c in self.manifest.clips
        )

    def samples(self, split: str) -> list[Sample]:
        """The pictures of one split, in the manifest's order.

        Raises
        ------
        KeyError
            Where the set has no such split.
        """
        if split not in self.manifest.splits:
            raise KeyError(f"expected one of {', '.join(self.splits)}, got {split!r}")
        return [
            Sample(
                self.folder / e.file,
                e.width,
                e.height,
                np.array(e.boxes, np.float32).reshape(-1, 4),
                e.labels,
                e.camera,
                e.time,
                dict(e.tags),
            )
            for e in self.manifest.splits[split]
        ]

    def files(self) -> Iterable[tuple[str, str]]:
        """Name and digest of every picture and clip file that the manifest vouches for."""
        for entries in self.manifest.splits.values():
            for entry in entries:
                yield entry.file, entry.sha256
        for clip in self.manifest.clips:
            for key, digest in clip.sha256.items():
                yield getattr(clip, key), digest

    def verify(self) -> None:
        """Read every picture and clip and compare it with its digest.

        Raises
        ------
        BrokenDatasetError
            Names the first file that is missing or was altered.
        """
        for name, digest in self.files():
            path = self.folder / name
            if not path.is_file():
                raise BrokenDatasetError(
                    f"expected {name} in {self.folder}, found no such file: prepare the set again"
                )
            found = sha256(path)
            if found != digest:
                raise BrokenDatasetError(
                    f"expected {name} in {self.folder} to have SHA-256 {digest[:12]}…, it has {found[:12]}…: "
                    "it was altered since it was prepared; prepare the set again or restore it from the store"
                )


def load_dataset(folder: Path | str, *, verify: bool = False) -> PreparedDataset:
    """Open a prepared data set.

    Parameters
    ----------
    folder : path
        Holds `dataset.json`.
    verify : bool
        Also compare every file with its digest; reads the whole set.

    Raises
    ------
    BrokenDatasetError
        Where there is no manifest, or it is damaged, of a newer format or does not match its own digest; with
        `verify` also where a file is missing or altered.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise BrokenDatasetError(
            f"expected a prepared data set with {MANIFEST} in {folder}, found none: run prepare first"
        )
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = content.get("format_version")
        if version != FORMAT_VERSION:
            raise BrokenDatasetError(f"expected format_version {FORMAT_VERSION} in {path}, got {version!r}")
        manifest = Manifest.model_validate(content)
    except (ValidationError, json.JSONDecodeError, AttributeError) as error:
        raise BrokenDatasetError(f"expected a manifest in {path}: {error}") from error
    if manifest.digest != manifest.content_digest():
        raise BrokenDatasetError(
            f"expected {path} to match its own digest {manifest.digest[:12]}…: "
            "it was altered; prepare the set again"
        )
    dataset = PreparedDataset(folder, manifest)
    if verify:
        dataset.verify()
    return dataset

"""The COCO format: one JSON file with images, annotations and categories.

Source: https://cocodataset.org/#format-data — a bbox is x, y, width, height in pixels.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipelines.datasets.errors import UnreadableSourceError
from pipelines.datasets.readers.base import DatasetReader
from pipelines.datasets.readers.provenance import Provenance
from pipelines.datasets.records import Finding, Reading, Record

__all__ = ["CocoReader"]


class CocoReader(DatasetReader):
    """Reads one JSON file, or a folder with annotations/*.json or *.json.

    Of several files each is a split, if train, val or test stands in its name. Pictures are looked for under
    ``file_name`` beside the JSON file, in images/ and images/<split>/ beside it, and in the same places of the
    folder above.

    A picture with a crowd region (``iscrowd``) is reported: what is not labelled one by one cannot be counted.
    """

    format: ClassVar[str] = "coco"

    def read(self, source: Path, workspace: Path, on_picture: Callable[[], None] | None = None) -> Reading:
        files = _files(source)
        root = source if source.is_dir() else source.parent
        provenance = Provenance(root)
        classes: list[str] = []
        records: list[Record] = []
        findings: list[Finding] = []
        for file in files:
            content = _load(file)
            names = {c["id"]: str(c["name"]) for c in sorted(content["categories"], key=lambda c: c["id"])}
            classes += [name for name in names.values() if name not in classes]
            read, wrong = _pictures(root, file, content, names, provenance)
            records += read
            findings += wrong
            if on_picture is not None:
                for _ in read:
                    on_picture()
        return Reading(tuple(records), tuple(classes), tuple(findings))


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    folder = source / "annotations" if (source / "annotations").is_dir() else source
    files = sorted(folder.glob("*.json"))
    if not files:
        raise UnreadableSourceError(f"expected a COCO file *.json in {folder}, found none")
    return files


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableSourceError(f"expected COCO annotations in {path}: {error}") from error
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or any(not isinstance(content.get(key), list) for key in keys):
        raise UnreadableSourceError(f"expected the lists {', '.join(keys)} in {path}")
    for key, needed in (("images", {"id", "file_name"}), ("categories", {"id", "name"})):
        for entry in content[key]:
            if not isinstance(entry, dict) or not needed <= entry.keys():
                raise UnreadableSourceError(
                    f"expected {' and '.join(sorted(needed))} in every entry of {key} of {path}"
                )
    return content


def _split_of(file: Path) -> str | None:
    stem = file.stem.lower()
    return next((split for split in ("train", "val", "test") if split in stem), None)


def _pictures(
    root: Path, file: Path, content: dict[str, Any], names: dict[int, str], provenance: Provenance
) -> tuple[list[Record], list[Finding]]:
    boxes: dict[object, list[list[float]]] = defaultdict(list)
    labels: dict[object, list[str]] = defaultdict(list)
    findings: list[Finding] = []
    known = {image["id"]: str(image["file_name"]) for image in content["images"]}
    for number, entry in enumerate(content["annotations"]):
        where = f"annotation {entry.get('id', number) if isinstance(entry, dict) else number} of {file.name}"
        try:
            image, category = entry["image_id"], entry["category_id"]
            x, y, width, height = (float(v) for v in entry["bbox"])
        except (KeyError, TypeError, ValueError) as error:
            owner = entry.get("image_id") if isinstance(entry, dict) else None
            name = known.get(owner, file.name)
            detail = f"expected image_id, category_id and a bbox of four numbers in {where}: {error!r}"
            findings.append(Finding(name, "broken_label", detail, whole_picture=False))
            continue
        if image not in known:
            findings.append(Finding(file.name, "missing_picture", f"{where} belongs to no picture: {image!r}"))
        elif entry.get("iscrowd"):
            findings.append(Finding(known[image], "crowd_region", f"expected one box for each, got {where}"))
        else:
            boxes[image].append([x, y, x + width, y + height])
            labels[image].append(names.get(category, f"#{category}"))
    split = _split_of(file)
    records = []
    for image in content["images"]:
        name = known[image["id"]]
        origin = provenance.of(name)
        size = (int(image["width"]), int(image["height"])) if {"width", "height"} <= image.keys() else None
        records.append(
            Record(
                name,
                _find(root, file, name, split),
                np.array(boxes[image["id"]], np.float64).reshape(-1, 4),
                tuple(labels[image["id"]]),
                origin.camera,
                origin.time,
                dict(origin.tags),
                split,
                size,
            )
        )
    return records, findings


def _find(root: Path, file: Path, name: str, split: str | None) -> Path:
    for folder in (file.parent, root, file.parent.parent):
        for inner in (".", "images", f"images/{split}", str(split)):
            path = folder / inner / name
            if path.is_file():
                return path
    return file.parent / name

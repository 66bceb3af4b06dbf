"""The COCO format: one JSON file with images, annotations and categories.

Source: https://cocodataset.org/#format-data — a bbox is x, y, width, height in pixels.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from pipelines.datasets.errors import UnreadableSourceError
from pipelines.datasets.readers.base import DatasetReader
from pipelines.datasets.readers.provenance import SIDECAR, Provenance
from pipelines.datasets.records import Finding, Reading, Record
from pipelines.datasets.upright import orientation_of, turned_boxes, upright_size

__all__ = ["CocoReader"]

_FOLDERS = ("train", "val", "valid", "test")  # Roboflow's, each with a file of its own


class CocoReader(DatasetReader):
    """Reads one JSON file, or a folder with annotations/*.json, *.json or <split>/*.json.

    Where there are instances_*.json, as COCO itself has them beside captions and keypoints, these are read alone.
    Of several files each is a split, if train, val or test stands in its name or is its folder's. Pictures are
    looked for under ``file_name`` beside the JSON file, in the folder that is called like the file (train2017/ for
    instances_train2017.json) or like the split, with or without images/ before it, and in the same places of the
    folder above.

    Boxes are those of the upright picture. Where width and height are of the picture as it is stored, and its EXIF
    orientation turns it, its boxes are turned with it, and a note says so.

    A picture with a crowd region (``iscrowd``) is reported: what is not labelled one by one cannot be counted.
    """

    format: ClassVar[str] = "coco"

    def inputs(self, source: Path) -> Iterable[Path]:
        root = _root(source)
        yield root / SIDECAR
        for file in _files(source):
            yield file
            for image in _load(file)["images"]:
                yield _find(root, file, str(image["file_name"]))

    def read(self, source: Path, workspace: Path, on_picture: Callable[[], None] | None = None) -> Reading:
        root = _root(source)
        provenance = Provenance(root)
        classes: list[str] = []
        records: list[Record] = []
        findings: list[Finding] = []
        turned = 0
        taken: set[str] = set()
        for file in _files(source):
            content = _load(file)
            names = _names(content)
            classes += [name for name in names.values() if name not in classes]
            read, wrong = _pictures(root, file, content, names, provenance, taken)
            upright = [_upright(record) for record in read]
            turned += sum(one is not other for one, other in zip(read, upright, strict=True))
            taken |= {record.name for record in read}
            records += upright
            findings += wrong
            if on_picture is not None:
                for _ in read:
                    on_picture()
        told = f"{turned} pictures are labelled as they are stored: their boxes are turned upright with them"
        return Reading(tuple(records), tuple(classes), tuple(findings), notes=(told,) if turned else ())


def _root(source: Path) -> Path:
    return source if source.is_dir() else source.parent


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    folder = source / "annotations" if (source / "annotations").is_dir() else source
    files = sorted(folder.glob("*.json")) or [p for s in _FOLDERS for p in sorted(folder.glob(f"{s}/*.json"))]
    if not files:
        raise UnreadableSourceError(f"expected a COCO file *.json in {folder}, or in train/ there, found none")
    return [file for file in files if file.name.startswith("instances_")] or files


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


def _names(content: dict[str, Any]) -> dict[Any, str]:
    """Class names by category id.

    Roboflow lists the project itself as a category, above the others and of no annotation: it is no class.
    """
    used = {str(entry.get("category_id")) for entry in content["annotations"] if isinstance(entry, dict)}
    above = {c.get("supercategory") for c in content["categories"]}
    return {
        c["id"]: str(c["name"])
        for c in sorted(content["categories"], key=lambda c: c["id"])
        if str(c["id"]) in used or c["name"] not in above or c.get("supercategory") != "none"
    }


def _split_of(file: Path) -> str | None:
    found = re.search(r"(?<![a-z])(train|val|test)(?:id|idation|ing)?(?![a-z])", file.stem.lower())
    folder = file.parent.name.lower()
    if found is None and folder in _FOLDERS:
        return folder.removesuffix("id")
    return found and found[1]


def _size(image: dict[str, Any], file: Path) -> tuple[int, int] | None:
    if not {"width", "height"} <= image.keys():
        return None
    try:
        return int(image["width"]), int(image["height"])
    except (TypeError, ValueError, OverflowError) as error:
        raise UnreadableSourceError(
            f"expected width and height as numbers for {image['file_name']} in {file}: {error}"
        ) from error


def _upright(record: Record) -> Record:
    """The record itself, or the same with its boxes turned as EXIF turns its picture."""
    if record.size is None or not record.path.is_file():
        return record
    try:
        with Image.open(record.path) as picture:
            stored, shown, orientation = picture.size, upright_size(picture), orientation_of(picture)
    except (OSError, ValueError, SyntaxError, ImportError, Image.DecompressionBombError):
        return record  # which the validation reports
    if record.size != stored or record.size == shown:
        return record
    return replace(record, boxes=turned_boxes(record.boxes, stored, orientation), size=shown)


def _pictures(
    root: Path,
    file: Path,
    content: dict[str, Any],
    names: dict[Any, str],
    provenance: Provenance,
    taken: set[str],
) -> tuple[list[Record], list[Finding]]:
    boxes: dict[object, list[list[float]]] = defaultdict(list)
    labels: dict[object, list[str]] = defaultdict(list)
    findings: list[Finding] = []
    split = _split_of(file)
    known = {image["id"]: str(image["file_name"]) for image in content["images"]}
    # Other splits may have used the same file names, in folders of their own.
    known = {key: f"{split or file.stem}/{name}" if name in taken else name for key, name in known.items()}
    for number, entry in enumerate(content["annotations"]):
        where = f"annotation {entry.get('id', number) if isinstance(entry, dict) else number} of {file.name}"
        try:
            image, category = entry["image_id"], entry["category_id"]
            x, y, width, height = (float(v) for v in entry["bbox"])
            hash(image), hash(category)
        except (KeyError, TypeError, ValueError) as error:
            owner = entry.get("image_id") if isinstance(entry, dict) else None
            name = known.get(owner, file.name) if isinstance(owner, (int, str)) else file.name
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
    records = []
    for image in content["images"]:
        name = known[image["id"]]
        origin = provenance.of(name)
        records.append(
            Record(
                name,
                _find(root, file, str(image["file_name"])),
                np.array(boxes[image["id"]], np.float64).reshape(-1, 4),
                tuple(labels[image["id"]]),
                origin.camera,
                origin.time,
                dict(origin.tags),
                split,
                _size(image, file),
            )
        )
    return records, findings


def _find(root: Path, file: Path, name: str) -> Path:
    split, own = _split_of(file), file.stem.removeprefix("instances_")
    for folder in (file.parent, root, file.parent.parent):
        for inner in (".", own, str(split), "images", f"images/{own}", f"images/{split}"):
            path = folder / inner / name
            if path.is_file():
                return path
    return file.parent / name

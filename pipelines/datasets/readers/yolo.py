"""The YOLO format: data.yaml, images/ and labels/ with a text file for each picture.

Source: https://docs.ultralytics.com/datasets/detect — a line is ``class cx cy w h``, relative to the picture; a
line with more numbers is a polygon, whose box is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml
from PIL import Image

from pipelines.datasets.errors import UnreadableSourceError
from pipelines.datasets.readers.base import PICTURE_SUFFIXES, DatasetReader
from pipelines.datasets.readers.provenance import SIDECAR, Provenance
from pipelines.datasets.records import Finding, Reading, Record
from pipelines.datasets.upright import upright_size

__all__ = ["YoloReader"]

_SPLITS = ("train", "val", "test")


class YoloReader(DatasetReader):
    """Reads a folder with data.yaml, or the yaml file itself, whatever it is called.

    A picture without a label file is background, as Ultralytics trains on it, or a finding, as asked.
    """

    format: ClassVar[str] = "yolo"

    def inputs(self, source: Path) -> Iterable[Path]:
        path, content, root = _open(source)
        yield from (path, root / SIDECAR)
        for split in _SPLITS:
            pictures, folders, lists = _pictures(root, content.get(split), path, split)
            for picture in pictures:
                yield from (picture, _label_path(picture))
            yield from lists
            for folder in _label_folders(folders):
                yield from folder.rglob("*.txt")

    def read(self, source: Path, workspace: Path, on_picture: Callable[[], None] | None = None) -> Reading:
        path, content, root = _open(source)
        classes = _classes(content.get("names"), path)
        provenance = Provenance(root)
        records: list[Record] = []
        findings: list[Finding] = []
        background = 0
        for split in _SPLITS:
            pictures, folders, _ = _pictures(root, content.get(split), path, split)
            for picture in pictures:
                record, wrong = _record(root, picture, split, classes, provenance)
                records.append(record)
                findings += wrong
                if picture.is_file() and not _label_path(picture).is_file():
                    background += 1
                    if self.unlabelled == "finding":
                        label = _name(root, _label_path(picture))
                        findings.append(Finding(record.name, "missing_label", f"expected {label}, found none"))
                if on_picture is not None:
                    on_picture()
            findings += _orphans(root, folders, pictures)
        if not records and not findings:
            raise UnreadableSourceError(f"expected pictures under train, val or test of {path}, found none")
        if background == len(records) and self.unlabelled == "background":
            raise UnreadableSourceError(
                f"expected label files such as {_label_path(records[0].path)}, found none for any of the "
                f"{background} pictures of {path}: put them there"
            )
        told = f"{background} pictures without a label file are background: nothing is in them"
        notes = (told,) if background and self.unlabelled == "background" else ()
        return Reading(tuple(records), classes, tuple(findings), notes=notes)


def _open(source: Path) -> tuple[Path, dict[str, Any], Path]:
    """The yaml file, what it says, and the folder that its paths start from."""
    path = source / "data.yaml" if source.is_dir() else source
    content = _load(path)
    root = path.parent / str(content.get("path") or ".")
    if not root.is_dir():
        raise UnreadableSourceError(f"expected a folder under 'path' in {path}, found none at {root}")
    return path, content, root


def _load(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnreadableSourceError(f"expected a YOLO data set with a data.yaml at {path}: {error}") from error
    if not isinstance(content, dict) or "names" not in content:
        raise UnreadableSourceError(f"expected the keys train, val and names in {path}, got {content!r:.80}")
    return content


def _classes(names: object, path: Path) -> tuple[str, ...]:
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        return tuple(str(names[i]) for i in range(len(names)))
    if isinstance(names, list) and names:
        return tuple(map(str, names))
    raise UnreadableSourceError(f"expected 'names' in {path} as a list, or a mapping from 0 on; got {names!r:.80}")


def _pictures(root: Path, entry: object, path: Path, split: str) -> tuple[list[Path], list[Path], list[Path]]:
    """The pictures of a split, and the folders and the lists that name them."""
    if not entry:
        return [], [], []
    pictures: list[Path] = []
    folders: list[Path] = []
    lists: list[Path] = []
    for name in entry if isinstance(entry, list) else [entry]:
        place = _place(root, str(name))
        if place.is_dir():
            folders.append(place)
            pictures += [p for p in place.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES]
        elif place.suffix == ".txt" and place.is_file():
            lists.append(place)
            lines = [line.strip() for line in place.read_text(encoding="utf-8").splitlines()]
            # A leading dot is the list's own folder.
            pictures += [(place.parent if line.startswith("./") else root) / line for line in lines if line]
        else:
            raise UnreadableSourceError(
                f"expected a folder or a list under '{split}' in {path}, found none at {place}"
            )
    return sorted(set(pictures)), folders, lists


def _place(root: Path, name: str) -> Path:
    """Where a split lies: as it stands there, with Windows' separators, or, as for Ultralytics, without ``../``.

    Roboflow writes ``../train/images`` beside train/, which is meant from a folder further down.
    """
    plain = name.replace("\\", "/")
    for tried in (name, plain, plain.removeprefix("../")):
        if (root / tried).exists():
            return root / tried
    return root / plain


def _label_path(picture: Path) -> Path:
    """images/ becomes labels/, the last one of the path that is so called, as Ultralytics has it."""
    parts = list(picture.parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _name(root: Path, picture: Path) -> str:
    return picture.relative_to(root).as_posix() if picture.is_relative_to(root) else picture.name


def _record(
    root: Path, picture: Path, split: str, classes: tuple[str, ...], provenance: Provenance
) -> tuple[Record, list[Finding]]:
    name = _name(root, picture)
    origin = provenance.of(name)
    label = _label_path(picture)
    findings: list[Finding] = []
    rows: list[tuple[str, list[float]]] = []
    if label.is_file():
        text = label.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                try:
                    rows.append(_row(line, classes))
                except ValueError as error:
                    detail = f"{_name(root, label)}, line {number}: {error}"
                    findings.append(Finding(name, "broken_label", detail, whole_picture=False))
    boxes = np.array([box for _, box in rows], np.float64).reshape(-1, 4)
    size = _size(picture)
    if size is not None:
        boxes = boxes * np.array([*size, *size], np.float64)
    labels = tuple(label for label, _ in rows)
    record = Record(name, picture, boxes, labels, origin.camera, origin.time, dict(origin.tags), split)
    return record, findings


def _row(line: str, classes: tuple[str, ...]) -> tuple[str, list[float]]:
    """Class name and relative corners of one line."""
    parts = line.split()
    if len(parts) != 5 and (len(parts) < 7 or len(parts) % 2 == 0):
        raise ValueError(f"expected 'class cx cy w h' or a polygon, got {len(parts)} values")
    number, *values = (float(part) for part in parts)
    if not number.is_integer():  # neither are infinity and nan
        raise ValueError(f"expected a whole class number, got {parts[0]}")
    # A number without a name is kept as it is: the validation reports it as an unknown class.
    name = classes[int(number)] if 0 <= number < len(classes) else f"#{int(number)}"
    if len(values) > 4:
        return name, [min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])]
    cx, cy, w, h = values
    return name, [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]


def _size(picture: Path) -> tuple[int, int] | None:
    """Width and height; None where the picture cannot be opened, which the validation reports."""
    try:
        with Image.open(picture) as opened:
            return upright_size(opened)
    except (OSError, ValueError, SyntaxError, ImportError, Image.DecompressionBombError):
        return None


def _orphans(root: Path, folders: list[Path], pictures: list[Path]) -> Iterator[Finding]:
    """Label files without a picture."""
    expected = {_label_path(picture) for picture in pictures}
    for labels in _label_folders(folders):
        for label in sorted(labels.rglob("*.txt")):
            if label not in expected:
                name = _name(root, label)
                yield Finding(name, "missing_picture", f"expected a picture for {name}, found none")


def _label_folders(folders: list[Path]) -> Iterator[Path]:
    """Where the labels of whole folders of pictures lie, if that is not beside them."""
    for folder in folders:
        labels = _label_path(folder / "x.jpg").parent
        if labels != folder:
            yield labels

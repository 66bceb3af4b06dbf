"""Write records as a prepared data set: pictures, labels for Ultralytics, clips, manifest."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml
from PIL import Image

from pipelines.datasets.manifest import MANIFEST, SPLITS, ClipEntry, Manifest, PictureEntry, sha256
from pipelines.datasets.records import Clip, Record
from pipelines.datasets.upright import upright_size

__all__ = ["write_dataset"]


def write_dataset(
    folder: Path,
    *,
    name: str,
    source: str,
    classes: Sequence[str],
    splits: Mapping[str, Sequence[Record]],
    clips: Sequence[Clip] = (),
    on_picture: Callable[[], None] | None = None,
) -> Manifest:
    """Copy pictures and clips into `folder` and write labels, data.yaml and the manifest.

    The pictures' bytes are kept as they are. Boxes are clipped to the picture; validated ones lose at most a pixel
    by it.

    Parameters
    ----------
    folder : Path
        Empty or absent.
    splits : mapping of split to records
        train, val and test; boxes are in pixels.

    Returns
    -------
    Manifest
        Signed with its digest; also written as `dataset.json`.
    """
    entries: dict[str, tuple[PictureEntry, ...]] = {}
    for split in SPLITS:
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        done = []
        records = sorted(splits.get(split, ()), key=lambda r: r.name)
        stems = Counter(_file_name(record.name) for record in records)
        for record in records:
            stem, suffix = _file_name(record.name), record.path.suffix.lower() or ".jpg"
            if stems[stem] > 1:  # a.jpg and a.png would share the labels of a.txt
                stem += suffix.replace(".", "_")
            target = images / f"{stem}{suffix}"
            if (labels / f"{stem}.txt").exists():
                raise ValueError(f"expected one picture named {stem} in {split}, got two: rename one of them")
            shutil.copyfile(record.path, target)
            entry = _entry(record, target, folder)
            (labels / f"{stem}.txt").write_text(_yolo_lines(entry, classes), encoding="utf-8")
            done.append(entry)
            if on_picture is not None:
                on_picture()
        entries[split] = tuple(done)
    data = {
        "train": "images/train",
        "val": "images/val",
        "test": "images/test",
        "names": dict(enumerate(classes)),
    }
    (folder / "data.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    manifest = Manifest(
        name=name,
        classes=tuple(classes),
        source=source,
        splits=entries,
        clips=tuple(_clip_entry(clip, folder) for clip in sorted(clips, key=lambda c: c.name)),
    ).signed()
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _file_name(name: str) -> str:
    stem = name.rsplit(".", 1)[0] if re.search(r"\.[A-Za-z]{3,4}$", name) else name
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", stem.replace("/", "__"))


def _entry(record: Record, target: Path, folder: Path) -> PictureEntry:
    with Image.open(target) as picture:
        width, height = upright_size(picture)
    boxes = record.boxes.copy()
    boxes[:, [0, 2]] = boxes[:, [0, 2]].clip(0, width)
    boxes[:, [1, 3]] = boxes[:, [1, 3]].clip(0, height)
    return PictureEntry(
        file=target.relative_to(folder).as_posix(),
        sha256=sha256(target),
        width=width,
        height=height,
        camera=record.camera,
        time=record.time,
        tags=record.tags,
        boxes=tuple(tuple(round(float(v), 2) for v in box) for box in boxes),  # type: ignore[misc]
        labels=record.labels,
    )


def _yolo_lines(entry: PictureEntry, classes: Sequence[str]) -> str:
    lines = []
    for (x1, y1, x2, y2), label in zip(entry.boxes, entry.labels, strict=True):
        centre_x, centre_y = (x1 + x2) / 2 / entry.width, (y1 + y2) / 2 / entry.height
        width, height = (x2 - x1) / entry.width, (y2 - y1) / entry.height
        lines.append(f"{list(classes).index(label)} {centre_x:.6f} {centre_y:.6f} {width:.6f} {height:.6f}\n")
    return "".join(lines)


def _clip_entry(clip: Clip, folder: Path) -> ClipEntry:
    target = folder / "clips"
    target.mkdir(exist_ok=True)
    names: dict[str, str] = {}
    endings = {"video": clip.video.suffix, "truth": ".truth.json", "scene": ".scene.yaml", "mot": ".gt.txt"}
    for key, ending in endings.items():
        path: Path | None = getattr(clip, key)
        if path is None:
            continue
        copy = target / f"{clip.name}{ending}"
        if path.resolve() != copy.resolve():
            shutil.copyfile(path, copy)
        names[key] = copy.relative_to(folder).as_posix()
    return ClipEntry(
        name=clip.name,
        video=names["video"],
        truth=names.get("truth"),
        scene=names.get("scene"),
        mot=names.get("mot"),
        camera=clip.camera,
        time=clip.time,
        tags=clip.tags,
        split=clip.split,  # type: ignore[arg-type]
        sha256={key: sha256(folder / name) for key, name in names.items()},
    )

"""A prepared data set of coloured rectangles, which a network learns to find within seconds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import yaml

from pipelines.datasets.manifest import ClipEntry, Manifest, PictureEntry, sha256

CLASSES = ("person", "car")
COLOURS = {"person": (255, 0, 0), "car": (0, 0, 255)}  # RGB, as the toy detector knows them
SIZES = {"person": (12, 24), "car": (26, 14)}  # width, height


def write_rectangles(
    folder: Path,
    *,
    pictures: dict[str, int] | None = None,
    size: tuple[int, int] = (96, 64),
    seed: int = 0,
    clips: tuple[ClipEntry, ...] = (),
) -> Path:
    """Write the set; `size` is (width, height), `pictures` says how many per split. Returns the folder."""
    rng = np.random.default_rng(seed)
    splits: dict[str, tuple[PictureEntry, ...]] = {}
    for split, number in (pictures or {"train": 12, "val": 4, "test": 4}).items():
        (folder / "images" / split).mkdir(parents=True, exist_ok=True)
        (folder / "labels" / split).mkdir(parents=True, exist_ok=True)
        splits[split] = tuple(_picture(folder, split, index, size, rng) for index in range(number))
    layout = {"train": "images/train", "val": "images/val", "names": list(CLASSES)}
    (folder / "data.yaml").write_text(yaml.safe_dump(layout))
    manifest = Manifest(name="rectangles", classes=CLASSES, source="rectangles", splits=splits, clips=clips)
    (folder / "dataset.json").write_text(manifest.signed().to_json())
    return folder


def _picture(
    folder: Path, split: str, index: int, size: tuple[int, int], rng: np.random.Generator
) -> PictureEntry:
    width, height = size
    image = np.full((height, width, 3), 114, np.uint8)
    image += rng.integers(0, 8, image.shape, dtype=np.uint8)
    boxes, labels, lines = [], [], []
    for place in range(int(rng.integers(1, 4))):
        name = CLASSES[int(rng.integers(2))]
        w, h = SIZES[name]
        # One object per third of the picture, so that none hides another.
        x = int(rng.integers(place * width // 3 + 1, (place + 1) * width // 3 - w))
        y = int(rng.integers(1, height - h))
        cv2.rectangle(image, (x, y), (x + w - 1, y + h - 1), COLOURS[name], -1)
        boxes.append((float(x), float(y), float(x + w), float(y + h)))
        labels.append(name)
        middle = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
        lines.append(" ".join([str(CLASSES.index(name)), *(f"{value:.6f}" for value in middle)]))
    file = f"images/{split}/{index:03d}.png"
    cv2.imwrite(str(folder / file), image[..., ::-1])
    (folder / "labels" / split / f"{index:03d}.txt").write_text("\n".join(lines) + "\n")
    return PictureEntry(
        file=file,
        sha256=sha256(folder / file),
        width=width,
        height=height,
        camera=f"cam-{index % 2 + 1}",
        tags={"light": "day" if index % 3 else "night"},
        boxes=tuple(boxes),
        labels=tuple(labels),
    )

"""Data sets as the tools that people use lay them out, written here by hand, and read as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from camera_counting.pictures import read_picture
from pipelines.datasets.contact_sheet import contact_sheet
from pipelines.datasets.layout import write_dataset
from pipelines.datasets.manifest import load_dataset
from pipelines.datasets.profile import reference_profile
from pipelines.datasets.readers import reader
from pipelines.datasets.validation import validate

SIZE = (64, 48)
BOX = [8.0, 12.0, 24.0, 36.0]
LINE = "1 0.250000 0.500000 0.250000 0.500000\n"  # the same box of the second class


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(list(path.parts[-2].encode())).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    Image.fromarray(noise).save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def coco(*names: str, categories: list[dict[str, object]] | None = None) -> str:
    """A COCO file whose pictures all have the one box of the category 3, the car."""
    known = [
        {"supercategory": "person", "id": 1, "name": "person"},
        {"supercategory": "vehicle", "id": 3, "name": "car"},
    ]
    images = [
        {"license": 1, "file_name": name, "height": SIZE[1], "width": SIZE[0], "id": number}
        for number, name in enumerate(names, start=100)
    ]
    annotations = [
        {
            "id": image["id"],
            "image_id": image["id"],
            "category_id": 3,
            "bbox": [8, 12, 16, 24],
            "area": 384,
            "iscrowd": 0,
        }
        for image in images
    ]
    content = {"info": {}, "licenses": [], "images": images, "annotations": annotations}
    return json.dumps({**content, "categories": categories or known})


def stock_coco(folder: Path) -> Path:
    """train2017.zip, val2017.zip and annotations_trainval2017.zip, unpacked in one folder."""
    for split, name in (("train", "000000000009.jpg"), ("val", "000000000139.jpg")):
        picture(folder / f"{split}2017" / name)
        text(folder / f"annotations/instances_{split}2017.json", coco(name))
        captions = {"info": {}, "images": [], "annotations": [{"image_id": 1, "id": 1, "caption": "A car."}]}
        text(folder / f"annotations/captions_{split}2017.json", json.dumps(captions))
        keypoints = coco(
            name, categories=[{"supercategory": "person", "id": 3, "name": "person", "keypoints": []}]
        )
        text(folder / f"annotations/person_keypoints_{split}2017.json", keypoints)
    return folder


def roboflow_coco(folder: Path) -> Path:
    """Export "COCO": a file in each split's folder, and the project itself as the first category."""
    categories: list[dict[str, object]] = [
        {"id": 0, "name": "vehicles", "supercategory": "none"},
        {"id": 1, "name": "person", "supercategory": "vehicles"},
        {"id": 3, "name": "car", "supercategory": "vehicles"},
    ]
    for split in ("train", "valid"):
        name = "frame_000001_jpg.rf.0a1b2c.jpg"  # the same in both
        picture(folder / split / name)
        text(folder / split / "_annotations.coco.json", coco(name, categories=categories))
    text(folder / "README.roboflow.txt", "vehicles - v1\n")
    return folder


def cvat_coco(folder: Path) -> Path:
    """Export "COCO 1.0" with pictures: images/<subset>/, and annotations/instances_<subset>.json."""
    for split in ("train", "val"):
        picture(folder / f"images/{split}/frame_000000.jpg")
        text(folder / f"annotations/instances_{split}.json", coco("frame_000000.jpg"))
    return folder


def roboflow_yolo(folder: Path) -> Path:
    """Export "YOLOv8": data.yaml stands beside train/ and yet says ``../train/images``."""
    for split in ("train", "valid"):
        picture(folder / split / "images/a_jpg.rf.0a1b2c.jpg")
        text(folder / split / "labels/a_jpg.rf.0a1b2c.txt", LINE)
    lines = ["train: ../train/images", "val: ../valid/images", "test: ../test/images", "", "nc: 2"]
    (folder / "test/images").mkdir(parents=True)
    text(
        folder / "data.yaml",
        "\n".join([*lines, "names: ['person', 'car']", "roboflow:", "  license: CC BY 4.0", ""]),
    )
    return folder


def yolo_of_windows(folder: Path) -> Path:
    """Written by hand on Windows."""
    for split in ("train", "val"):
        picture(folder / split / "images/a.jpg")
        text(folder / split / "labels/a.txt", LINE)
    text(folder / "data.yaml", "train: train\\images\nval: val\\images\nnames:\n  0: person\n  1: car\n")
    return folder


def ultralytics_lists(folder: Path) -> Path:
    """As COCO lies there for Ultralytics: lists of pictures, images/train2017/ and labels/train2017/."""
    for split in ("train", "val"):
        picture(folder / f"images/{split}2017/a.jpg")
        text(folder / f"labels/{split}2017/a.txt", LINE)
        text(folder / f"{split}2017.txt", f"./images/{split}2017/a.jpg\n")
    text(folder / "data.yaml", "path: .\ntrain: train2017.txt\nval: val2017.txt\nnames: {0: person, 1: car}\n")
    return folder


@pytest.mark.parametrize(
    ("kind", "write"),
    [
        ("coco", stock_coco),
        ("coco", roboflow_coco),
        ("coco", cvat_coco),
        ("yolo", roboflow_yolo),
        ("yolo", yolo_of_windows),
        ("yolo", ultralytics_lists),
    ],
)
def test_an_export_is_read_as_it_is_laid_out(kind: str, write: Callable[[Path], Path], tmp_path: Path) -> None:
    source = write(tmp_path / "export")
    reading = reader(kind).read(source, tmp_path)
    report, usable = validate(reading)
    assert report.clean, report.findings
    assert reading.classes == ("person", "car")
    assert [record.split for record in usable] == ["train", "val"]
    assert [record.labels for record in usable] == [("car",)] * 2
    for record in usable:
        assert record.boxes == pytest.approx(np.array([BOX]), abs=1e-3)
    # All that was read is known to whoever asks whether the source has changed.
    inputs = {path.resolve() for path in reader(kind).inputs(source)}
    assert {record.path.resolve() for record in usable} <= inputs
    assert any(path.suffix in (".json", ".txt") and path.is_file() for path in inputs)


def turned(path: Path, orientation: int) -> tuple[list[float], tuple[int, int], list[float]]:
    """A JPEG of 64x32, a red rectangle in it, which EXIF turns.

    Returns the rectangle in the upright picture, that picture's size, and the rectangle as it is stored.
    """
    stored = np.full((32, 64, 3), 114, np.uint8)
    stored[4:20, 8:40] = (255, 0, 0)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(stored).save(path, exif=exif, quality=100, subsampling=0)
    upright = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)  # turns it
    rows, columns = np.nonzero((upright[..., 0] > 200) & (upright[..., 1] < 60))
    box = [float(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]
    return box, (upright.shape[1], upright.shape[0]), [8.0, 4.0, 40.0, 20.0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["yolo", "coco", "coco as stored"])
def test_a_picture_that_exif_turns_is_labelled_upright(kind: str, orientation: int, tmp_path: Path) -> None:
    """Labels are of the picture as it is shown; COCO's may be of the stored one, as its width and height tell."""
    source = tmp_path / "source"
    box, (width, height), as_stored = turned(source / "images/a.jpg", orientation)
    if kind == "yolo":
        x1, y1, x2, y2 = box
        line = f"0 {(x1 + x2) / 2 / width} {(y1 + y2) / 2 / height} {(x2 - x1) / width} {(y2 - y1) / height}\n"
        text(source / "labels/a.txt", line)
        text(source / "data.yaml", "train: images\nnames: [car]\n")
    else:
        swapped = kind == "coco as stored" and orientation >= 5  # otherwise width and height cannot tell
        (x1, y1, x2, y2), size = (as_stored, (64, 32)) if swapped else (box, (width, height))
        image = {"id": 1, "file_name": "images/a.jpg", "width": size[0], "height": size[1]}
        entry = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        content = {"images": [image], "annotations": [entry], "categories": [{"id": 1, "name": "car"}]}
        text(source / "labels.json", json.dumps(content))
    reading = reader(kind.split()[0]).read(source, tmp_path)
    report, (record,) = validate(reading)
    assert report.clean, report.findings
    assert any("stored" in note for note in report.notes) == (kind == "coco as stored" and orientation >= 5)
    assert record.boxes[0] == pytest.approx(box, abs=0.01)

    write_dataset(tmp_path / "set", name="t", source="t", classes=("car",), splits={"train": [record]})
    (sample,) = load_dataset(tmp_path / "set", verify=True).samples("train")
    assert (sample.width, sample.height) == (width, height) == read_picture(sample.path).shape[1::-1]
    x1, y1, x2, y2 = sample.boxes[0].round().astype(int)
    assert read_picture(sample.path)[y1:y2, x1:x2, 0].min() > 200, "the box is on what is seen"
    profile = reference_profile([sample], ["car"])
    assert profile["count_car"].tolist() == [1]
    sheet = contact_sheet([sample], ["car"])
    assert sheet.shape[0] - 18 == round(320 * height / width)

"""What every reader of data sets must do: the same pictures, written in each format, read equal.

A new reader is tested by a line in `READERS` and a writer here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from pipelines.datasets.errors import UnreadableSourceError
from pipelines.datasets.generator.clips import write_video
from pipelines.datasets.generator.pictures import GeneratedPicture
from pipelines.datasets.readers import READERS, GeneratedRecipe, reader
from pipelines.datasets.readers.generated import GeneratedReader
from pipelines.datasets.validation import validate

RECIPE = GeneratedRecipe(pictures=5, cameras=1, width=128, height=96, seed=3, density="street", days=1)
CLASSES = ("person", "car", "truck")


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> list[GeneratedPicture]:
    """Five pictures of one camera, as all formats get them."""
    workspace = tmp_path_factory.mktemp("shots")
    found = []
    for record in GeneratedReader().generate(RECIPE, workspace).records:
        image = cv2.imread(str(record.path))[..., ::-1]
        assert record.camera is not None
        assert record.time is not None
        found.append(
            GeneratedPicture(
                np.ascontiguousarray(image),
                record.boxes.astype(np.float32),
                record.labels,
                record.camera,
                record.time,
                {},
            )
        )
    assert sum(len(shot.labels) for shot in found) > 8
    return found


def stem(shot: GeneratedPicture, index: int) -> str:
    return f"{shot.camera}_{shot.time:%Y%m%dT%H%M%SZ}_{index:05d}"


def write_generated(folder: Path, shots: list[GeneratedPicture]) -> Path:
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE.model_dump(mode="json")))
    return folder / "recipe.yaml"


def write_yolo(folder: Path, shots: list[GeneratedPicture]) -> Path:
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    for index, shot in enumerate(shots):
        height, width = shot.image.shape[:2]
        cv2.imwrite(str(folder / f"images/train/{stem(shot, index)}.png"), shot.image[..., ::-1])
        lines = []
        for (x1, y1, x2, y2), label in zip(shot.boxes.tolist(), shot.labels, strict=True):
            centre = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height)
            lines.append(
                f"{CLASSES.index(label)} {centre[0]} {centre[1]} {(x2 - x1) / width} {(y2 - y1) / height}"
            )
        (folder / f"labels/train/{stem(shot, index)}.txt").write_text("\n".join(lines))
    (folder / "data.yaml").write_text(yaml.safe_dump({"train": "images/train", "names": list(CLASSES)}))
    return folder


def write_coco(folder: Path, shots: list[GeneratedPicture]) -> Path:
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    images, annotations = [], []
    for index, shot in enumerate(shots):
        name = f"{stem(shot, index)}.png"
        cv2.imwrite(str(folder / "images" / name), shot.image[..., ::-1])
        height, width = shot.image.shape[:2]
        images.append({"id": index + 7, "file_name": name, "width": width, "height": height})
        for (x1, y1, x2, y2), label in zip(shot.boxes.tolist(), shot.labels, strict=True):
            category = 10 + CLASSES.index(label)
            bbox = [x1, y1, x2 - x1, y2 - y1]
            annotations.append(
                {"id": len(annotations), "image_id": index + 7, "category_id": category, "bbox": bbox}
            )
    categories = [{"id": 10 + i, "name": name} for i, name in enumerate(CLASSES)]
    content = {"images": images[::-1], "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(content))
    return folder


def mot_lines(shots: list[GeneratedPicture]) -> str:
    return "".join(
        f"{frame},{track},{x1},{y1},{x2 - x1},{y2 - y1},1,{CLASSES.index(label) + 1},1\n"
        for frame, shot in enumerate(shots, start=1)
        for track, ((x1, y1, x2, y2), label) in enumerate(
            zip(shot.boxes.tolist(), shot.labels, strict=True), start=1
        )
    )


def write_mot(folder: Path, shots: list[GeneratedPicture]) -> Path:
    sequence = folder / "cam-0"
    (sequence / "gt").mkdir(parents=True)
    (sequence / "img1").mkdir()
    for frame, shot in enumerate(shots, start=1):
        cv2.imwrite(str(sequence / f"img1/{frame:06d}.png"), shot.image[..., ::-1])
    (sequence / "gt/gt.txt").write_text(mot_lines(shots))
    (sequence / "gt/labels.txt").write_text("\n".join(CLASSES))
    rows = [f"{frame:06d}.png,{shot.camera},{shot.time.isoformat()}" for frame, shot in enumerate(shots, start=1)]
    (folder / "cameras.csv").write_text("\n".join(["file,camera,time", *rows]))
    return folder


def write_video_set(folder: Path, shots: list[GeneratedPicture]) -> Path:
    write_video(folder / "cam-0.mp4", iter([shot.image for shot in shots]), 10)
    (folder / "cam-0.gt.txt").write_text(mot_lines(shots))
    (folder / "cam-0.labels.txt").write_text("\n".join(CLASSES))
    return folder


WRITERS: dict[str, Callable[[Path, list[GeneratedPicture]], Path]] = {
    "generated": write_generated,
    "yolo": write_yolo,
    "coco": write_coco,
    "mot": write_mot,
    "video": write_video_set,
}
LOSSY = {"video"}  # H.264: the pictures come back nearly, the labels exactly
TIMELESS = {"video"}  # without a sidecar or a telling name


def test_every_format_is_tested() -> None:
    assert set(WRITERS) == set(READERS)


@pytest.fixture(params=sorted(WRITERS))
def written(request: pytest.FixtureRequest, shots: list[GeneratedPicture], tmp_path: Path) -> tuple[str, Path]:
    folder = tmp_path / "source"
    folder.mkdir()
    return request.param, WRITERS[request.param](folder, shots)


def test_the_same_pictures_read_equal(
    written: tuple[str, Path], shots: list[GeneratedPicture], tmp_path: Path
) -> None:
    kind, source = written
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    ticks: list[int] = []
    reading = reader(kind).read(source, workspace, lambda: ticks.append(1))
    assert reading.findings == ()
    assert reading.classes == CLASSES
    assert len(ticks) == len(reading.records) == len(shots)
    records = sorted(reading.records, key=lambda r: (r.time or shots[0].time, r.name))
    ordered = sorted(shots, key=lambda s: s.time) if kind not in TIMELESS else shots
    for record, shot in zip(records, ordered, strict=True):
        image = cv2.imread(str(record.path))[..., ::-1]
        difference = np.abs(image.astype(int) - shot.image.astype(int)).mean()
        assert difference < (6 if kind in LOSSY else 1e-9)
        assert record.labels == shot.labels
        assert np.abs(record.boxes - shot.boxes).max(initial=0) < 0.01
        assert record.camera == shot.camera
        assert record.path.is_file()
        if kind not in TIMELESS:
            assert record.time == shot.time
    assert len({record.name for record in records}) == len(records)
    report, usable = validate(reading)
    assert report.clean, report.findings
    assert len(usable) == len(shots)


def test_reading_twice_gives_the_same(written: tuple[str, Path], tmp_path: Path) -> None:
    kind, source = written
    results = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        reading = reader(kind).read(source, tmp_path / name)
        results.append([(r.name, r.path.read_bytes(), r.boxes.tolist(), r.labels) for r in reading.records])
    assert results[0] == results[1]


def test_times_have_a_zone(written: tuple[str, Path], tmp_path: Path) -> None:
    kind, source = written
    for record in reader(kind).read(source, tmp_path).records:
        assert record.time is None or record.time.tzinfo == UTC


@pytest.mark.parametrize("kind", sorted(READERS))
@pytest.mark.parametrize("content", [None, "folder", "{", "just: text"])
def test_a_source_of_another_kind_is_refused(kind: str, content: str | None, tmp_path: Path) -> None:
    source = tmp_path / "source"
    if content == "folder":
        source.mkdir()
    elif content is not None:
        source.write_text(content)
    with pytest.raises(UnreadableSourceError, match="expected"):
        reader(kind).read(source, tmp_path)


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="generated, yolo, coco, mot, video, got 'voc'"):
        reader("voc")
    with pytest.raises(ValueError, match="1 or more"):
        reader("mot", every=0)

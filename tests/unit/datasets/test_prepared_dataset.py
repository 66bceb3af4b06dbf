"""The prepared set on disk: its digest, its layout for Ultralytics, what happens when it is altered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pipelines.datasets.errors import BrokenDatasetError
from pipelines.datasets.layout import write_dataset
from pipelines.datasets.manifest import load_dataset
from pipelines.datasets.records import Clip
from pipelines.datasets.statistics import dataset_statistics, size_of, statistics_markdown


@pytest.fixture
def records(make_record):
    return {
        "train": [
            make_record("cam/a", [[8, 12, 24, 36]], ["car"], camera="cam", time="2026-03-02T08:00:00"),
            make_record("cam/b", camera="cam", time="2026-03-02T09:00:00", tags={"light": "night"}),
        ],
        "test": [make_record("c", [[0, 0, 64, 48], [1, 1, 11, 11]], ["person", "car"])],
    }


def write(folder: Path, splits, **more) -> Path:
    write_dataset(folder, name="t", source="here", classes=("person", "car"), splits=splits, **more)
    return folder


def test_layout_and_labels(records, tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path / "set", records), verify=True)
    # A box of 16x24 with its middle at (16, 24) in a picture of 64x48.
    text = (dataset.folder / "labels/train/cam__a.txt").read_text()
    assert text == "1 0.250000 0.500000 0.250000 0.500000\n"
    assert (dataset.folder / "labels/train/cam__b.txt").read_text() == ""
    content = yaml.safe_load(dataset.data_yaml.read_text())
    assert content["names"] == {0: "person", 1: "car"}
    assert "path" not in content  # the folder can be moved
    assert content["val"] == "images/val", "also where nothing is in it: the training's pictures validate nothing"
    (first, second), (third,) = dataset.samples("train"), dataset.samples("test")
    assert (first.camera, second.tags, third.camera) == ("cam", {"light": "night"}, None)
    assert first.boxes.dtype == np.float32
    assert first.boxes.tolist() == [[8, 12, 24, 36]]
    assert first.time is not None
    assert first.time.isoformat() == "2026-03-02T08:00:00+00:00"
    assert dataset.samples("val") == []
    with pytest.raises(KeyError, match="train, val, test"):
        dataset.samples("training")


def test_the_digest_does_not_depend_on_order_or_place(records, tmp_path: Path) -> None:
    one = load_dataset(write(tmp_path / "one", records)).digest
    turned = {split: list(reversed(found)) for split, found in reversed(records.items())}
    assert load_dataset(write(tmp_path / "deep" / "two", turned)).digest == one


@pytest.mark.parametrize("change", ["label", "box", "split", "camera", "tag", "picture"])
def test_the_digest_depends_on_everything_else(records, make_record, tmp_path: Path, change: str) -> None:
    before = load_dataset(write(tmp_path / "before", records)).digest
    base = {"camera": "cam", "time": "2026-03-02T08:00:00"}
    boxes, labels = [[8, 12, 24, 36]], ["car"]
    if change == "label":
        other = make_record("cam/a", boxes, ["person"], **base)
    elif change == "box":
        other = make_record("cam/a", [[8, 12, 24, 36.5]], labels, **base)
    elif change == "camera":
        other = make_record("cam/a", boxes, labels, **{**base, "camera": "mac"})
    elif change == "tag":
        other = make_record("cam/a", boxes, labels, tags={"light": "day"}, **base)
    else:
        other = make_record("cam/a", boxes, labels, **base)
    splits = {"train": [other, records["train"][1]], "test": records["test"]}
    if change == "split":
        splits = {"train": [records["train"][1]], "test": [*records["test"], other]}
    if change == "picture":
        other.path.write_bytes(make_record("z").path.read_bytes())
    assert load_dataset(write(tmp_path / "after", splits)).digest != before


def test_an_altered_set_is_found_out(records, tmp_path: Path) -> None:
    folder = write(tmp_path / "set", records)
    picture = folder / "images/train/cam__a.png"
    content = picture.read_bytes()
    picture.write_bytes(content + b" ")
    with pytest.raises(BrokenDatasetError, match=r"cam__a\.png.*altered"):
        load_dataset(folder, verify=True)
    picture.unlink()
    with pytest.raises(BrokenDatasetError, match=r"cam__a\.png.*no such file"):
        load_dataset(folder, verify=True)
    picture.write_bytes(content)
    manifest = folder / "dataset.json"
    manifest.write_text(manifest.read_text().replace('"car"', '"bus"'))
    with pytest.raises(BrokenDatasetError, match="match its own digest"):
        load_dataset(folder)
    manifest.write_text(json.dumps({"format_version": 99}))
    with pytest.raises(BrokenDatasetError, match="format_version 1"):
        load_dataset(folder)
    manifest.write_text("{")
    with pytest.raises(BrokenDatasetError, match="expected a manifest"):
        load_dataset(folder)
    with pytest.raises(BrokenDatasetError, match="run prepare first"):
        load_dataset(tmp_path)


def test_only_a_clip_whose_frames_are_pictures_names_its_split(records, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a video")
    digests = []
    for split in (None, "test"):
        folder = write(tmp_path / f"set-{split}", records, clips=[Clip("a", tmp_path / "a.mp4", split=split)])
        dataset = load_dataset(folder, verify=True)
        assert [clip.split for clip in dataset.clips] == [split]
        digests.append(dataset.digest)
        assert ('"split": "test"' in (folder / "dataset.json").read_text()) == (split is not None)
    assert digests[0] != digests[1]


def test_statistics(records, tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path / "set", records))
    found = dataset_statistics(dataset.manifest)
    assert found["train"] | {"from": None, "to": None} == {
        "pictures": 2,
        "empty_pictures": 1,
        "boxes": 1,
        "boxes_per_picture": 0.5,
        "classes": {"person": 0, "car": 1},
        "sizes": {"small": 1, "medium": 0, "large": 0},
        "cameras": {"cam": 2},
        "light": {"night": 1, "unknown": 1},
        "weather": {"unknown": 2},
        "from": None,
        "to": None,
    }
    assert found["train"]["to"] == "2026-03-02T09:00:00+00:00"
    assert found["all"]["classes"] == {"person": 1, "car": 2}
    assert found["all"]["sizes"] == {"small": 2, "medium": 1, "large": 0}
    text = statistics_markdown("t", dataset.digest, found)
    assert "| classes: car | 1 | 0 | 1 | 2 |" in text


def test_sizes_at_their_bounds() -> None:
    assert size_of((0, 0, 32, 31)) == "small"
    assert size_of((0, 0, 32, 32)) == "medium"
    assert size_of((0, 0, 96, 96)) == "large"


def test_pictures_that_differ_by_ending_alone_keep_labels_of_their_own(make_record, tmp_path: Path) -> None:
    png, other = (
        make_record("a.png", [[8, 12, 24, 36]], ["car"]),
        make_record("a.jpg", [[0, 0, 64, 48]], ["person"]),
    )
    jpg = replace(other, path=other.path.with_name("a.jpg"))
    Image.open(other.path).save(jpg.path)
    folder = write(tmp_path / "set", {"train": [png, jpg, make_record("b.png")]})
    labels = {path.name: path.read_text() for path in (folder / "labels/train").iterdir()}
    assert {name: text[:1] for name, text in labels.items()} == {"a_png.txt": "1", "a_jpg.txt": "0", "b.txt": ""}
    pictures = {path.name for path in (folder / "images/train").iterdir()}
    assert pictures == {"a_png.png", "a_jpg.jpg", "b.png"}


def test_two_pictures_of_one_name_are_refused(make_record, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected one picture named a__b"):
        write(tmp_path / "set", {"train": [make_record("a/b"), make_record("a__b")]})

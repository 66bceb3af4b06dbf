"""What readers report of broken sources, format by format."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pipelines.datasets.errors import UnreadableSourceError
from pipelines.datasets.generator.clips import write_video
from pipelines.datasets.readers import reader
from pipelines.datasets.readers.provenance import Provenance


def picture(path: Path, size: tuple[int, int] = (40, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(path)


def yolo(folder: Path, labels: dict[str, str], **data: object) -> Path:
    for name, text in labels.items():
        picture(folder / f"images/val/{name}.png")
        path = folder / f"labels/val/{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    content = {"val": "images/val", "names": {0: "person", 1: "car"}} | data
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    return folder


def test_yolo_lines(tmp_path: Path) -> None:
    source = yolo(
        tmp_path,
        {
            "good": "0 0.5 0.5 0.5 0.5\n\n1 0.1 0.2 0.3 0.2 0.3 0.6\n",  # a box and a polygon
            "bad": "0 0.5 0.5 0.5\nperson 0.5 0.5 0.1 0.1\n0.5 0.5 0.5 0.1 0.1\n7 0.5 0.5 0.1 0.1\n"
            "inf 0.5 0.5 0.1 0.1\nnan 0.5 0.5 0.1 0.1\n",
            "empty": "",
        },
    )
    reading = reader("yolo").read(source, tmp_path)
    bad, empty, good = sorted(reading.records, key=lambda r: r.name)
    assert good.split == "val"
    assert good.labels == ("person", "car")
    assert good.boxes == pytest.approx(np.array([[10, 5, 30, 15], [4, 4, 12, 12]]))
    assert (empty.labels, bad.labels) == ((), ("#7",))
    found = [(f.file, f.reason, f.detail.split(":")[0]) for f in reading.findings]
    assert found == [
        ("images/val/bad.png", "broken_label", f"labels/val/bad.txt, line {n}") for n in (1, 2, 3, 5, 6)
    ]


def test_yolo_pictures_and_labels_without_each_other(tmp_path: Path) -> None:
    source = yolo(tmp_path, {"a": "0 0.5 0.5 0.5 0.5"})
    picture(tmp_path / "images/val/lonely.png")
    (tmp_path / "labels/val/orphan.txt").write_text("0 0.5 0.5 0.5 0.5")
    reading = reader("yolo", unlabelled="finding").read(source, tmp_path)
    findings = {f.reason: f.file for f in reading.findings}
    assert findings == {"missing_label": "images/val/lonely.png", "missing_picture": "labels/val/orphan.txt"}
    reading = reader("yolo").read(source, tmp_path)
    assert [f.reason for f in reading.findings] == ["missing_picture"]
    assert reading.notes == ("1 pictures without a label file are background: nothing is in them",)
    assert {r.name: r.labels for r in reading.records}["images/val/lonely.png"] == ()


def test_yolo_without_any_label_is_no_set_of_background(tmp_path: Path) -> None:
    source = yolo(tmp_path, {"a": ""})
    (tmp_path / "labels/val/a.txt").unlink()
    with pytest.raises(UnreadableSourceError, match=r"label files such as .*labels/val/a\.txt, found none"):
        reader("yolo").read(source, tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"names": {0: "person", 2: "car"}}, "mapping from 0 on"),
        ({"names": []}, "'names'"),
        ({"val": "images/nowhere"}, "under 'val'"),
        ({"path": "elsewhere"}, "under 'path'"),
    ],
)
def test_yolo_yaml_that_makes_no_sense(tmp_path: Path, data: dict[str, object], message: str) -> None:
    with pytest.raises(UnreadableSourceError, match=message):
        reader("yolo").read(yolo(tmp_path, {"a": ""}, **data), tmp_path)


def test_yolo_lists_of_pictures(tmp_path: Path) -> None:
    source = yolo(tmp_path, {"a": "0 0.5 0.5 0.5 0.5", "b": ""}, val="val.txt")
    (tmp_path / "val.txt").write_text("./images/val/a.png\nimages/val/gone.png\n")
    reading = reader("yolo").read(source, tmp_path)
    assert [r.name for r in reading.records] == ["images/val/a.png", "images/val/gone.png"]
    assert not reading.records[1].path.exists(), "which the validation reports"
    # A list in a folder of its own, as a leading dot means it.
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/val.txt").write_text("./../images/val/a.png\n")
    (record,) = (
        reader("yolo").read(yolo(tmp_path, {"a": "0 0.5 0.5 0.5 0.5"}, val="lists/val.txt"), tmp_path).records
    )
    assert record.path.is_file()


def test_coco_annotations_that_make_no_sense(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 20}, {"id": 2, "file_name": "b.png"}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]},
            {"id": 2, "image_id": 1, "category_id": 9, "bbox": [1, 2, 3, 4]},
            {"id": 3, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3]},
            {"id": 4, "image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4]},
            {"id": 5, "image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 1},
            {"id": 6, "category_id": 1, "bbox": [1, 2, 3, 4]},
            {"id": 7, "image_id": [1], "category_id": 1, "bbox": [1, 2, 3, 4]},
        ],
    }
    (tmp_path / "labels.json").write_text(json.dumps(content))
    reading = reader("coco").read(tmp_path / "labels.json", tmp_path)
    assert reading.records[0].boxes.tolist() == [[1, 2, 4, 6], [1, 2, 4, 6]]
    assert reading.records[0].labels == ("person", "#9")
    assert [(f.file, f.reason) for f in reading.findings] == [
        ("a.png", "broken_label"),
        ("labels.json", "missing_picture"),
        ("b.png", "crowd_region"),
        ("labels.json", "broken_label"),
        ("labels.json", "broken_label"),
    ]
    content["images"][1] |= {"width": None, "height": float("inf")}
    (tmp_path / "labels.json").write_text(json.dumps(content))
    with pytest.raises(UnreadableSourceError, match=r"width and height as numbers for b\.png"):
        reader("coco").read(tmp_path / "labels.json", tmp_path)


def test_mot_with_the_challenges_numbers(tmp_path: Path) -> None:
    """Without labels.txt the numbers are MOT16's; flag 0, occluders and the like are no objects."""
    for frame in (1, 2):
        picture(tmp_path / f"img1/{frame:06d}.jpg")
    (tmp_path / "gt").mkdir()
    lines = [
        "1,1,1,2,3,4,1,1,1",
        "1,2,1,2,3,4,1,3,1",
        "1,3,1,2,3,4,0,1,1",
        "1,4,1,2,3,4,1,9,1",
        "3,1,1,2,3,4",
        "x,y",
        "nan,1,1,2,3,4",
        "1,1,1,2,3,4,1,nan",
    ]
    (tmp_path / "gt/gt.txt").write_text("\n".join(lines))
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nframeRate=2\n")
    (tmp_path / "cameras.csv").write_text(f"file,camera,time,light\n{tmp_path.name},gate,2026-03-02T08:00,dusk\n")
    reading = reader("mot").read(tmp_path, tmp_path)
    first, second = reading.records
    assert (first.labels, second.labels) == (("person", "car"), ())
    assert first.boxes.tolist()[0] == [1, 2, 4, 6]
    assert second.time == datetime(2026, 3, 2, 8, 0, 0, 500_000, tzinfo=UTC)
    assert (second.camera, second.tags) == ("gate", {"light": "dusk"})
    assert [(f.file, f.reason) for f in reading.findings] == [
        ("gt/gt.txt", "broken_label"),
        ("gt/gt.txt", "broken_label"),
        ("gt/gt.txt", "broken_label"),
        ("img1/000003", "missing_picture"),
    ]
    assert [f.detail.split(":")[0] for f in reading.findings[:3]] == ["line 6", "line 7", "line 8"]


def test_videos_take_every_nth_frame_and_become_clips(tmp_path: Path) -> None:
    write_video(tmp_path / "gate.mp4", (np.full((32, 48, 3), 10 * i, np.uint8) for i in range(9)), 10)
    (tmp_path / "gate.gt.txt").write_text("4,1,1,2,30,20,1,1,1\n")
    (tmp_path / "gate.truth.json").write_text('{"classes": ["truck"]}')
    (tmp_path / "alone.mp4").write_bytes((tmp_path / "gate.mp4").read_bytes())
    reading = reader("video", every=3).read(tmp_path, tmp_path)
    assert [r.name for r in reading.records] == [f"gate/{n:06d}.jpg" for n in (1, 4, 7)]
    assert [r.labels for r in reading.records] == [(), ("truck",), ()]
    assert [c.name for c in reading.clips] == ["gate"]
    assert reading.clips[0].truth == tmp_path / "gate.truth.json"
    assert [(f.file, f.reason) for f in reading.findings] == [("alone.mp4", "missing_label")]


@pytest.mark.parametrize("cut", [0.0, 0.6])
def test_a_video_that_breaks_off_is_reported(tmp_path: Path, cut: float) -> None:
    rng = np.random.default_rng(0)
    write_video(tmp_path / "gate.mp4", (rng.integers(0, 255, (64, 64, 3), np.uint8) for _ in range(20)), 10)
    content = (tmp_path / "gate.mp4").read_bytes()
    (tmp_path / "gate.mp4").write_bytes(content[: int(len(content) * cut)])
    (tmp_path / "gate.gt.txt").write_text("20,1,1,2,30,20,1,1,1\n")
    (finding,) = reader("video").read(tmp_path, tmp_path).findings
    assert (finding.file, finding.reason) == ("gate.mp4", "broken_video")


@pytest.mark.parametrize(
    ("name", "camera", "time"),
    [
        ("gate-7_20260302T074500Z_0012.jpg", "gate-7", "2026-03-02T07:45:00+00:00"),
        ("a/b/north_gate_20260302T074500.png", "north_gate", "2026-03-02T07:45:00+00:00"),
        ("gate_20261340T074500Z.jpg", None, None),  # no such day
        ("000012.jpg", None, None),
    ],
)
def test_names_that_tell_camera_and_time(tmp_path: Path, name: str, camera: str | None, time: str | None) -> None:
    origin = Provenance(tmp_path).of(name)
    assert origin.camera == camera
    assert (origin.time and origin.time.isoformat()) == time


@pytest.mark.parametrize(
    ("text", "message"),
    [("picture,camera\na,b\n", "column 'file'"), ("file,time\na,yesterday\n", "ISO 8601 time .*line 2")],
)
def test_a_sidecar_that_makes_no_sense(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "cameras.csv").write_text(text)
    with pytest.raises(UnreadableSourceError, match=message):
        Provenance(tmp_path)


def test_a_sidecar_wins_over_the_name(tmp_path: Path) -> None:
    (tmp_path / "cameras.csv").write_text(
        "file,camera,time\ngate_20260302T074500Z.jpg,yard,2026-03-02T09:00+01:00\n"
    )
    origin = Provenance(tmp_path).of("images/gate_20260302T074500Z.jpg")
    assert origin.camera == "yard"
    assert origin.time == datetime(2026, 3, 2, 8, tzinfo=UTC)

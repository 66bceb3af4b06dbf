"""Every bad file is named with its reason; what is good is kept as it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.datasets.records import Finding, Reading, Record
from pipelines.datasets.validation import REASONS, ValidationReport, validate

CLASSES = ("person", "car")


def reading(*records: Record, findings: tuple[Finding, ...] = ()) -> Reading:
    return Reading(records, CLASSES, findings)


@pytest.mark.parametrize(
    ("boxes", "labels", "reasons", "kept"),
    [
        ([[10, 10, 20, 30]], ["person"], [], 1),
        ([[0, 0, 64, 48]], ["car"], [], 1),  # the whole picture
        ([[-0.9, 0, 64.9, 48.9]], ["car"], [], 1),  # within rounding
        ([[-2, 0, 20, 30]], ["person"], ["box_outside"], 0),
        ([[10, 10, 20, 51]], ["person"], ["box_outside"], 0),
        ([[20, 10, 10, 30]], ["person"], ["degenerate_box"], 0),
        ([[10, 10, 10.5, 30]], ["person"], ["degenerate_box"], 0),
        ([[10, 10, 20, 30]], ["dog"], ["unknown_class"], 0),
        ([[10, 10, 20, 30]], ["#7"], ["unknown_class"], 0),
        ([[np.nan, 10, 20, 30]], ["person"], ["broken_label"], 0),
        ([[10, 10, 20, 30], [10, 10, 20, 30]], ["person", "person"], ["duplicate_label"], 1),
        ([[10, 10, 20, 30], [10, 10, 20, 30]], ["person", "car"], [], 2),  # somebody in a car
        (
            [[10, 10, 20, 30], [-9, 0, 5, 5], [1, 1, 9, 9]],
            ["person", "car", "dog"],
            ["box_outside", "unknown_class"],
            1,
        ),
        ([], [], [], 0),
    ],
)
def test_boxes(make_record, boxes, labels, reasons, kept) -> None:
    report, (record,) = validate(reading(make_record("a", boxes, labels)))
    assert [finding.reason for finding in report.findings] == reasons
    assert not any(finding.whole_picture for finding in report.findings)
    assert len(record.boxes) == len(record.labels) == kept


def broken(kind: str, path: Path) -> None:
    content = path.read_bytes()
    if kind == "missing_picture":
        path.unlink()
    elif kind == "corrupt_picture":
        path.write_bytes(b"this is no picture")
    elif kind == "truncated_picture":
        path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("kind", ["missing_picture", "corrupt_picture", "truncated_picture"])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_pictures_that_cannot_be_used(make_record, tmp_path: Path, kind: str, suffix: str) -> None:
    good, bad = make_record("good"), make_record("bad")
    path = tmp_path / f"bad.{suffix}"
    with Image.open(bad.path) as picture:
        picture.save(path)
    broken(kind, path)
    report, usable = validate(reading(good, Record("bad", path, bad.boxes, ())))
    assert [(finding.file, finding.reason) for finding in report.findings] == [("bad", kind)]
    assert report.findings[0].detail
    assert [record.name for record in usable] == ["good"]


def test_an_empty_file_is_corrupt(make_record) -> None:
    record = make_record("empty")
    record.path.write_bytes(b"")
    report, usable = validate(reading(record))
    assert (report.by_reason(), usable) == ({"corrupt_picture": 1}, ())


def test_a_picture_of_another_size_than_its_labels_say(make_record) -> None:
    report, usable = validate(reading(make_record("a", size=(64, 48))))
    assert report.clean
    record = make_record("b", size=(64, 48))
    wrong = Record("b", record.path, record.boxes, (), size=(640, 480))
    report, usable = validate(reading(wrong))
    assert report.findings[0].reason == "wrong_size"
    assert "640x480" in report.findings[0].detail
    assert "64x48" in report.findings[0].detail
    assert usable == ()


def test_two_pictures_of_one_name(make_record) -> None:
    record = make_record("a")
    report, usable = validate(reading(record, record))
    assert report.by_reason() == {"duplicate_name": 1}
    assert len(usable) == 1


def test_what_the_reader_found_counts(make_record) -> None:
    found = (
        Finding("a", "missing_label", "expected a.txt"),
        Finding("b", "broken_label", "line 3", whole_picture=False),
    )
    report, usable = validate(reading(make_record("a"), make_record("b"), findings=found))
    assert report.findings == found
    assert [record.name for record in usable] == ["b"]


def test_only_the_classes_asked_for(make_record) -> None:
    record = make_record("a", [[1, 1, 9, 9], [20, 20, 40, 40]], ["person", "car"])
    report, (kept,) = validate(reading(record), ["car"])
    assert kept.labels == ("car",)
    assert report.clean, "what is not asked for is no fault"
    assert report.notes == ("1 boxes of other classes are left out as asked: 1 person",)
    assert report.boxes == 1
    # A class that nobody declares still is one.
    report, _ = validate(reading(make_record("b", [[1, 1, 9, 9]], ["#7"])), ["car"])
    assert report.by_reason() == {"unknown_class": 1}
    with pytest.raises(ValueError, match="classes among person, car; got cra"):
        validate(reading(record), ["cra"])
    report, _ = validate(reading(record), ["car", "truck"])
    assert report.notes[0] == "the source has no class truck; it has person, car"


def test_every_file_is_named_however_many_are_bad(make_record) -> None:
    records = [make_record(f"{i:03d}", [[0, 0, 999, 9]], ["person"]) for i in range(30)]
    report, usable = validate(reading(*records))
    assert [finding.file for finding in report.findings] == [f"{i:03d}" for i in range(30)]
    assert len(usable) == 30
    assert "30 box_outside" in report.summary()
    assert report.table(most=10).row_count == 11


def test_the_report_survives_json() -> None:
    findings = (Finding("a.jpg", "box_outside", "expected…", whole_picture=False),)
    report = ValidationReport(3, 5, findings, ("2 pictures are left out",))
    assert ValidationReport.from_json(report.to_json()) == report
    assert json.loads(report.to_json())["by_reason"] == {"box_outside": 1}


def test_every_reason_is_explained(root: Path) -> None:
    """A finding's code is one that the table explains, wherever in the code it is made."""
    import re

    used: set[str] = set()
    for path in (root / "pipelines" / "datasets").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r'Finding\(\s*[^,]+,\s*"(\w+)"', text)) | set(re.findall(r'found\("(\w+)"', text))
    assert used
    assert used <= set(REASONS)

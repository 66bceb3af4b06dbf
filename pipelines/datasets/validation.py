"""Every bad file with its reason, before anything is trained on it.

The reasons stand in `REASONS`. Whoever prepares data chooses what follows: refuse the set (``fail``), or leave out
exactly what is reported (``drop``). Nothing is repaired or left out silently.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from PIL import Image, UnidentifiedImageError
from rich.table import Table

from pipelines.datasets.records import Finding, Reading, Record
from pipelines.datasets.upright import upright_size

__all__ = ["REASONS", "TOLERANCE", "ValidationReport", "validate"]

TOLERANCE = 1.0
"""Pixels by which a box may stick out of its picture: the rounding of labelling tools. More is a finding."""

REASONS = {
    "missing_picture": "the labels name a picture that is not there",
    "missing_label": "the picture or video has no label file; an empty one would say that nothing is in it",
    "corrupt_picture": "the picture cannot be decoded",
    "truncated_picture": "the picture breaks off before its end",
    "wrong_size": "the picture is not as large as its labels say",
    "broken_label": "a label line or entry cannot be read",
    "crowd_region": "a crowd that is labelled as one region and not one by one",
    "duplicate_label": "the same box with the same class stands twice in one picture",
    "duplicate_name": "two pictures would get the same name",
    "unknown_class": "a class that the data set does not declare",
    "degenerate_box": "a box less than a pixel wide or high, or with its corners swapped",
    "box_outside": "a box that sticks out of its picture by more than rounding",
    "broken_video": "a video that cannot be decoded to its end",
    "near_duplicate": "the same picture, or nearly so, in two splits",
}


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """What was looked at, and all that was found.

    Parameters
    ----------
    pictures, boxes : int
        How many were checked.
    findings : tuple of Finding
        In order of file.
    notes : tuple of str
        Sentences on what is no fault, but good to know: what was left out as asked, or taken in another way.
    """

    pictures: int
    boxes: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def by_reason(self) -> dict[str, int]:
        """How many findings of each kind."""
        return dict(sorted(Counter(finding.reason for finding in self.findings).items()))

    def with_findings(self, more: Sequence[Finding]) -> ValidationReport:
        """The report with later findings added."""
        return replace(self, findings=tuple(sorted([*self.findings, *more])))

    def with_notes(self, *more: str) -> ValidationReport:
        """The report with later notes added."""
        return replace(self, notes=(*self.notes, *more))

    def to_json(self) -> str:
        content = {
            "pictures": self.pictures,
            "boxes": self.boxes,
            "by_reason": self.by_reason(),
            "findings": [asdict(finding) for finding in self.findings],
            **({"notes": self.notes} if self.notes else {}),
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ValidationReport:
        """Read back what `to_json` wrote."""
        content = json.loads(text)
        findings = tuple(Finding(**finding) for finding in content["findings"])
        return cls(content["pictures"], content["boxes"], findings, tuple(content.get("notes", ())))

    def table(self, most: int = 40) -> Table:
        """For a terminal: the first findings, and how many more there are."""
        table = Table(
            "file", "reason", "detail", title=f"{len(self.findings)} findings in {self.pictures} pictures"
        )
        for finding in self.findings[:most]:
            table.add_row(finding.file, finding.reason, finding.detail)
        if len(self.findings) > most:
            table.add_row("…", f"{len(self.findings) - most} more", "the report has all of them")
        return table

    def summary(self) -> str:
        """One line."""
        if self.clean:
            return f"{self.pictures} pictures with {self.boxes} boxes, nothing wrong"
        kinds = ", ".join(f"{count} {reason}" for reason, count in self.by_reason().items())
        return f"{self.pictures} pictures with {self.boxes} boxes; {kinds}"


def validate(
    reading: Reading,
    classes: Collection[str] | None = None,
    on_picture: Callable[[], None] | None = None,
) -> tuple[ValidationReport, tuple[Record, ...]]:
    """Check every picture and every box.

    Parameters
    ----------
    reading : Reading
    classes : collection of str, optional
        Those to keep; boxes of the source's others are left out, and a note counts them.

    Returns
    -------
    report : ValidationReport
        With the reader's own findings.
    usable : tuple of Record
        What remains when everything reported is left out: pictures that cannot be used are gone, of the others the
        bad boxes.

    Raises
    ------
    ValueError
        Where the source has none of the classes.
    """
    allowed = set(reading.classes if classes is None else classes)
    absent = sorted(allowed - set(reading.classes))
    if absent and len(absent) == len(allowed):
        raise ValueError(f"expected classes among {', '.join(reading.classes)}; got {', '.join(absent)}")
    others: Counter[str] = Counter()
    findings: list[Finding] = list(reading.findings)
    unusable = {finding.file for finding in reading.findings if finding.whole_picture}
    usable: list[Record] = []
    names: set[str] = set()
    boxes = 0
    for found in reading.records:
        unwanted = [label for label in found.labels if label not in allowed and label in reading.classes]
        others.update(unwanted)
        record = _keep(found, [i for i, label in enumerate(found.labels) if label not in unwanted])
        boxes += len(record.labels)
        bad, size = _check_picture(record)
        if record.name in names:
            bad = [*bad, Finding(record.name, "duplicate_name", "expected unique names, this one came before")]
        names.add(record.name)
        findings += bad
        if not bad and record.name not in unusable and size is not None:
            worse, keep = _check_boxes(record, size, allowed)
            findings += worse
            usable.append(_keep(record, keep))
        if on_picture is not None:
            on_picture()
    report = ValidationReport(len(reading.records), boxes, tuple(sorted(findings)), reading.notes)
    if absent:
        report = report.with_notes(
            f"the source has no class {', '.join(absent)}; it has {', '.join(reading.classes)}"
        )
    if others:
        told = ", ".join(f"{count} {name}" for name, count in sorted(others.items()))
        report = report.with_notes(f"{others.total()} boxes of other classes are left out as asked: {told}")
    return report, tuple(usable)


def _check_picture(record: Record) -> tuple[list[Finding], tuple[int, int] | None]:
    if not record.path.is_file():
        return [Finding(record.name, "missing_picture", f"expected a file {record.path.name}, found none")], None
    try:
        with Image.open(record.path) as picture:
            size = upright_size(picture)
            picture.load()
    except (UnidentifiedImageError, ImportError):
        # ImportError: Ultralytics, once imported, puts an opener before Pillow's that asks for a missing plugin
        kind = f"{record.path.stat().st_size} bytes"
        return [
            Finding(record.name, "corrupt_picture", f"expected a picture, got {kind} of no known format")
        ], None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow says "truncated" for JPEG and "image file is truncated" or "unexpected end" for others.
        text = str(error)
        short = any(word in text.lower() for word in ("truncat", "unexpected end", "broken data", "premature"))
        return [Finding(record.name, "truncated_picture" if short else "corrupt_picture", text)], None
    if record.size is not None and record.size != size:
        detail = f"expected {record.size[0]}x{record.size[1]} as the labels say, got {size[0]}x{size[1]}"
        return [Finding(record.name, "wrong_size", detail)], None
    return [], size


def _check_boxes(
    record: Record, size: tuple[int, int], allowed: Collection[str]
) -> tuple[list[Finding], list[int]]:
    width, height = size
    findings: list[Finding] = []
    keep: list[int] = []
    seen: set[tuple[object, ...]] = set()

    def found(reason: str, detail: str) -> None:
        findings.append(Finding(record.name, reason, detail, whole_picture=False))

    for index, (box, label) in enumerate(zip(record.boxes, record.labels, strict=True)):
        x1, y1, x2, y2 = (float(v) for v in box)
        shown = f"{label} ({x1:.1f}, {y1:.1f}, {x2:.1f}, {y2:.1f})"
        key = (label, *(round(v, 2) for v in (x1, y1, x2, y2)))
        if label not in allowed:
            found("unknown_class", f"expected one of {', '.join(sorted(allowed))}, got {label!r}")
        elif not np.isfinite(box).all():
            found("broken_label", f"expected finite numbers, got {shown}")
        elif x2 - x1 < 1 or y2 - y1 < 1:
            found("degenerate_box", f"expected at least 1 pixel each way, got {shown}")
        elif x1 < -TOLERANCE or y1 < -TOLERANCE or x2 > width + TOLERANCE or y2 > height + TOLERANCE:
            found("box_outside", f"expected a box within {width}x{height}, got {shown}")
        elif key in seen:
            found("duplicate_label", f"expected each box once, got {shown} again")
        else:
            seen.add(key)
            keep.append(index)
    return findings, keep


def _keep(record: Record, keep: Sequence[int]) -> Record:
    if len(keep) == len(record.labels):
        return record
    boxes = record.boxes[list(keep)].reshape(-1, 4)
    return replace(record, boxes=boxes, labels=tuple(record.labels[i] for i in keep))

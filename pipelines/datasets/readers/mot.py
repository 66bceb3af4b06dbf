"""MOT sequences: a folder with gt/gt.txt and img1/, or a folder of such folders."""

from __future__ import annotations

import configparser
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import numpy as np

from camera_counting.mot import MOT_CLASSES
from pipelines.datasets.errors import UnreadableSourceError
from pipelines.datasets.readers.base import PICTURE_SUFFIXES, DatasetReader
from pipelines.datasets.readers.mot_format import FrameTruth, read_mot
from pipelines.datasets.readers.provenance import Provenance
from pipelines.datasets.readers.video import video_records
from pipelines.datasets.records import Finding, Reading, Record

__all__ = ["MotReader"]

_NOTHING = FrameTruth(np.empty((0, 4)), (), ())


class MotReader(DatasetReader):
    """Reads sequences as the MOT challenge and CVAT write them.

    A sequence is a folder with gt/gt.txt and its frames in img1/, or one video file instead of img1/. Class names
    are in gt/labels.txt, one a line (CVAT), or else MOT16's. The sequence's folder is the camera, unless the
    sidecar or the folder's name (``<camera>_<time>``) says otherwise; seqinfo.ini's frameRate then gives each
    frame its time.
    """

    format: ClassVar[str] = "mot"

    def inputs(self, source: Path) -> Iterable[Path]:
        return (path for path in source.rglob("*") if path.is_file())

    def read(self, source: Path, workspace: Path, on_picture: Callable[[], None] | None = None) -> Reading:
        sequences = sorted(p.parent.parent for p in source.rglob("gt/gt.txt"))
        if not sequences:
            raise UnreadableSourceError(f"expected a MOT sequence with gt/gt.txt in {source}, found none")
        provenance = Provenance(source)
        records: list[Record] = []
        findings: list[Finding] = []
        classes: list[str] = []
        for sequence in sequences:
            names = _labels(sequence)
            truth, wrong = read_mot(sequence / "gt" / "gt.txt", names)
            inner = "" if sequence == source else f"{sequence.relative_to(source).as_posix()}/"
            findings += [Finding(f"{inner}gt/gt.txt", f.reason, f.detail, f.whole_picture) for f in wrong]
            classes += [n for n in names or sorted(set(MOT_CLASSES.values())) if n not in classes]
            read, wrong = self._frames(sequence, inner, truth, provenance, workspace, on_picture)
            records += read
            findings += wrong
        return Reading(tuple(records), tuple(classes), tuple(findings))

    def _frames(
        self,
        sequence: Path,
        inner: str,
        truth: dict[int, FrameTruth],
        provenance: Provenance,
        workspace: Path,
        on_picture: Callable[[], None] | None,
    ) -> tuple[list[Record], list[Finding]]:
        origin = provenance.of(sequence.name)
        camera = origin.camera or sequence.name
        rate = _frame_rate(sequence)
        folder = sequence / "img1"
        if not folder.is_dir():
            videos = sorted(p for p in sequence.iterdir() if p.suffix.lower() in (".mp4", ".avi", ".mkv", ".mov"))
            if len(videos) != 1:
                raise UnreadableSourceError(
                    f"expected img1/ or one video in {sequence}, found {len(videos)} videos"
                )
            return video_records(
                videos[0], f"{inner}{videos[0].stem}", truth, self.every, workspace, camera, origin, on_picture
            )
        pictures = {}
        for path in folder.iterdir():
            if path.suffix.lower() in PICTURE_SUFFIXES and path.stem.isdigit():
                pictures[int(path.stem)] = path
        records: list[Record] = []
        findings = [
            Finding(f"{inner}img1/{frame:06d}", "missing_picture", f"expected frame {frame} of gt.txt in img1/")
            for frame in sorted(set(truth) - set(pictures))
        ]
        for frame in sorted(pictures)[:: self.every]:
            seen = truth.get(frame, _NOTHING)
            own = provenance.of(f"{inner}img1/{pictures[frame].name}")
            time = own.time or (origin.time and origin.time + timedelta(seconds=(frame - 1) / rate))
            records.append(
                Record(
                    f"{inner}img1/{pictures[frame].name}",
                    pictures[frame],
                    seen.boxes,
                    seen.labels,
                    own.camera or camera,
                    time,
                    {**origin.tags, **own.tags},
                )
            )
            if on_picture is not None:
                on_picture()
        return records, findings


def _labels(sequence: Path) -> tuple[str, ...] | None:
    path = sequence / "gt" / "labels.txt"
    if not path.is_file():
        return None
    return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


def _frame_rate(sequence: Path) -> float:
    path = sequence / "seqinfo.ini"
    if not path.is_file():
        return 25.0
    parser = configparser.ConfigParser()
    try:
        parser.read(path, encoding="utf-8")
        rate = parser.getfloat("Sequence", "frameRate", fallback=25.0)
    except (configparser.Error, ValueError) as error:
        raise UnreadableSourceError(f"expected frameRate as a number in {path}: {error}") from error
    if rate <= 0:
        raise UnreadableSourceError(f"expected a frameRate above 0 in {path}, got {rate}")
    return rate

"""Videos with ground truth: NAME.mp4 beside NAME.gt.txt, as the scene generator writes them too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import av
import cv2
import numpy as np
import numpy.typing as npt

from camera_counting.mot import MOT_CLASSES
from pipelines.datasets.errors import UnreadableSourceError
from pipelines.datasets.readers.base import DatasetReader
from pipelines.datasets.readers.mot_format import FrameTruth, read_mot
from pipelines.datasets.readers.provenance import SIDECAR, Origin, Provenance
from pipelines.datasets.records import Clip, Finding, Reading, Record

__all__ = ["VideoReader", "video_records"]

_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm")
_NOTHING = FrameTruth(np.empty((0, 4)), (), ())


class VideoReader(DatasetReader):
    """Reads a folder of videos, each with its tracks in NAME.gt.txt (MOT format).

    NAME.truth.json (crossings; its ``classes`` name the class numbers) and NAME.scene.yaml are taken along where
    they are; NAME.labels.txt may name the classes instead. Frames become pictures, and each video with a truth a
    clip.
    """

    format: ClassVar[str] = "video"

    def inputs(self, source: Path) -> Iterable[Path]:
        folder, videos = _videos(source)
        beside = (".gt.txt", ".truth.json", ".scene.yaml", ".labels.txt")
        return [folder / SIDECAR, *videos, *(folder / f"{video.stem}{end}" for video in videos for end in beside)]

    def read(self, source: Path, workspace: Path, on_picture: Callable[[], None] | None = None) -> Reading:
        folder, videos = _videos(source)
        provenance = Provenance(folder)
        records: list[Record] = []
        findings: list[Finding] = []
        classes: list[str] = []
        clips: list[Clip] = []
        for video in videos:
            mot = folder / f"{video.stem}.gt.txt"
            if not mot.is_file():
                findings.append(Finding(video.name, "missing_label", f"expected {mot.name} beside it, found none"))
                continue
            names = _classes(folder, video.stem)
            classes += [n for n in names or sorted(set(MOT_CLASSES.values())) if n not in classes]
            truth, wrong = read_mot(mot, names)
            findings += wrong
            origin = provenance.of(video.name)
            camera = origin.camera or video.stem
            read, wrong = video_records(
                video, video.stem, truth, self.every, workspace, camera, origin, on_picture
            )
            records += read
            findings += wrong
            clips.append(
                Clip(
                    video.stem,
                    video,
                    _beside(folder, f"{video.stem}.truth.json"),
                    _beside(folder, f"{video.stem}.scene.yaml"),
                    mot,
                    camera,
                    origin.time,
                    dict(origin.tags),
                )
            )
        return Reading(tuple(records), tuple(classes), tuple(findings), tuple(clips))


def _videos(source: Path) -> tuple[Path, list[Path]]:
    """The folder, and the videos of it that are meant, in order of name."""
    folder = source if source.is_dir() else source.parent
    videos = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES) if folder.is_dir() else []
    videos = [p for p in videos if source.is_dir() or p == source]
    if not videos:
        raise UnreadableSourceError(f"expected videos ({', '.join(_SUFFIXES)}) in {source}, found none")
    return folder, videos


def _beside(folder: Path, name: str) -> Path | None:
    return folder / name if (folder / name).is_file() else None


def _classes(folder: Path, stem: str) -> tuple[str, ...] | None:
    truth, labels = folder / f"{stem}.truth.json", folder / f"{stem}.labels.txt"
    if labels.is_file():
        return tuple(line.strip() for line in labels.read_text(encoding="utf-8").splitlines() if line.strip())
    if truth.is_file():
        try:
            found = json.loads(truth.read_text(encoding="utf-8")).get("classes")
        except (ValueError, AttributeError) as error:
            raise UnreadableSourceError(f"expected JSON with the truth in {truth}: {error}") from error
        return tuple(found) if found else None
    return None


def video_records(
    video: Path,
    name: str,
    truth: dict[int, FrameTruth],
    every: int,
    workspace: Path,
    camera: str,
    origin: Origin,
    on_picture: Callable[[], None] | None = None,
) -> tuple[list[Record], list[Finding]]:
    """Every n-th frame of a video as a picture in `workspace`, with the labels of that frame."""
    folder = workspace / name.replace("/", "__")
    folder.mkdir(parents=True, exist_ok=True)
    records: list[Record] = []
    findings: list[Finding] = []
    number = 0
    try:
        for number, seconds, image in _frames(video):
            if (number - 1) % every:
                continue
            path = folder / f"{number:06d}.jpg"
            if not cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95]):
                raise OSError(f"expected to write {path}; the encoder refused")
            seen = truth.get(number, _NOTHING)
            time = origin.time and origin.time + timedelta(seconds=seconds)
            records.append(
                Record(
                    f"{name}/{number:06d}.jpg",
                    path,
                    seen.boxes,
                    seen.labels,
                    camera,
                    time,
                    dict(origin.tags),
                    clip=name,
                )
            )
            if on_picture is not None:
                on_picture()
    except av.FFmpegError as error:
        findings.append(Finding(video.name, "broken_video", f"after frame {number}: {error}"))
    last = max(truth, default=0)
    if last > number and not findings:
        findings.append(Finding(video.name, "broken_video", f"expected {last} frames as labelled, got {number}"))
    return records, findings


def _frames(video: Path) -> Iterator[tuple[int, float, npt.NDArray[np.uint8]]]:
    """Number from 1, seconds, and RGB picture (H, W, 3) of each frame."""
    with av.open(str(video)) as container:
        if not container.streams.video:
            raise UnreadableSourceError(f"expected a video stream in {video}, found none")
        stream = container.streams.video[0]
        for number, frame in enumerate(container.decode(stream), start=1):
            yield number, float(frame.time or 0.0), frame.to_ndarray(format="rgb24")

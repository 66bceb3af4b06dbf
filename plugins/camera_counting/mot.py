"""Lines of the MOT Challenge's text format: published detections, tracks and ground truth.

A line is ``frame, id, left, top, width, height, confidence, class, visibility``; frames count from 1, boxes are
in pixels. Detections have the id -1, and -1 for what is not known; ground truth has a flag in place of the
confidence, 0 for what is not to be considered. Sources: Milan et al. 2016, "MOT16",
https://arxiv.org/abs/1603.00831, table 2; https://motchallenge.net/instructions/
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from camera_counting.detections import Detections
from camera_counting.errors import SourceError

__all__ = [
    "MOT_CLASSES",
    "SINGLE_CLASS",
    "MotDetections",
    "MotLine",
    "MotLineError",
    "parse_mot_line",
    "read_mot_detections",
]

MOT_CLASSES: dict[int, str] = {1: "person", 3: "car", 4: "bicycle", 5: "motorcycle", 7: "person"}
"""MOT16's numbers that name what is counted; its others are people on vehicles, occluders, reflections."""

SINGLE_CLASS = "object"
"""What a detection is without a class number and without a label."""

# Twelve days at 10 frames a second: larger numbers are no frames, they are mostly times.
_MOST_FRAMES = 10_000_000


class MotLineError(ValueError):
    """A line that is not MOT's; says what was expected and what came, not where."""


@dataclass(frozen=True, slots=True)
class MotLine:
    """One line.

    Parameters
    ----------
    frame : int
        From 1.
    track : int
        -1 in detections.
    box : (left, top, width, height)
        In pixels, as it stands.
    confidence : float
        Or the flag of a ground truth; 1 where the line ends before it.
    kind : int or None
        Number of the class; None where the line ends before it.
    """

    frame: int
    track: int
    box: tuple[float, float, float, float]
    confidence: float
    kind: int | None


def parse_mot_line(text: str) -> MotLine:
    """Read one line.

    Raises
    ------
    MotLineError

    Examples
    --------
    >>> parse_mot_line("7,-1,10,20,30,40,0.9,-1,-1,-1")
    MotLine(frame=7, track=-1, box=(10.0, 20.0, 30.0, 40.0), confidence=0.9, kind=-1)
    >>> parse_mot_line("7,-1,10,20")
    Traceback (most recent call last):
    camera_counting.mot.MotLineError: expected at least 6 values, got 4
    """
    values = []
    for place, cell in enumerate(text.split(","), start=1):
        try:
            values.append(float(cell))
        except ValueError:
            raise MotLineError(
                f"expected numbers with commas between, got {cell.strip()!r:.40} as value {place}"
            ) from None
    if len(values) < 6:
        raise MotLineError(f"expected at least 6 values, got {len(values)}")
    if not all(map(math.isfinite, values)):
        raise MotLineError(f"expected finite numbers, got {text.strip()!r:.80}")
    frame, track = values[:2]
    if frame != int(frame) or frame < 1:
        raise MotLineError(f"expected a frame number, a whole number from 1, got {frame:g}")
    if len(values) > 7 and values[7] != int(values[7]):
        raise MotLineError(f"expected a whole number of a class, or -1, as value 8, got {values[7]:g}")
    left, top, width, height = values[2:6]
    return MotLine(
        frame=int(frame),
        track=int(track),
        box=(left, top, width, height),
        confidence=values[6] if len(values) > 6 else 1.0,
        kind=int(values[7]) if len(values) > 7 else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class MotDetections:
    """The detections of a file; iterating gives every frame's, empty ones too, from frame 1 to the last in the
    file.

    Parameters
    ----------
    names : tuple of str
        The classes.
    frames : int
        Number of the last frame with a detection.
    fps : float
    by_frame : dict of frame number to Detections
    """

    names: tuple[str, ...]
    frames: int
    fps: float
    by_frame: dict[int, Detections]

    def __iter__(self) -> Iterator[tuple[float, Detections]]:
        """Time in seconds from the first frame on, and what was detected."""
        none = Detections.none(self.names)
        for number in range(1, self.frames + 1):
            yield (number - 1) / self.fps, self.by_frame.get(number, none)


def read_mot_detections(path: Path, fps: float, labels: Sequence[str] | None = None) -> MotDetections:
    """Read published detections (det.txt).

    Parameters
    ----------
    path : Path
    fps : float
        Frames per second of the clip in which they were made.
    labels : sequence of str, optional
        Names of the class numbers 1, 2, ...; without them the numbers are MOT16's. One label alone names
        detections without a number (-1), too; without labels these are of the class ``object``.

    Raises
    ------
    SourceError
        With the file, the line's number, what was expected and what came.
    """
    naming = _Naming(labels)
    rows: dict[int, list[tuple[list[float], float, int]]] = {}
    last = 0
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: expected a text file of detections in MOT format, got other bytes") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            frame, row = _detection(parse_mot_line(line), naming)
        except MotLineError as error:
            raise SourceError(f"{path}, line {number}: {error}") from None
        last = max(last, frame)
        rows.setdefault(frame, []).append(row)
    if not rows:
        raise SourceError(f"{path}: expected at least one detection in MOT format, the file has none")
    by_frame = {
        frame: Detections.of(
            [box for box, _, _ in found], [s for _, s, _ in found], [k for _, _, k in found], naming.names
        )
        for frame, found in rows.items()
    }
    return MotDetections(naming.names, last, fps, by_frame)


def _detection(line: MotLine, naming: _Naming) -> tuple[int, tuple[list[float], float, int]]:
    left, top, width, height = line.box
    if width <= 0 or height <= 0:
        raise MotLineError(
            f"expected a width and a height above 0 as values 5 and 6, got {width:g} and {height:g}"
        )
    confidence = 1.0 if line.confidence == -1 else line.confidence
    if not 0 <= confidence <= 1:
        raise MotLineError(
            f"expected a confidence from 0 to 1 as value 7, or -1 where there is none, got {confidence:g}"
        )
    if line.frame > _MOST_FRAMES:
        raise MotLineError(f"expected a frame number up to {_MOST_FRAMES}, got {line.frame}: is it a time?")
    return line.frame, ([left, top, left + width, top + height], confidence, naming.index(line.kind))


class _Naming:
    """Class numbers to indices: labels, MOT16's numbers, or one class for all, as the first line decides."""

    def __init__(self, labels: Sequence[str] | None) -> None:
        self._labels = labels
        if labels:
            self.names = tuple(labels)
            self._of = {number: index for index, number in enumerate(range(1, len(labels) + 1))}
        else:
            self.names = tuple(dict.fromkeys(MOT_CLASSES.values()))
            self._of = {number: self.names.index(name) for number, name in MOT_CLASSES.items()}
        self._single: bool | None = None

    def index(self, kind: int | None) -> int:
        single = kind is None or kind == -1
        if self._single is None:
            self._single = single
            if single and not self._labels:
                self.names = (SINGLE_CLASS,)
        if single != self._single:
            raise MotLineError(
                f"expected a class number as value 8 in all lines or in none, got "
                f"{'none' if single else kind} after lines {'with one' if single else 'without'}"
            )
        if single and len(self.names) > 1:
            raise MotLineError(
                f"expected a class number from 1 to {len(self.names)} as value 8 for the labels "
                f"{', '.join(self.names)}, got none; give one label for detections of a single class"
            )
        if single:
            return 0
        if kind not in self._of:
            expected = (
                f"from 1 to {len(self.names)} for the labels {', '.join(self.names)}"
                if self._labels
                else f"of {', '.join(f'{n} ({name})' for n, name in MOT_CLASSES.items())}"
            )
            raise MotLineError(
                f"expected a class number {expected}, or -1 for a single class, as value 8, got {kind}; "
                "labels say what other numbers mean"
            )
        return self._of[kind]

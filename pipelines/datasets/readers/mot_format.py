"""Ground truth in the MOT challenge's format, line by line as `camera_counting.mot` reads it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from camera_counting.mot import MOT_CLASSES, MotLineError, parse_mot_line
from pipelines.datasets.records import Finding

__all__ = ["FrameTruth", "read_mot"]


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """Boxes (N, 4) x1, y1, x2, y2 in pixels, labels and track ids of one frame."""

    boxes: npt.NDArray[np.float64]
    labels: tuple[str, ...]
    tracks: tuple[int, ...]


def read_mot(path: Path, classes: tuple[str, ...] | None) -> tuple[dict[int, FrameTruth], list[Finding]]:
    """Read a ground-truth file.

    Parameters
    ----------
    path : Path
    classes : tuple of str, optional
        Names of the class numbers 1, 2, ...; without them the numbers are MOT16's, and those of `MOT_CLASSES` are
        read.

    Returns
    -------
    frames : dict of frame number, from 1, to FrameTruth
        Pixels count from 0 here; MOT's left and top are taken as they stand.
    findings : list of Finding
        Lines that cannot be read, and numbers without a name.
    """
    rows: dict[int, list[tuple[list[float], str, int]]] = defaultdict(list)
    findings: list[Finding] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = parse_mot_line(line)
        except MotLineError as error:
            findings.append(Finding(path.name, "broken_label", f"line {number}: {error}", whole_picture=False))
            continue
        kind = 1 if row.kind is None else row.kind
        if row.confidence == 0:
            continue
        if classes is not None:
            label = classes[kind - 1] if 1 <= kind <= len(classes) else f"#{kind}"
        elif kind in MOT_CLASSES:
            label = MOT_CLASSES[kind]
        else:
            continue
        x, y, w, h = row.box
        rows[row.frame].append(([x, y, x + w, y + h], label, row.track))
    frames = {
        frame: FrameTruth(
            np.array([box for box, _, _ in found], np.float64).reshape(-1, 4),
            tuple(label for _, label, _ in found),
            tuple(track for _, _, track in found),
        )
        for frame, found in sorted(rows.items())
    }
    return frames, findings

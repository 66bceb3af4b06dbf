"""Ground truth in the MOT challenge's format.

Source: https://arxiv.org/abs/1603.00831, table 2 — a line is ``frame, id, left, top, width, height, flag, class,
visibility``; frames count from 1; lines with a flag of 0 are not to be considered.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.datasets.records import Finding

__all__ = ["MOT_CLASSES", "FrameTruth", "read_mot"]

MOT_CLASSES: dict[int, str] = {1: "person", 3: "car", 4: "bicycle", 5: "motorcycle", 7: "person"}
"""MOT16's numbers that name what is counted; its others are people on vehicles, occluders, reflections."""


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
            values = [float(v) for v in line.split(",")]
            if len(values) < 6:
                raise ValueError(f"expected at least 6 values, got {len(values)}")
            if not all(map(math.isfinite, values)):
                raise ValueError(f"expected finite numbers, got {line.strip()!r:.80}")
        except ValueError as error:
            findings.append(Finding(path.name, "broken_label", f"line {number}: {error}", whole_picture=False))
            continue
        flag = values[6] if len(values) > 6 else 1.0
        kind = int(values[7]) if len(values) > 7 else 1
        if flag == 0:
            continue
        if classes is not None:
            label = classes[kind - 1] if 1 <= kind <= len(classes) else f"#{kind}"
        elif kind in MOT_CLASSES:
            label = MOT_CLASSES[kind]
        else:
            continue
        x, y, w, h = values[2:6]
        rows[int(values[0])].append(([x, y, x + w, y + h], label, int(values[1])))
    frames = {
        frame: FrameTruth(
            np.array([box for box, _, _ in found], np.float64).reshape(-1, 4),
            tuple(label for _, label, _ in found),
            tuple(track for _, _, track in found),
        )
        for frame, found in sorted(rows.items())
    }
    return frames, findings

"""The value that travels from the readers through validation and splits to the prepared data set."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["Clip", "Finding", "Reading", "Record", "Tag"]

Tag = str | float | bool


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One picture with its labels, as a source has them; nothing is checked yet.

    Parameters
    ----------
    name : str
        Unique in its source, with ``/`` between folders; the name of its file in the prepared set comes from it.
    path : Path
        The encoded picture.
    boxes : float64 array (N, 4)
        x1, y1, x2, y2 in pixels.
    labels : tuple of str
        Class names, one for each box.
    camera : str, optional
    time : datetime, optional
        UTC.
    tags : dict
        Light, weather and whatever else is known.
    split : str, optional
        train, val or test, where the source says it.
    size : (width, height), optional
        What the labels were made for, where the source says it.
    clip : str, optional
        The name of the clip that it is a frame of.
    """

    name: str
    path: Path
    boxes: npt.NDArray[np.float64]
    labels: tuple[str, ...]
    camera: str | None = None
    time: datetime | None = None
    tags: dict[str, Tag] = field(default_factory=dict)
    split: str | None = None
    size: tuple[int, int] | None = None
    clip: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong with the data.

    Parameters
    ----------
    file : str
        As the source names it.
    reason : str
        A short code, e.g. ``corrupt_picture``; `validation.REASONS` explains them.
    detail : str
        What was expected and what came.
    whole_picture : bool
        Whether the picture cannot be used; otherwise one box of it cannot.
    """

    file: str
    reason: str
    detail: str
    whole_picture: bool = True


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip with its ground truth, as files; `split` is that of its frames, None where none is a picture."""

    name: str
    video: Path
    truth: Path | None = None
    scene: Path | None = None
    mot: Path | None = None
    camera: str | None = None
    time: datetime | None = None
    tags: dict[str, Tag] = field(default_factory=dict)
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a reader found in a source.

    Parameters
    ----------
    records : tuple of Record
    classes : tuple of str
        As the source declares them, in its order.
    findings : tuple of Finding
        What could not be read.
    clips : tuple of Clip
    notes : tuple of str
        Sentences on what was taken in another way than it stands there, and is no fault.
    """

    records: tuple[Record, ...]
    classes: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    clips: tuple[Clip, ...] = ()
    notes: tuple[str, ...] = ()

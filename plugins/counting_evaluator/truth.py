"""The evaluation table: one row per picture with what is truly on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from counting_evaluator.errors import EvaluationError

__all__ = ["LabelledPicture", "read_table"]

_OWN_COLUMNS = ("image", "boxes", "labels")
_TIME, _CLIP = "time", "clip"


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPicture:
    """A picture and what is on it.

    Parameters
    ----------
    path : Path
        The picture's file.
    boxes : float32 array of shape (N, 4)
        Corners x1, y1, x2, y2 in pixels of the picture.
    labels : tuple of str
        The N boxes' classes.
    slices : dict
        What the figures are also broken down by: camera, light, weather.
    time : datetime, optional
        When it was taken; its hour is that of the clock which it names.
    clip : str, optional
        What it is a frame of: neighbouring frames show the same, so that they say less than as many pictures.
    """

    path: Path
    boxes: npt.NDArray[np.float32]
    labels: tuple[str, ...]
    slices: dict[str, str] = field(default_factory=dict)
    time: datetime | None = None
    clip: str | None = None

    def count(self, classes: Sequence[str]) -> npt.NDArray[np.int64]:
        """How many of each of these classes, in their order."""
        return np.array([self.labels.count(name) for name in classes], np.int64)

    def of_classes(self, classes: Sequence[str]) -> LabelledPicture:
        """The same picture with the objects of these classes alone.

        Examples
        --------
        >>> boxes = np.array([[0, 0, 9, 9], [5, 5, 8, 8]], np.float32)
        >>> LabelledPicture(Path("a.jpg"), boxes, ("car", "dog")).of_classes(["car"]).labels
        ('car',)
        """
        kept = np.array([label in classes for label in self.labels], bool)
        return replace(
            self, boxes=self.boxes[kept], labels=tuple(label for label in self.labels if label in classes)
        )


def read_table(table: pd.DataFrame) -> list[LabelledPicture]:
    """Read and check a table of labelled pictures.

    Parameters
    ----------
    table : DataFrame
        Columns ``image`` (path), ``boxes`` (N boxes x1, y1, x2, y2 in pixels) and ``labels`` (N class names);
        every other column of text or yes/no is a slice, its missing values being left out; numbers are no slices.
        ``time`` (times, or ISO 8601 texts, in every row that has one) and ``clip`` are no slices either: see
        `LabelledPicture`.

    Raises
    ------
    EvaluationError
        Names the row and what is wrong with it.

    Examples
    --------
    >>> rows = pd.DataFrame({"image": ["a.jpg"], "boxes": [[[0, 0, 9, 9]]], "labels": [["car"]], "light": ["day"]})
    >>> [picture] = read_table(rows)
    >>> picture.labels, picture.slices
    (('car',), {'light': 'day'})
    """
    missing = [name for name in _OWN_COLUMNS if name not in table.columns]
    if missing:
        raise EvaluationError(
            f"expected a table with the columns image, boxes and labels, {', '.join(missing)} is missing; "
            f"got {', '.join(map(str, table.columns))}"
        )
    if table.empty:
        raise EvaluationError("expected at least one labelled picture, got an empty table")
    rows = table.to_dict("records")
    times = [_read_time(row.get(_TIME)) for row in rows]
    # A column of other texts, such as morning and evening, is a slice as any other.
    timed = all(isinstance(each, datetime) or each is None for each in times)
    own = (*_OWN_COLUMNS, _CLIP, *([_TIME] if timed else []))
    slices = [str(name) for name in table.columns if name not in own]
    return [
        _read_row(row, number, slices, when if isinstance(when, datetime) else None)
        for number, (row, when) in enumerate(zip(rows, times, strict=True))
    ]


def _read_time(value: Any) -> Any:
    """A time, None where there is none, or the value itself where it is something else."""
    if value is None or value is pd.NaT or value == "" or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime(warn=False)
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return value
    return value


def _read_row(row: Mapping[Any, Any], number: int, slices: list[str], time: datetime | None) -> LabelledPicture:
    where = f"row {number} ({row['image']})"
    labels = row["labels"]
    if isinstance(labels, str) or not isinstance(labels, list | tuple | np.ndarray):
        raise EvaluationError(f"{where}: expected labels as a list of class names, got {labels!r}")
    try:
        boxes = np.asarray([list(box) for box in row["boxes"]], np.float32).reshape(-1, 4)
    except (TypeError, ValueError) as error:
        raise EvaluationError(f"{where}: expected boxes as N times x1, y1, x2, y2; {error}") from error
    if len(boxes) != len(labels):
        raise EvaluationError(f"{where}: expected one label per box, got {len(boxes)} boxes, {len(labels)} labels")
    if not np.isfinite(boxes).all():
        raise EvaluationError(f"{where}: expected boxes of finite numbers, got {boxes.tolist()}")
    if (boxes[:, 2:] <= boxes[:, :2]).any():
        raise EvaluationError(f"{where}: expected boxes with x1 < x2 and y1 < y2, got {boxes.tolist()}")
    path = Path(str(row["image"]))
    return LabelledPicture(
        path,
        boxes,
        tuple(str(label) for label in labels),
        {name: str(row[name]) for name in slices if isinstance(row[name], str | bool | np.bool_)},
        time,
        str(row[_CLIP]) if isinstance(row.get(_CLIP), str) and row[_CLIP] else None,
    )

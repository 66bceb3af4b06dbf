"""Which reader reads which format: a new one is a new module and a line here."""

from __future__ import annotations

from typing import Literal

from pipelines.datasets.readers.base import DatasetReader
from pipelines.datasets.readers.coco import CocoReader
from pipelines.datasets.readers.generated import GeneratedReader
from pipelines.datasets.readers.mot import MotReader
from pipelines.datasets.readers.video import VideoReader
from pipelines.datasets.readers.yolo import YoloReader

__all__ = ["READERS", "reader"]

_ALL: tuple[type[DatasetReader], ...] = (GeneratedReader, YoloReader, CocoReader, MotReader, VideoReader)
READERS: dict[str, type[DatasetReader]] = {kind.format: kind for kind in _ALL}


def reader(
    name: str, every: int = 1, unlabelled: Literal["background", "finding"] = "background"
) -> DatasetReader:
    """The reader of a format; `every` and `unlabelled` as `DatasetReader` has them.

    Raises
    ------
    ValueError
        For a format that is not in `READERS`.
    """
    if name not in READERS:
        raise ValueError(f"expected one of the formats {', '.join(READERS)}, got {name!r}")
    return READERS[name](every, unlabelled)

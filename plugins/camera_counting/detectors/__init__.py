"""Detectors: runtimes (OpenVINO, ONNX Runtime), heads (YOLOv8/11, YOLO26, YOLOX) and what joins them.

`identify` tells what a file is; `open_detector` makes it ready to run.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from camera_counting.detectors.detector import AT_MOST, Detector, GraphDetector
from camera_counting.detectors.heads import HEADS, Head
from camera_counting.detectors.recognition import detector_file, recognise, sized
from camera_counting.detectors.runtimes import (
    Runtime,
    available_cores,
    installed_runtimes,
    runtime_named,
    runtimes_for,
)
from camera_counting.detectors.specification import InputSpec
from camera_counting.errors import DetectorError

__all__ = [
    "AT_MOST",
    "HEADS",
    "Detector",
    "GraphDetector",
    "Identity",
    "InputSpec",
    "available_cores",
    "identify",
    "installed_runtimes",
    "open_detector",
]

_logger = logging.getLogger(__name__)

# OpenVINO tells its makers of every import, unless the package that does so is absent. For OpenVINO, it is.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Identity:
    """What a detector's file is, and the runtimes that really ran it here, the preferred one first."""

    file: Path
    head: Head
    spec: InputSpec
    names: tuple[str, ...]
    runtimes: tuple[str, ...]


def identify(
    path: str | Path,
    *,
    classes: Sequence[str] | str | Path | None = None,
    head: str | None = None,
    size: tuple[int, int] | None = None,
) -> Identity:
    """Tell what a detector is and run it once with every runtime that is installed.

    Parameters
    ----------
    path : str or Path
        .onnx, OpenVINO .xml, or a folder with one of them.
    classes : sequence of str, str or Path, optional
        Names, "coco", or a file of names; None reads them from the detector's metadata.
    head : str, optional
        One of `HEADS`; None recognises it from the graph.
    size : (int, int), optional
        Width and height for a graph that leaves them free.

    Raises
    ------
    DetectorError
        Where it is of no known kind, or no runtime here can run it.
    """
    file, threads = detector_file(path), available_cores()
    failures: list[DetectorError] = []
    ran: list[str] = []
    found = None
    for name in runtimes_for(file):
        try:
            kind = runtime_named(name)
            found = found or recognise(file, kind, classes=classes, head=head, size=size)
            _ready(kind, file, found.head, found.spec, found.names, 0.25, 0.7, threads)
        except DetectorError as error:
            failures.append(error)
        else:
            ran.append(name)
    if found is None or not ran:
        raise failures[0]
    return Identity(file, found.head, found.spec, found.names, tuple(ran))


def open_detector(
    path: str | Path,
    *,
    classes: Sequence[str] | str | Path | None = None,
    head: str | None = None,
    spec: InputSpec | None = None,
    size: tuple[int, int] | None = None,
    confidence: float = 0.25,
    iou: float = 0.7,
    runtime: str | None = None,
    prefer: Sequence[str] = (),
    threads: int | None = None,
) -> GraphDetector:
    """Open a detector from an ONNX or OpenVINO file, warmed up.

    Parameters
    ----------
    path, classes, head, size
        As for `identify`.
    spec : InputSpec, optional
        The input, where it is already known; then `head` and `classes` have to be, too.
    confidence, iou : float
        Score a detection needs; overlap above which two boxes of a class are one.
    runtime : "openvino" or "onnxruntime", optional
        This one and no other; None takes CAMERA_COUNTING_RUNTIME, else the fastest installed that can run it.
    prefer : sequence of str
        Runtimes to try first.
    threads : int, optional
        Threads of one inference; None takes all cores that this process may use (or CAMERA_COUNTING_THREADS).

    Raises
    ------
    DetectorError
        Where the detector is of no known kind, or cannot run here.
    """
    file, threads = detector_file(path), threads or available_cores()
    order = [*prefer]
    names = sorted(
        runtimes_for(file, runtime), key=lambda name: order.index(name) if name in order else len(order)
    )
    failures: list[DetectorError] = []
    for name in names:
        try:
            kind = runtime_named(name)
            if spec is not None and head in HEADS and classes is not None and not isinstance(classes, (str, Path)):
                return _ready(kind, file, HEADS[head], spec, tuple(classes), confidence, iou, threads)
            found = recognise(file, kind, classes=classes, head=head, size=size)
            return _ready(kind, file, found.head, found.spec, found.names, confidence, iou, threads)
        except DetectorError as error:
            failures.append(error)
            if len(names) > len(failures):
                _logger.warning("%s cannot run %s, trying the next runtime: %s", name, file.name, error)
    raise failures[0]


def _ready(
    kind: type[Runtime],
    file: Path,
    head: Head,
    spec: InputSpec,
    names: tuple[str, ...],
    confidence: float,
    iou: float,
    threads: int,
) -> GraphDetector:
    with sized(spec.width, spec.height):
        detector = GraphDetector(kind(file, spec, threads), head, spec, names, confidence, iou, file)
        detector.warm_up()
    return detector

"""Detectors: runtimes (OpenVINO, ONNX Runtime), heads (YOLOv8/11, YOLO26, YOLOX) and what joins them.

`open_detector` takes any file that it recognises; `GraphDetector` takes what is already known of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from camera_counting.detectors.detector import AT_MOST, Detector, GraphDetector
from camera_counting.detectors.heads import HEADS
from camera_counting.detectors.recognition import detector_file, recognise
from camera_counting.detectors.runtimes import available_cores, installed_runtimes, runtime_for
from camera_counting.detectors.specification import InputSpec

__all__ = [
    "AT_MOST",
    "HEADS",
    "Detector",
    "GraphDetector",
    "InputSpec",
    "available_cores",
    "installed_runtimes",
    "open_detector",
]


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
    threads: int | None = None,
) -> GraphDetector:
    """Open a detector from an ONNX or OpenVINO file, warmed up.

    Parameters
    ----------
    path : str or Path
        .onnx, OpenVINO .xml, or a folder with one of them.
    classes : sequence of str, str or Path, optional
        Names, "coco", or a file of names; None reads them from the detector's metadata.
    head : str, optional
        One of `HEADS`; None recognises it from the graph.
    spec : InputSpec, optional
        The input, where it is already known; needs `head` and `classes` too. None recognises it.
    size : (int, int), optional
        Width and height for a graph that leaves them free.
    confidence, iou : float
        Score a detection needs; overlap above which two boxes of a class are one.
    runtime : "openvino" or "onnxruntime", optional
        None takes CAMERA_COUNTING_RUNTIME, else the fastest that is installed.
    threads : int, optional
        Threads of one inference; None takes all cores that this process may use (or CAMERA_COUNTING_THREADS).

    Raises
    ------
    DetectorError
        Where the detector is of no known kind, or cannot run here.
    """
    file = detector_file(path)
    kind = runtime_for(file, runtime)
    if spec is not None and head in HEADS and classes is not None and not isinstance(classes, (str, Path)):
        known_head, known_spec, names = HEADS[head], spec, tuple(classes)
    else:
        found = recognise(file, kind, classes=classes, head=head, size=size)
        known_head, known_spec, names = found.head, spec or found.spec, found.names
    ready = kind(file, known_spec, threads or available_cores())
    detector = GraphDetector(ready, known_head, known_spec, names, confidence, iou, file)
    detector.warm_up()
    return detector

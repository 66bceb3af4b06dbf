"""Telling from a detector's graph which head and which input it has."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from camera_counting.detectors.classes import class_names, names_in_metadata
from camera_counting.detectors.heads import HEADS, Head
from camera_counting.detectors.onnx_file import read_onnx_file
from camera_counting.detectors.runtimes import Graph, Runtime
from camera_counting.detectors.specification import InputSpec
from camera_counting.errors import DetectorError

__all__ = ["Recognised", "detector_file", "recognise", "sized"]

_USUAL_SIZE = (640, 640)


@dataclass(frozen=True)
class Recognised:
    """What a detector turned out to be."""

    head: Head
    spec: InputSpec
    names: tuple[str, ...]


def detector_file(path: str | Path) -> Path:
    """The one ONNX or OpenVINO file that `path` means: the file itself, or the only one in a folder.

    Raises
    ------
    DetectorError
        Where there is none, or more than one.
    """
    path = Path(path)
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in {".xml", ".onnx"})
        if len(found) != 1:
            raise DetectorError(
                f"{path}: expected a folder with one .onnx or one OpenVINO .xml, found "
                f"{', '.join(file.name for file in found) or 'none'}"
            )
        return found[0]
    if path.suffix.lower() == ".bin" and path.with_suffix(".xml").is_file():
        return path.with_suffix(".xml")
    if path.suffix.lower() not in {".xml", ".onnx"}:
        raise DetectorError(
            f"{path.name}: expected a detector as .onnx or OpenVINO .xml (or a folder with one). Files that run "
            "code when they are opened, such as .pt or .pkl, are not read: export them, e.g. "
            "`yolo export model=x.pt format=openvino`"
        )
    if not path.is_file():
        raise DetectorError(f"{path}: there is no such file")
    return path


def recognise(
    file: Path,
    runtime: type[Runtime],
    *,
    classes: Sequence[str] | str | Path | None = None,
    head: str | None = None,
    size: tuple[int, int] | None = None,
) -> Recognised:
    """Tell head, input and classes of a detector.

    Parameters
    ----------
    file : Path
        As `detector_file` gives it.
    runtime : type of Runtime
        Reads the graph.
    classes : sequence of str, str or Path, optional
        See `camera_counting.detectors.classes.class_names`; None reads them from the graph's metadata.
    head : str, optional
        Name of the head where the shapes alone do not tell.
    size : (int, int), optional
        Width and height of the input, where the graph leaves them free; else its metadata's, else 640 x 640.

    Raises
    ------
    DetectorError
        Where the head is not known; says what was found and what is supported.
    """
    metadata = _metadata(file)
    graph = runtime.inspect(file)
    if len(graph.inputs) != 1 or len(graph.inputs[0][1]) != 4:
        raise _unknown(file, graph, "expected one input with four dimensions")
    _, shape, dtype = graph.inputs[0]
    layout, width, height = _layout(file, graph, shape, metadata, size)
    if shape[0] > 1:
        raise _unknown(file, graph, f"its batch is fixed to {shape[0]}; export it with batch 1 or a free batch")
    if dtype not in {"float32", "float16", "uint8"}:
        raise _unknown(file, graph, "expected an input of float32, float16 or uint8")
    if any(number < 0 for _, out in graph.outputs for number in out) or any(not out for _, out in graph.outputs):
        with sized(width, height):
            graph = Graph(graph.inputs, runtime.inspect(file, (width, height)).outputs, graph.metadata)
    if (task := metadata.get("task", "detect")) != "detect":
        raise _unknown(file, graph, f"it says of itself that its task is {task!r}, not detect")

    names = class_names(classes) if classes is not None else names_in_metadata({**graph.metadata, **metadata})
    if len(graph.outputs) != 1:
        raise _unknown(file, graph, "expected one output")
    if head is None and str(metadata.get("end2end", False)).lower() == "true":
        head = "end-to-end"  # a small one has as many rows as YOLOX has cells
    chosen = _head(file, graph, (width, height), head, len(names) if names else None)
    if names is None:
        raise DetectorError(
            f"{file.name} does not name its classes: give them "
            "(--labels coco, or a file with one name per line, in the order of its outputs)"
        )
    known = chosen.classes(graph.outputs[0][1], (width, height))
    if known and known != len(names):
        # YOLOX has one number more per row than YOLOv8 has per column
        transposed = chosen.name == "yolox" and known == len(names) - 1
        raise DetectorError(
            f"{file.name} has {known} {'class' if known == 1 else 'classes'} in its output, but {len(names)} "
            f"{'name was' if len(names) == 1 else 'names were'} given "
            f"({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
            + ("; if it is a YOLOv8, its output is transposed: export it as it is" if transposed else "")
        )
    spec = chosen.input_spec(width, height).model_copy(update={"layout": layout, "dtype": dtype})
    if dtype == "uint8":
        spec = spec.model_copy(update={"scale": 1.0})  # a graph that takes bytes scales them itself
    return Recognised(chosen, spec, names)


@contextmanager
def sized(width: int, height: int) -> Iterator[None]:
    """What goes wrong in here may be due to an input of this size: say so."""
    try:
        yield
    except DetectorError as error:
        if width % 32 == 0 and height % 32 == 0:
            raise
        raise DetectorError(
            f"{error} (most detectors need an input whose sides are multiples of 32; this one is {width}x{height})"
        ) from error


def _head(file: Path, graph: Graph, size: tuple[int, int], wanted: str | None, names: int | None) -> Head:
    shape = graph.outputs[0][1]
    if wanted is not None:
        if wanted not in HEADS:
            raise DetectorError(f"expected a head of {', '.join(HEADS)}; got {wanted!r}")
        if HEADS[wanted].classes(shape, size) is None:
            raise _unknown(file, graph, f"its output does not fit the head {wanted!r}")
        return HEADS[wanted]
    fitting = [(head, head.classes(shape, size)) for head in HEADS.values()]
    candidates = [(head, classes) for head, classes in fitting if classes is not None]
    if len(candidates) > 1 and names is not None:
        # where the shape fits two heads, the number of names decides between them
        candidates = [(head, classes) for head, classes in candidates if classes == names] or candidates
    if not candidates:
        raise _unknown(file, graph, "its output is of no known head")
    return candidates[0][0]


def _layout(
    file: Path, graph: Graph, shape: tuple[int, ...], metadata: dict[str, Any], size: tuple[int, int] | None
) -> tuple[str, int, int]:
    if shape[1] == 3:
        layout, height, width = "NCHW", shape[2], shape[3]
    elif shape[3] == 3:
        layout, height, width = "NHWC", shape[1], shape[2]
    elif shape[1] == -1 and shape[3] != -1:
        layout, height, width = "NCHW", shape[2], shape[3]
    else:
        raise _unknown(file, graph, "expected three colour channels in its input")
    if size is not None and not all(8 <= number <= 16384 for number in size):
        raise DetectorError(f"expected an input size from 8x8 to 16384x16384, got {size[0]}x{size[1]}")
    free_width, free_height = size or _size_in_metadata(metadata) or _USUAL_SIZE
    if size is not None and (width not in {-1, size[0]} or height not in {-1, size[1]}):
        raise DetectorError(
            f"{file.name} takes pictures of {width}x{height} alone; {size[0]}x{size[1]} was asked for"
        )
    return layout, width if width > 0 else free_width, height if height > 0 else free_height


def _size_in_metadata(metadata: dict[str, Any]) -> tuple[int, int] | None:
    size = metadata.get("imgsz")
    if isinstance(size, str):
        try:
            size = ast.literal_eval(size)
        except (ValueError, SyntaxError):
            return None
    if isinstance(size, (list, tuple)) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size):
        return int(size[1]), int(size[0])  # height comes first there
    return None


def _metadata(file: Path) -> dict[str, Any]:
    """From the file itself (ONNX), or from the metadata.yaml beside it (OpenVINO, as Ultralytics exports it)."""
    if file.suffix.lower() == ".onnx":
        return dict(read_onnx_file(file).metadata)
    beside = file.with_name("metadata.yaml")
    if not beside.is_file():
        return {}
    try:
        content = yaml.safe_load(beside.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DetectorError(f"{beside}: expected YAML: {error}") from None
    return content if isinstance(content, dict) else {}


def _unknown(file: Path, graph: Graph, why: str) -> DetectorError:
    supported = "; ".join(f"{head.name} ({head.layout})" for head in HEADS.values())
    return DetectorError(
        f"{file.name} is of no known kind: {why}. Found {graph}. "
        f"Supported, with batch 1 and one output: {supported}"
    )

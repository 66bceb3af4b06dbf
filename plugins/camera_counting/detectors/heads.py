"""Heads: what a detector's raw output means, and how it is told from its shape.

Adding one more is one more class and one line in `HEADS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from camera_counting.detectors.specification import InputSpec
from camera_counting.errors import DetectorError

__all__ = ["HEADS", "Candidates", "EndToEndHead", "Head", "YoloV8Head", "YoloxHead", "grid_cells"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes (N, 4) as x1, y1, x2, y2 in pixels of the input, scores (N,), class ids (N,); not yet suppressed."""

    boxes: Floats
    scores: Floats
    class_ids: npt.NDArray[np.int64]


class Head(ABC):
    """The meaning of one detector family's output.

    Attributes
    ----------
    name : str
        What stands in the artefact.
    layout : str
        The output's shape in words, for messages.
    suppression : bool
        Whether boxes of one object may come more than once.
    """

    name: str
    layout: str
    suppression: bool = True

    @abstractmethod
    def classes(self, shape: tuple[int, ...], spec_size: tuple[int, int]) -> int | None:
        """How many classes an output of this shape has at an input of (width, height); 0 where the graph does not
        tell, None where it is not of this head."""

    @abstractmethod
    def input_spec(self, width: int, height: int) -> InputSpec:
        """How this family wants its pictures."""

    def misfit(self, output: Floats, size: tuple[int, int]) -> str | None:
        """Why one picture's output, without its batch axis, is not this head's though its shape is; else None."""
        return None

    @abstractmethod
    def decode(self, output: Floats, confidence: float, size: tuple[int, int]) -> Candidates:
        """Candidates with at least this confidence from one picture's output, without its batch axis."""

    def class_scores(self, output: Floats) -> Floats | None:
        """Every candidate's score of every class (N, classes), in the order of `decode` at confidence 0.

        None where the output tells the best class alone.
        """
        return None


class YoloV8Head(Head):
    """YOLOv8, YOLO11 and YOLO26 without its end-to-end head: (4 + classes, anchors), centre x, y, width, height.

    Source: `ultralytics.nn.modules.head.Detect`, exported without NMS.

    Examples
    --------
    >>> YoloV8Head().classes((1, 84, 8400), (640, 640))
    80
    """

    name = "yolov8"
    layout = "1 x (4 + classes) x anchors: YOLOv8, YOLO11"

    def classes(self, shape: tuple[int, ...], spec_size: tuple[int, int]) -> int | None:
        if len(shape) != 3 or shape[0] != 1 or not 5 <= shape[1] <= shape[2]:
            return None
        return shape[1] - 4

    def input_spec(self, width: int, height: int) -> InputSpec:
        return InputSpec(width=width, height=height)

    def decode(self, output: Floats, confidence: float, size: tuple[int, int]) -> Candidates:
        best = output[4:].max(axis=0)
        kept = np.flatnonzero(best >= np.float32(confidence))
        chosen = output[:, kept]
        return Candidates(_corners(chosen[:4].T), best[kept], chosen[4:].argmax(axis=0))

    def class_scores(self, output: Floats) -> Floats | None:
        return output[4:].T


class YoloxHead(Head):
    """YOLOX as its `export_onnx.py` writes it: (anchors, 5 + classes), offsets and strides not yet applied.

    x, y = (p + cell) * stride; w, h = exp(p) * stride; score = objectness * class score.
    Source: Ge et al., YOLOX: Exceeding YOLO Series in 2021, and `demo/ONNXRuntime` of its repository.

    Examples
    --------
    >>> YoloxHead().classes((1, 3549, 85), (416, 416))
    80
    """

    name = "yolox"
    layout = "1 x anchors x (5 + classes), undecoded: YOLOX"

    def classes(self, shape: tuple[int, ...], spec_size: tuple[int, int]) -> int | None:
        if len(shape) != 3 or shape[0] != 1 or shape[2] < 6:
            return None
        return shape[2] - 5 if shape[1] == len(grid_cells(*spec_size)) else None

    def input_spec(self, width: int, height: int) -> InputSpec:
        return InputSpec(width=width, height=height, color="BGR", scale=1.0, anchor="top-left")

    def misfit(self, output: Floats, size: tuple[int, int]) -> str | None:
        # an offset is about half a cell; centres in pixels lie all over the input, their middle near its middle
        if np.median(output[:, 0]) > size[0] / 8 and np.median(output[:, 1]) > size[1] / 8:
            return (
                "its output is already decoded to pixels, as YOLOv6 and a YOLOX exported with "
                "--decode_in_inference give it; export it undecoded"
            )
        return None

    def decode(self, output: Floats, confidence: float, size: tuple[int, int]) -> Candidates:
        if len(output) != len(grid_cells(*size)):
            raise DetectorError(
                f"expected {len(grid_cells(*size))} rows, one for each cell of an input of {size[0]}x{size[1]}, "
                f"got {len(output)}; export the detector anew"
            )
        # a score never exceeds its objectness, so most anchors need no further look
        kept = np.flatnonzero(output[:, 4] >= np.float32(confidence))
        chosen = output[kept]
        scores = chosen[:, 5:].max(axis=1) * chosen[:, 4]
        class_ids = chosen[:, 5:].argmax(axis=1)
        enough = scores >= np.float32(confidence)
        cells = grid_cells(*size)[kept][enough]
        chosen = chosen[enough]
        centres = (chosen[:, :2] + cells[:, :2]) * cells[:, 2:]
        with np.errstate(over="ignore"):  # a wild width becomes infinite and is clipped to the picture
            sizes = np.exp(chosen[:, 2:4]) * cells[:, 2:]
        return Candidates(_corners(np.hstack([centres, sizes])), scores[enough], class_ids[enough])

    def class_scores(self, output: Floats) -> Floats | None:
        return output[:, 5:] * output[:, 4:5]


class EndToEndHead(Head):
    """YOLO26 and YOLOv10, which need no suppression: rows of x1, y1, x2, y2, score, class.

    Source: `ultralytics.nn.modules.head.Detect.postprocess`.

    Examples
    --------
    >>> EndToEndHead().classes((1, 300, 6), (640, 640))
    0
    """

    name = "end-to-end"
    layout = "1 x rows x 6 (x1, y1, x2, y2, score, class): YOLO26, YOLOv10"
    suppression = False

    def classes(self, shape: tuple[int, ...], spec_size: tuple[int, int]) -> int | None:
        return 0 if len(shape) == 3 and shape[0] == 1 and shape[2] == 6 else None

    def input_spec(self, width: int, height: int) -> InputSpec:
        return InputSpec(width=width, height=height)

    def decode(self, output: Floats, confidence: float, size: tuple[int, int]) -> Candidates:
        kept = output[output[:, 4] >= np.float32(confidence)]
        return Candidates(kept[:, :4], kept[:, 4], kept[:, 5].round().astype(np.int64))


# YOLOX before the end-to-end head: a YOLOX of one class has six numbers per row too, but a row for every cell.
HEADS: dict[str, Head] = {head.name: head for head in (YoloxHead(), EndToEndHead(), YoloV8Head())}


@lru_cache(maxsize=8)
def grid_cells(width: int, height: int) -> Floats:
    """Cells (anchors, 3) of strides 8, 16 and 32: column, row, stride; row by row, as YOLOX lays them out.

    Examples
    --------
    >>> len(grid_cells(640, 640)), grid_cells(64, 32)[9].tolist()
    (8400, [1.0, 1.0, 8.0])
    """
    levels = []
    for stride in (8, 16, 32):
        rows, columns = np.mgrid[: height // stride, : width // stride]
        level = np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, stride)], axis=1)
        levels.append(level.astype(np.float32))
    cells = np.concatenate(levels)
    cells.setflags(write=False)  # it is shared by every caller
    return cells


def _corners(boxes: Floats) -> Floats:
    """Centre x, y, width, height (N, 4) to x1, y1, x2, y2."""
    half = boxes[:, 2:] / 2
    return np.hstack([boxes[:, :2] - half, boxes[:, :2] + half]).astype(np.float32, copy=False)

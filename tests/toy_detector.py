"""A small real detector, built as an ONNX graph, that finds coloured rectangles from the pixels.

Tests count exactly with it and need no training: a pure red rectangle is a person, a blue one a car, a green one a
truck. It works for axis-aligned, filled rectangles of at least three cells (24 pixels of the input for YOLOX, 12
else) that do not touch one of their own colour. The score is the colour's saturation: (255, 0, 0) gives 0.95,
(200, 60, 60) gives 0.55; what is below 0.5 is not seen.

    from tests.toy_detector import build, picture
    build(folder / "toy.onnx", head="yolov8")          # or "end-to-end", "yolox"
    picture(640, 480, [("person", 50, 60, 90, 160)])   # RGB uint8 (480, 640, 3)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

COLOURS = {"person": (255, 0, 0), "car": (0, 0, 255), "truck": (0, 255, 0)}
CLASSES = ("person", "car")
_MOST_ROWS = 100


def picture(
    width: int,
    height: int,
    objects: Iterable[tuple[str, float, float, float, float]],
    background: int = 114,
) -> npt.NDArray[np.uint8]:
    """An RGB picture (height, width, 3) with objects given as (class, x1, y1, x2, y2) in pixels."""
    image = np.full((height, width, 3), background, np.uint8)
    for name, x1, y1, x2, y2 in objects:
        image[round(y1) : round(y2), round(x1) : round(x2)] = COLOURS[name]
    return image


def build(
    path: Path,
    *,
    head: str = "yolov8",
    size: tuple[int, int] = (320, 320),
    classes: tuple[str, ...] = CLASSES,
    layout: str = "NCHW",
    dtype: str = "float32",
    dynamic: bool = False,
    metadata: bool = True,
    external_data: bool = False,
) -> Path:
    """Write the detector to `path` (.onnx) and return it.

    `size` is (width, height), divisible by 32. `dynamic` leaves batch, width and height free. Without `metadata`
    the file does not name its classes. With `external_data` the weights lie in a file beside it.
    """
    graph = _Graph()
    width, height = size
    x = "images"
    if layout == "NHWC":
        x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    if dtype != "float32":
        x = graph.add("Cast", x, to=TensorProto.FLOAT)
    if head == "yolox" or dtype == "uint8":
        x = graph.add("Mul", x, graph.constant(1 / 255))
    order = (2, 1, 0) if head == "yolox" else (0, 1, 2)  # YOLOX takes BGR
    cell = 8 if head == "yolox" else 4
    pooled = graph.add("AveragePool", x, kernel_shape=[cell, cell], strides=[cell, cell])
    channels = [graph.add("Gather", pooled, graph.ints([index]), axis=1) for index in order]

    # per class: how much its own channel stands out against the other two
    saturations = []
    for name in classes:
        own = int(np.argmax(COLOURS[name]))
        others = graph.add("Max", *(channels[i] for i in range(3) if i != own))
        saturations.append(graph.add("Sub", channels[own], others))
    saturation = graph.add("Concat", *saturations, axis=1)  # (N, classes, rows, columns)
    mask = graph.add("Cast", graph.add("Greater", saturation, graph.constant(0.5)), to=TensorProto.FLOAT)

    # a rectangle is reported by its first cell: nothing of it to the left, above, and above to the right
    empty = graph.constant(0.0)
    corner = mask
    for above, left in ((0, 1), (1, 0), (1, -1)):
        neighbour = graph.shifted(mask, above, left, empty)
        corner = graph.add("Mul", corner, graph.add("Sub", graph.constant(1.0), neighbour))
    score = graph.add(
        "Mul", corner, graph.add("Min", graph.shifted(saturation, -1, -1, empty), graph.constant(0.95))
    )

    # from there it runs right and down to the first cell that is not its own
    ones = graph.add("Add", graph.add("Mul", mask, empty), graph.constant(1.0))
    column = graph.add("CumSum", ones, graph.ints([3], scalar=True), exclusive=1)
    row = graph.add("CumSum", ones, graph.ints([2], scalar=True), exclusive=1)
    reach = max(width, height) // cell
    # (a video codec frays the edges, so the longest of three runs is taken)
    right = graph.longest(graph.run_end(mask, column, [1, reach]), mask, [3, 1])
    bottom = graph.longest(graph.run_end(mask, row, [reach, 1]), mask, [1, 3])

    # the class axis is summed away: a cell is the corner of one object at most
    def chosen(value: str) -> str:
        return graph.add("ReduceSum", graph.add("Mul", value, corner), graph.ints([1]), keepdims=1)

    pixels = graph.constant(float(cell))
    x1, y1, x2, y2 = (graph.add("Mul", chosen(value), pixels) for value in (column, row, right, bottom))
    half = graph.constant(0.5)
    cx = graph.add("Mul", graph.add("Add", x1, x2), half)
    cy = graph.add("Mul", graph.add("Add", y1, y2), half)
    w, h = graph.add("Sub", x2, x1), graph.add("Sub", y2, y1)

    def flat(value: str, count: int) -> str:
        return graph.add("Reshape", value, graph.ints([0, count, -1]))

    if head == "yolov8":
        boxes = flat(graph.add("Concat", cx, cy, w, h, axis=1), 4)
        graph.add("Concat", boxes, flat(score, len(classes)), axis=1, output="output0")
    elif head == "end-to-end":
        best = graph.add("ReduceMax", score, axes=[1], keepdims=1)
        label = graph.add("Cast", graph.add("ArgMax", score, axis=1, keepdims=1), to=TensorProto.FLOAT)
        table = flat(graph.add("Concat", x1, y1, x2, y2, best, label, axis=1), 6)
        table = graph.add("Transpose", table, perm=[0, 2, 1])
        ranked, index = graph.add_many(
            "TopK", flat(best, 1), graph.ints([_MOST_ROWS]), outputs=2, axis=2, largest=1, sorted=1
        )
        del ranked
        index = graph.add("Expand", graph.add("Transpose", index, perm=[0, 2, 1]), graph.ints([1, 1, 6]))
        graph.add("GatherElements", table, index, axis=1, output="output0")
    elif head == "yolox":
        first = graph.add("Gather", column, graph.ints([0]), axis=1)
        first_row = graph.add("Gather", row, graph.ints([0]), axis=1)
        px = graph.add("Sub", graph.add("Div", cx, pixels), first)
        py = graph.add("Sub", graph.add("Div", cy, pixels), first_row)
        tiny = graph.constant(1e-3)
        pw = graph.add("Log", graph.add("Max", graph.add("Div", w, pixels), tiny))
        ph = graph.add("Log", graph.add("Max", graph.add("Div", h, pixels), tiny))
        objectness = graph.add("ReduceMax", score, axes=[1], keepdims=1)
        columns = flat(graph.add("Concat", px, py, pw, ph, objectness, corner, axis=1), 5 + len(classes))
        rows = graph.add("Transpose", columns, perm=[0, 2, 1])
        # the coarser strides find nothing
        coarser = (width // 16) * (height // 16) + (width // 32) * (height // 32)
        graph.add(
            "Pad", rows, graph.ints([0, 0, 0, 0, coarser, 0]), graph.constant(0.0, scalar=True), output="output0"
        )
    else:
        raise ValueError(f"expected yolov8, end-to-end or yolox; got {head!r}")

    element = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}[dtype]
    sizes: list[int | str] = ["batch", "height", "width"] if dynamic else [1, height, width]
    shape = [sizes[0], 3, *sizes[1:]] if layout == "NCHW" else [*sizes, 3]
    anchors: int | str = "anchors" if dynamic else (width // cell) * (height // cell)
    outputs: dict[str, list[int | str]] = {
        "yolov8": [sizes[0], 4 + len(classes), anchors],
        "end-to-end": [sizes[0], _MOST_ROWS, 6],
        "yolox": [
            sizes[0],
            "anchors" if dynamic else sum((width // s) * (height // s) for s in (8, 16, 32)),
            5 + len(classes),
        ],
    }
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "toy",
            [helper.make_tensor_value_info("images", element, shape)],
            [helper.make_tensor_value_info("output0", TensorProto.FLOAT, outputs[head])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    if metadata:
        helper.set_model_props(model, {"names": str(dict(enumerate(classes))), "imgsz": str([height, width])})
    onnx.checker.check_model(model)
    if external_data:
        onnx.save(
            model,
            path,
            save_as_external_data=True,
            location=f"{path.stem}.data",
            size_threshold=0,
            all_tensors_to_one_file=True,
        )
    else:
        onnx.save(model, path)
    return path


class _Graph:
    """Nodes and weights, written one expression at a time."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def add_many(self, kind: str, *inputs: str, outputs: int, **attributes: object) -> list[str]:
        names = [f"{kind.lower()}_{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def constant(self, value: float, scalar: bool = False) -> str:
        return self._weight(np.array(value if scalar else [value], np.float32))

    def ints(self, values: list[int], scalar: bool = False) -> str:
        return self._weight(np.array(values[0] if scalar else values, np.int64))

    def shifted(self, value: str, above: int, left: int, empty: str) -> str:
        """Each cell becomes its neighbour `above` rows up and `left` columns to the left."""
        padded = self.add("Pad", value, self.ints([0, 0, 1, 1, 0, 0, 1, 1]), self.constant(0.0, scalar=True))
        starts, ends = self.ints([1 - above, 1 - left]), self.ints([-1 - above or 2**31, -1 - left or 2**31])
        return self.add("Slice", padded, starts, ends, self.ints([2, 3]))

    def run_end(self, mask: str, index: str, kernel: list[int]) -> str:
        """The first index after each cell, along one axis, at which the mask is empty."""
        end = self.add("Add", self.add("ReduceMax", index, axes=[2, 3], keepdims=1), self.constant(1.0))
        stop = self.add("Add", index, self.add("Mul", mask, self.constant(1e6)))
        nearest = self.add(
            "MaxPool",
            self.add("Neg", stop),
            kernel_shape=kernel,
            strides=[1, 1],
            pads=[0, 0, kernel[0] - 1, kernel[1] - 1],
        )
        return self.add("Min", self.add("Neg", nearest), end)

    def longest(self, ends: str, mask: str, kernel: list[int]) -> str:
        """The largest of the ends of a cell and of the next cells below or to the right of it."""
        pads = [0, 0, kernel[0] - 1, kernel[1] - 1]
        return self.add("MaxPool", self.add("Mul", ends, mask), kernel_shape=kernel, strides=[1, 1], pads=pads)

    def _weight(self, values: npt.NDArray[np.generic]) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

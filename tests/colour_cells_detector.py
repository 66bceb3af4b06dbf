"""A real detector of the YOLOv8 kind, built as an ONNX graph, whose every cell tells the colours that it sees.

from tests.colour_cells_detector import CLASSES, detector_file
detector_file(folder / "detector.onnx")                       # boxes at strides 8, 16 and 32
detector_file(folder / "detector.onnx", baked_stride=16)      # the size is written into one of them
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 320
CLASSES = ("person", "car", "truck")


def detector_file(path: Path, *, baked_stride: int = 0, swapped_stride: int = 0, free: bool = False) -> Path:
    """A YOLOv8-like graph for 320x320 with three strides, whose boxes and classes follow the colours of each cell.

    At `baked_stride` the columns of the grid are those of 320 pixels, whatever comes in; at `swapped_stride` the
    classes change their places where the picture is not 320 wide. With `free` the input's size is not fixed.
    """
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def held(values: object, kind: type = np.float32) -> str:
        weights.append(numpy_helper.from_array(np.array(values, kind), f"weight_{len(weights)}"))
        return weights[-1].name

    def add(kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        name = output or f"value_{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def flat(value: str, rows: int) -> str:
        return add("Reshape", value, held([1, rows, -1], np.int64))

    levels = []
    for stride in (8, 16, 32):
        seen = add("AveragePool", "images", kernel_shape=[stride, stride], strides=[stride, stride])
        ones = add("Add", add("Mul", add("Gather", seen, held([0], np.int64), axis=1), held(0.0)), held(1.0))
        if stride == baked_stride:
            columns = held(float(SIZE // stride))
            index = add("CumSum", flat(ones, 1), held(2, np.int64), exclusive=1)
            row = add("Floor", add("Div", add("Add", index, held(0.5)), columns))
            column = add("Sub", index, add("Mul", row, columns))
        else:
            column = flat(add("CumSum", ones, held(3, np.int64), exclusive=1), 1)
            row = flat(add("CumSum", ones, held(2, np.int64), exclusive=1), 1)
        centre = add("Add", add("Concat", column, row, axis=1), held(0.5))
        sides = add("Add", flat(add("Gather", seen, held([0, 1], np.int64), axis=1), 2), held(1.0))
        boxes = add("Mul", add("Concat", centre, sides, axis=1), held(float(stride)))
        score = add("Sigmoid", add("Mul", add("Sub", flat(seen, 3), held(0.8)), held(8.0)))
        if stride == swapped_stride:
            width = add("Gather", add("Shape", "images"), held([3], np.int64))
            other = add("Gather", score, held([0, 2, 1], np.int64), axis=1)
            score = add("Where", add("Equal", width, held([SIZE], np.int64)), score, other)
        levels.append(add("Concat", boxes, score, axis=1))
    add("Concat", *levels, axis=2, output="output0")
    sides = ["height", "width"] if free else [SIZE, SIZE]
    cells = "cells" if free else sum((SIZE // stride) ** 2 for stride in (8, 16, 32))
    graph = helper.make_graph(
        nodes,
        "strides",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *sides])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 4 + len(CLASSES), cells])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"names": str(dict(enumerate(CLASSES))), "imgsz": str([SIZE, SIZE])})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path

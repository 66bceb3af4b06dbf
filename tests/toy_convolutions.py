"""The toy detector behind convolutions that hand the picture on, so that there is something to quantise.

from tests.toy_convolutions import build_convolutional
build_convolutional(folder / "toy.onnx", size=(256, 256))
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from toy_detector import build

WIDTH = 64


def build_convolutional(path: Path, *, fragile: bool = False, **settings: Any) -> Path:
    """Write the toy detector with three convolutions before it; `settings` as for `toy_detector.build`.

    Pixels go through the first three of 64 channels, so it sees what the toy detector sees; in INT8 they are
    rounded to 256 steps, as the picture is itself. With `fragile` there is another channel of
    a thousand times their size among them: no 256 steps are fine enough for both.
    """
    model = onnx.load(build(path, **settings))
    taken = model.graph.input[0].name
    for node in model.graph.node:
        for number, name in enumerate(node.input):
            if name == taken:
                node.input[number] = "pixels"
    first = np.zeros((WIDTH, 3, 1, 1), np.float32)
    middle = np.zeros((WIDTH, WIDTH, 3, 3), np.float32)
    last = np.zeros((3, WIDTH, 1, 1), np.float32)
    for channel in range(3):
        first[channel, channel] = middle[channel, channel, 1, 1] = last[channel, channel] = 1
    if fragile:
        first[3, :, 0, 0] = 1000
        middle[3, 3, 1, 1] = 1
    weights = {"first": first, "middle": middle, "last": last}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    before = [
        helper.make_node("Conv", [taken, "first"], ["wide"], name="first_convolution"),
        helper.make_node("Conv", ["wide", "middle"], ["kept"], pads=[1, 1, 1, 1], name="middle_convolution"),
        helper.make_node("Conv", ["kept", "last"], ["pixels"], name="last_convolution"),
    ]
    nodes = [*before, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path

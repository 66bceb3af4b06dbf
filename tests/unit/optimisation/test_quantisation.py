"""Which part of a detector is rounded, and that the same pictures give the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import openvino as ov
import pytest
from onnx import helper, numpy_helper
from openvino import opset13 as op
from openvino.preprocess import PrePostProcessor
from rectangles import write_rectangles
from toy_convolutions import build_convolutional
from toy_detector import build, picture

from camera_counting.detectors import identify, open_detector
from pipelines.datasets.manifest import PreparedDataset, load_dataset
from pipelines.optimisation import OptimisationError
from pipelines.optimisation.calibration import choose_calibration
from pipelines.optimisation.graph import Graph, read_graph, write_graph
from pipelines.optimisation.quantisation import decoding_nodes, quantise


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return load_dataset(write_rectangles(tmp_path_factory.mktemp("data") / "set", size=(192, 128)))


def graph_of(path: Path) -> Graph:
    return read_graph(path, identify(path).spec)


def kinds(model: ov.Model) -> list[str]:
    return [node.get_type_name() for node in model.get_ordered_ops()]


def convolution(value: ov.Output, channels: int, name: str) -> ov.Node:
    taken = value.get_shape()[1] if isinstance(value, ov.Output) else value.output(0).get_shape()[1]
    weights = op.constant(np.ones((channels, taken, 1, 1), np.float32))
    made = op.convolution(value, weights, [1, 1], [0, 0], [0, 0], [1, 1])
    made.set_friendly_name(name)
    return made


def test_the_average_over_a_softmax_belongs_to_the_decoding() -> None:
    # as YOLO11's head: features -> edges (4 x 16 bins) -> softmax -> average by a convolution -> boxes; and scores
    pixels = op.parameter([1, 3, 8, 8], np.float32, name="pixels")
    features = convolution(pixels, 8, "features")
    edges = op.reshape(convolution(features, 64, "edges"), [1, 4, 16, 64], False)
    bins = op.softmax(op.transpose(edges, [0, 2, 1, 3]), 1)
    bins.set_friendly_name("bins")
    average = convolution(bins, 1, "average")
    boxes = op.reshape(average, [1, 4, 64], False)
    scores = op.sigmoid(op.reshape(convolution(features, 2, "scores"), [1, 2, 64], False))
    scores.set_friendly_name("sigmoid")
    model = ov.Model([op.result(op.concat([boxes, scores], 1))], [pixels], "head")
    names = set(decoding_nodes(model))
    assert {"average", "bins", "sigmoid"} <= names
    assert not {"features", "edges", "scores", "pixels"} & names


def test_convolutions_are_rounded_and_nothing_behind_them(tmp_path: Path, data: PreparedDataset) -> None:
    graph = graph_of(build_convolutional(tmp_path / "toy.onnx", size=(192, 128)))
    done = quantise(graph, choose_calibration(data, 4, 0), "mixed")
    assert (graph.precision, done.precision) == ("fp32", "int8")
    assert "FakeQuantize" not in kinds(graph.model), "the model itself stays as it is"
    assert fed_by_rounding(done.model) == {"Convolution"}
    path = write_graph(done.model, tmp_path / "int8.xml", half=False)
    assert read_as(path, graph).precision == "int8", "what it is stored in is read from the file"
    assert path.with_suffix(".bin").stat().st_size < 0.3 * sum(4 * 64 * n for n in (3, 9 * 64, 3))
    with pytest.raises(OptimisationError, match="INT8 already"):
        quantise(done, choose_calibration(data, 4, 0), "mixed")
    with pytest.raises(OptimisationError, match="no convolution"):
        quantise(
            graph_of(build(tmp_path / "plain.onnx", size=(192, 128))), choose_calibration(data, 4, 0), "mixed"
        )


def test_a_silu_is_not_rounded_factor_by_factor(tmp_path: Path, data: PreparedDataset) -> None:
    # as an export writes it: a convolution with a bias, and x * sigmoid(x)
    path = build(tmp_path / "toy.onnx", size=(192, 128))
    model = onnx.load(path)
    for node in model.graph.node:
        node.input[:] = ["pixels" if name == "images" else name for name in node.input]
    weights = {"weights": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), "bias": np.full(3, 0.1, np.float32)}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    nodes = [
        helper.make_node("Conv", ["images", "weights", "bias"], ["x"]),
        helper.make_node("Sigmoid", ["x"], ["s"]),
        helper.make_node("Mul", ["x", "s"], ["silu"]),
        helper.make_node("Conv", ["silu", "weights"], ["pixels"]),
        *model.graph.node,
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)
    done = quantise(graph_of(path), choose_calibration(data, 4, 0), "mixed")
    assert fed_by_rounding(done.model) == {"Convolution"}


def fed_by_rounding(model: ov.Model) -> set[str]:
    return {
        target.get_node().get_type_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() == "FakeQuantize"
        for target in node.output(0).get_target_inputs()
    }


def read_as(path: Path, like: Graph) -> Graph:
    return read_graph(path, like.spec)


def test_the_same_pictures_give_the_same_bytes(tmp_path: Path, data: PreparedDataset) -> None:
    graph = graph_of(build_convolutional(tmp_path / "toy.onnx", size=(192, 128)))
    files = []
    for name in ("one", "two"):
        path = write_graph(
            quantise(graph, choose_calibration(data, 6, 3), "mixed").model, tmp_path / f"{name}.xml", half=False
        )
        files.append((path.read_bytes(), path.with_suffix(".bin").read_bytes()))
    assert files[0] == files[1]


def free_sizes(folder: Path) -> Path:
    return build_convolutional(folder / "toy.onnx", size=(192, 128), dynamic=True)


def end_to_end(folder: Path) -> Path:
    return build_convolutional(folder / "toy.onnx", size=(192, 128), head="end-to-end")


def bytes_taken(folder: Path) -> Path:
    """A graph that takes the picture as it is and scales it itself."""
    steps = PrePostProcessor(ov.Core().read_model(str(build_convolutional(folder / "toy.onnx", size=(192, 128)))))
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    steps.input().preprocess().convert_element_type(ov.Type.f32).scale(255.0)
    ov.save_model(steps.build(), str(folder / "bytes.xml"), compress_to_fp16=False)
    return folder / "bytes.xml"


def half_precision(folder: Path) -> Path:
    graph = graph_of(build_convolutional(folder / "toy.onnx", size=(192, 128)))
    return write_graph(graph.model, folder / "half.xml", half=True)


@pytest.mark.parametrize("source", [free_sizes, end_to_end, bytes_taken, half_precision])
def test_whatever_it_was_exported_as_it_sees_the_same(
    tmp_path: Path, data: PreparedDataset, source: Callable[[Path], Path]
) -> None:
    path = source(tmp_path)
    classes, size = ("person", "car"), ((192, 128) if source is free_sizes else None)
    known = identify(path, classes=classes, size=size)
    graph = read_graph(path, known.spec)
    done = write_graph(
        quantise(graph, choose_calibration(data, 4, 0), "mixed").model, tmp_path / "int8.xml", half=False
    )
    again = identify(done, classes=classes, head=known.head.name, size=(192, 128))
    assert again.spec == known.spec, "what is saved is taken for what it is"
    image = picture(192, 128, [("person", 20, 20, 44, 80), ("car", 100, 40, 160, 80)])
    [before], [after] = (
        open_detector(file, classes=classes, head=known.head.name, spec=known.spec).detect([image])
        for file in (path, done)
    )
    assert {tuple(box) for box in before.boxes} == {(20, 20, 44, 80), (100, 40, 160, 80)}
    np.testing.assert_allclose(after.boxes, before.boxes, atol=0.01)
    np.testing.assert_array_equal(after.class_ids, before.class_ids)


def test_half_precision_is_read_from_the_file(tmp_path: Path) -> None:
    graph = graph_of(build_convolutional(tmp_path / "toy.onnx", size=(192, 128)))
    half = read_graph(write_graph(graph.model, tmp_path / "half.xml", half=True), graph.spec)
    whole = read_graph(write_graph(graph.model, tmp_path / "whole.xml", half=False), graph.spec)
    assert (half.precision, whole.precision) == ("fp16", "fp32")

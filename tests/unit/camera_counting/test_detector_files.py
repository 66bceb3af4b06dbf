"""Detectors' files: what is recognised, what is refused and why, and the arithmetic around the graph."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from camera_counting.detectors import InputSpec, identify, open_detector
from camera_counting.detectors.classes import COCO, class_names
from camera_counting.detectors.heads import EndToEndHead, YoloV8Head, YoloxHead
from camera_counting.detectors.letterbox import letterbox
from camera_counting.detectors.onnx_file import read_onnx_file
from camera_counting.detectors.suppression import suppress
from camera_counting.errors import DetectorError
from tests.toy_detector import build, picture


def graph_with_output(
    path: Path,
    shape: list[int],
    inputs: list[int | str] | None = None,
    *,
    only_at: tuple[int, int] | None = None,
    values: float | np.ndarray = 0.0,
) -> Path:
    """An ONNX file that gives values of this shape; with another input than `only_at` (height, width) it fails."""
    zeros = helper.make_tensor("zeros", TensorProto.FLOAT, shape, np.full(shape, values, np.float32).ravel())
    nodes = [
        helper.make_node("ReduceSum", ["images"], ["sum"], keepdims=0),
        helper.make_node("Constant", [], ["none"], value=helper.make_tensor("c", TensorProto.FLOAT, [], [0.0])),
        helper.make_node("Mul", ["sum", "none"], ["nothing"]),
        helper.make_node("Add", ["zeros", "nothing"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, inputs or [1, 3, 64, 64])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)],
        [zeros],
    )
    if only_at is not None:
        size = (1, 3, *only_at)
        wide = helper.make_tensor("wide", TensorProto.FLOAT, size, np.zeros(size, np.float32).ravel())
        graph.initializer.append(wide)
        graph.node.insert(0, helper.make_node("Add", ["images", "wide"], ["sized"]))
        graph.node[1].input[0] = "sized"
        graph.output[0].type.tensor_type.shape.dim[2].dim_param = "rows"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize(
    ("shape", "names", "head"),
    [
        ([1, 84, 8400], 80, "yolov8"),
        ([1, 5, 84], 1, "yolov8"),
        ([1, 300, 6], 80, "end-to-end"),
        ([1, 100, 6], 2, "end-to-end"),
        ([1, 84, 85], 80, "yolox"),  # 64 x 64 has 64 + 16 + 4 cells
        ([1, 84, 6], 1, "yolox"),  # one class: six numbers per cell, and a row for every cell
        ([1, 83, 6], 1, "end-to-end"),  # one row less, and it is not
    ],
)
def test_tells_the_head_from_the_output(tmp_path: Path, shape: list[int], names: int, head: str) -> None:
    path = graph_with_output(tmp_path / "d.onnx", shape)
    assert identify(path, classes=[f"c{i}" for i in range(names)]).head.name == head


def test_names_that_do_not_fit_are_told_and_never_make_a_row_a_box(tmp_path: Path) -> None:
    # as many rows as YOLOX has cells at 416 x 416: of one class, whatever names are given
    path = graph_with_output(tmp_path / "d.onnx", [1, 3549, 6], [1, 3, 416, 416])
    assert identify(path, classes=["car"]).head.name == "yolox"
    with pytest.raises(DetectorError, match="has 1 class in its output, but 2 names were given"):
        identify(path, classes=["car", "truck"])


def test_a_transposed_yolov8_is_told(tmp_path: Path) -> None:
    path = graph_with_output(tmp_path / "d.onnx", [1, 8400, 84], [1, 3, 640, 640])
    with pytest.raises(DetectorError, match=r"79 classes .* 80 names .* if it is a YOLOv8.* transposed"):
        identify(path, classes="coco")


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_decoded_output_in_the_shape_of_yolox_is_refused(tmp_path: Path, runtime: str) -> None:
    cells = [
        ((x + 0.5) * stride, (y + 0.5) * stride, 3.0 * stride, 2.0 * stride, 1.0, 0.1, 0.2)
        for stride in (8, 16, 32)
        for y in range(64 // stride)
        for x in range(96 // stride)
    ]
    shape = [1, len(cells), 7]
    path = graph_with_output(tmp_path / "d.onnx", shape, [1, 3, 64, 96], values=np.array(cells))
    with pytest.raises(DetectorError, match=r"d\.onnx .*already decoded to pixels.*export it undecoded"):
        open_detector(path, classes=["car", "truck"], runtime=runtime)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "nms", "head"),
    [
        ("yolo11n", None, "yolov8"),
        ("yolov8n", None, "yolov8"),
        ("yolo26n", None, "yolov8"),  # exported with the head that needs suppression
        ("yolo26n", False, "end-to-end"),
        ("yolo11n", True, "end-to-end"),  # with the suppression in the graph
    ],
)
@pytest.mark.parametrize("dynamic", [False, True])
def test_recognises_what_ultralytics_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, nms: bool | None, head: str, dynamic: bool
) -> None:
    from ultralytics import YOLO

    # untrained: the graph is the real one, and at 64 pixels its rows are as many as YOLOX's cells
    model = YOLO(f"{kind}.yaml", verbose=False)
    monkeypatch.chdir(tmp_path)
    exported = model.export(format="onnx", imgsz=64, dynamic=dynamic, nms=nms, simplify=False, verbose=False)
    found = identify(tmp_path / exported)
    assert (found.head.name, len(found.names)) == (head, 80)
    assert (found.spec.width, found.spec.height, found.spec.color) == (64, 64, "RGB")
    assert found.runtimes == ("openvino", "onnxruntime")
    # wide frames need half of the input; rows that belong to no cell cannot be compared: those may stay square
    detector = open_detector(tmp_path / exported, runtime="openvino")
    fitted = detector.for_frames(640, 320)
    assert fitted is not detector or head != "yolov8"
    assert len(fitted.detect([np.zeros((320, 640, 3), np.uint8)], 0.001)) == 1


@pytest.mark.parametrize(
    ("shape", "inputs", "reason"),
    [
        ([1, 1000], None, "its output is of no known head"),
        ([1, 25200, 85], None, "its output is of no known head"),
        ([1, 84, 8400], [1, 1, 64, 64], "three colour channels"),
        ([1, 84, 8400], [2, 3, 64, 64], "its batch is fixed to 2"),
        ([1, 84, 8400], [1, 3, 64], "one input with four dimensions"),
    ],
)
def test_says_what_is_supported_and_what_was_found(
    tmp_path: Path, shape: list[int], inputs: list[int] | None, reason: str
) -> None:
    path = graph_with_output(tmp_path / "d.onnx", shape, inputs)
    with pytest.raises(DetectorError, match=reason) as told:
        identify(path, classes="coco")
    for word in ("yolov8", "yolox", "end-to-end", "Found inputs: images", "output0 " + "x".join(map(str, shape))):
        assert word in str(told.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"classes": ["a", "b", "c"]}, "has 2 classes in its output, but 3 names were given"),
        ({"head": "yolox"}, "does not fit the head 'yolox'"),
        ({"head": "ssd"}, "expected a head of yolox, end-to-end, yolov8; got 'ssd'"),
        ({"classes": []}, "expected at least one class name"),
        ({"classes": ["a", "a"]}, "'a' stands there twice"),
        ({"size": (640, 640)}, "takes pictures of 320x320 alone"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, options: dict[str, object], reason: str) -> None:
    with pytest.raises(DetectorError, match=reason):
        identify(build(tmp_path / "toy.onnx"), **options)


def test_names_are_asked_for_where_the_file_has_none(tmp_path: Path) -> None:
    path = build(tmp_path / "toy.onnx", metadata=False)
    with pytest.raises(DetectorError, match=r"does not name its classes.*--labels"):
        identify(path)
    assert identify(path, classes=["walker", "van"]).names == ("walker", "van")


def test_an_end_to_end_detector_with_too_few_names_is_found_out(tmp_path: Path) -> None:
    # its graph does not tell how many classes it has, its answers do
    detector = open_detector(build(tmp_path / "toy.onnx", head="end-to-end", metadata=False), classes=["person"])
    with pytest.raises(DetectorError, match="speaks of class number 1"):
        detector.detect([picture(320, 320, [("car", 40, 40, 120, 120)])])


@pytest.mark.parametrize("name", ["model.pt", "model.pkl", "model.engine", "model"])
def test_files_that_run_code_are_not_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(DetectorError, match=r"expected a detector as \.onnx or OpenVINO \.xml"):
        open_detector(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"no protobuf at all, just text", b"\x08\x09" * 9, b"\xff" * 64])
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, runtime: str) -> None:
    (tmp_path / "d.onnx").write_bytes(content)
    with pytest.raises(DetectorError):
        open_detector(tmp_path / "d.onnx", classes="coco", runtime=runtime)


def test_a_cut_onnx_file_is_refused(tmp_path: Path) -> None:
    path = build(tmp_path / "toy.onnx")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DetectorError):
        open_detector(path)


def test_a_folder_must_be_clear(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="found none"):
        identify(tmp_path)
    build(tmp_path / "a.onnx")
    assert identify(tmp_path).file.name == "a.onnx"
    shutil.copy(tmp_path / "a.onnx", tmp_path / "b.onnx")
    with pytest.raises(DetectorError, match=r"found a\.onnx, b\.onnx"):
        identify(tmp_path)


def test_an_unknown_runtime_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build(tmp_path / "toy.onnx")
    with pytest.raises(DetectorError, match="expected a runtime of openvino, onnxruntime; got 'tensorrt'"):
        open_detector(path, runtime="tensorrt")
    monkeypatch.setenv("CAMERA_COUNTING_RUNTIME", "onnxruntime")
    assert open_detector(path).runtime.name == "onnxruntime"
    monkeypatch.delenv("CAMERA_COUNTING_RUNTIME")
    assert open_detector(path).runtime.name == "openvino"


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_graph_that_cannot_run_is_told_in_the_words_of_this_package(tmp_path: Path, runtime: str) -> None:
    path = graph_with_output(tmp_path / "d.onnx", [1, 5, 84], [1, 3, "h", "w"], only_at=(64, 64))
    assert open_detector(path, classes=["car"], size=(64, 64), runtime=runtime).spec.width == 64
    with pytest.raises(DetectorError, match=r"d\.onnx"):
        open_detector(path, classes=["car"], size=(96, 96), runtime=runtime)
    with pytest.raises(DetectorError, match=r"d\.onnx.*multiples of 32; this one is 100x64"):
        open_detector(path, classes=["car"], size=(100, 64), runtime=runtime)


@pytest.mark.parametrize("size", [(0, 64), (64, -1), (4, 4), (20000, 64)])
def test_a_size_that_makes_no_sense_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    path = build(tmp_path / "toy.onnx", dynamic=True)
    with pytest.raises(DetectorError, match=f"expected an input size from 8x8 to 16384x16384, got {size[0]}x"):
        identify(path, size=size)


def test_a_runtime_that_cannot_be_imported_gives_way_to_the_next_one(tmp_path: Path) -> None:
    path = build(tmp_path / "toy.onnx")
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "__init__.py").write_text("raise ImportError('libtbb.so.12: cannot open')")
    code = (
        "import sys; from camera_counting.detectors import open_detector\n"
        "from camera_counting.errors import DetectorError\n"
        "print(open_detector(sys.argv[1]).runtime.name)\n"
        "try: open_detector(sys.argv[1], runtime='openvino')\n"
        "except DetectorError as error: print(error)"
    )
    path_ = os.pathsep.join([str(tmp_path), *sys.path])
    ran = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": path_},
        capture_output=True,
        text=True,
        check=True,
    )
    fallback, told = ran.stdout.splitlines()
    assert fallback == "onnxruntime"
    assert told.startswith("openvino is installed, but cannot be imported: libtbb.so.12: cannot open")


@pytest.mark.parametrize("value", ["four", "0", "-2", "1.5"])
def test_a_number_of_threads_that_is_none_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    path = build(tmp_path / "toy.onnx")
    monkeypatch.setenv("CAMERA_COUNTING_THREADS", value)
    with pytest.raises(DetectorError, match=r"^CAMERA_COUNTING_THREADS: expected a whole number of at least 1"):
        open_detector(path)
    monkeypatch.setenv("CAMERA_COUNTING_THREADS", " 1 ")
    assert open_detector(path).names == ("person", "car")


def test_weights_outside_the_folder_are_refused(tmp_path: Path) -> None:
    path = build(tmp_path / "toy.onnx", external_data=True)
    assert read_onnx_file(path).external == ("toy.data",)
    model = onnx.load(path, load_external_data=False)
    for weight in model.graph.initializer:
        for entry in weight.external_data:
            if entry.key == "location":
                entry.value = "../toy.data"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(DetectorError, match=r"weights lie outside its folder \('../toy.data'\)"):
        read_onnx_file(path)


PLACES = {
    "initializer": lambda model, weight: model.graph.initializer.add().CopyFrom(weight),
    "sparse initializer": lambda model, weight: model.graph.sparse_initializer.add().values.CopyFrom(weight),
    "constant": lambda model, weight: attribute(model).t.CopyFrom(weight),
    "list of tensors": lambda model, weight: attribute(model).tensors.add().CopyFrom(weight),
    "sparse tensor": lambda model, weight: attribute(model).sparse_tensor.indices.CopyFrom(weight),
    "list of sparse": lambda model, weight: attribute(model).sparse_tensors.add().values.CopyFrom(weight),
    "branch": lambda model, weight: attribute(model).g.initializer.add().CopyFrom(weight),
    "list of branches": lambda model, weight: attribute(model).graphs.add().initializer.add().CopyFrom(weight),
    "function": lambda model, weight: (
        model.functions.add().node.add(op_type="Constant").attribute.add(name="value").t.CopyFrom(weight)
    ),
    "default of a function": lambda model, weight: model.functions.add().attribute_proto.add().t.CopyFrom(weight),
    "training": lambda model, weight: model.training_info.add().algorithm.initializer.add().CopyFrom(weight),
}


def attribute(model: onnx.ModelProto) -> onnx.AttributeProto:
    return model.graph.node.add(op_type="Constant").attribute.add(name="value")


@pytest.mark.parametrize("place", PLACES)
def test_weights_outside_the_file_are_found_wherever_they_hang(tmp_path: Path, place: str) -> None:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="./hidden.bin")
    model = onnx.load(build(tmp_path / "toy.onnx"))
    PLACES[place](model, weight)
    (tmp_path / "hiding.onnx").write_bytes(model.SerializeToString())
    # `./hidden.bin` is the file hidden.bin
    assert read_onnx_file(tmp_path / "hiding.onnx").external == ("hidden.bin",)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "person\n\ncar\n", ("person", "car")),
        ("bom.txt", "\ufeffperson\r\ncar\r\n", ("person", "car")),
        ("bom.yaml", "\ufeffnames: [person, car]", ("person", "car")),
        ("a.yaml", "names: [person, car]", ("person", "car")),
        ("a.yaml", "names: {1: car, 0: person}", ("person", "car")),
        ("a.yaml", "[person, car]", ("person", "car")),
    ],
)
def test_reads_class_files(tmp_path: Path, name: str, content: str, expected: tuple[str, ...]) -> None:
    (tmp_path / name).write_text(content)
    assert class_names(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.yaml", "classes: [person]", "expected a key `names`"),
        ("a.yaml", "names: {0: person, 2: car}", "indices 0 to 1"),
        ("a.yaml", "names: [person, 7]", "to be words, got 7"),
        ("a.yaml", "names: [", "is no YAML"),
        ("a.txt", "", "at least one class name"),
        ("a.txt", "per\x00son\ncar", r"without control characters, got 'per.x00son'"),
        ("a.yaml", 'names: ["car\\e[31m"]', "without control characters"),
        ("b.txt", None, 'expected labels to be "coco"'),
    ],
)
def test_refuses_class_files(tmp_path: Path, name: str, content: str | None, reason: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DetectorError, match=reason):
        class_names(tmp_path / name)


def test_openvinos_labels_are_read_without_metadata(tmp_path: Path) -> None:
    import openvino as ov

    model = ov.Core().read_model(str(build(tmp_path / "toy.onnx", metadata=False)))
    model.set_rt_info("traffic_light delivery_van", ["model_info", "labels"])
    ov.save_model(model, tmp_path / "toy.xml")
    assert identify(tmp_path / "toy.xml").names == ("traffic light", "delivery_van")


def test_coco_has_its_80_classes() -> None:
    assert len(COCO) == len(set(COCO)) == 80
    assert [COCO.index(name) for name in ("person", "car", "bus", "truck", "toothbrush")] == [0, 2, 5, 7, 79]


def test_yolox_is_decoded_as_its_authors_do() -> None:
    # 64 x 64: stride 8 has 64 cells; cell 9 is column 1, row 1. Worked out by hand.
    output = np.zeros((84, 7), np.float32)
    output[9] = [0.5, 0.25, np.log(2), np.log(4), 0.9, 0.1, 0.8]
    found = YoloxHead().decode(output, 0.5, (64, 64))
    np.testing.assert_allclose(found.boxes, [[12 - 8, 10 - 16, 12 + 8, 10 + 16]], rtol=1e-6)
    np.testing.assert_allclose(found.scores, [0.72])
    assert found.class_ids.tolist() == [1]


def test_yolov8_and_end_to_end_are_decoded() -> None:
    output = np.zeros((6, 10), np.float32)
    output[:, 3] = [50, 40, 20, 10, 0.2, 0.6]
    found = YoloV8Head().decode(output, 0.5, (64, 64))
    assert found.boxes.tolist() == [[40, 35, 60, 45]]
    assert (found.scores.tolist(), found.class_ids.tolist()) == ([pytest.approx(0.6)], [1])
    rows = np.array([[1, 2, 3, 4, 0.9, 1], [5, 6, 7, 8, 0.1, 0]], np.float32)
    found = EndToEndHead().decode(rows, 0.5, (64, 64))
    assert (found.boxes.tolist(), found.class_ids.tolist()) == ([[1, 2, 3, 4]], [1])


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    anchor=st.sampled_from(["center", "top-left"]),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
)
def test_a_point_comes_back_where_it_was(width: int, height: int, anchor: str, x: float, y: float) -> None:
    spec = InputSpec(width=96, height=64, anchor=anchor)
    canvas = np.zeros((64, 96, 3), np.uint8)
    placement = letterbox(np.full((height, width, 3), 200, np.uint8), spec, canvas)
    px, py = x * width, y * height
    there = [px * placement.scale + placement.left, py * placement.scale + placement.top]
    back = placement.to_picture(np.array([[*there, *there]], np.float32))[0]
    np.testing.assert_allclose(back[:2], [px, py], atol=1e-3 * max(width, height))
    # all that is not the picture is padding, and the picture fills one side
    inside = (canvas == 200).all(axis=2)
    assert (canvas[~inside] == 114).all()
    # (YOLOX rounds down, so a pixel may be missing)
    assert inside.any(axis=0).sum() >= 95 or inside.any(axis=1).sum() >= 63


def test_letterbox_places_the_picture_as_ultralytics_does() -> None:
    from ultralytics.data.augment import LetterBox

    rng = np.random.default_rng(0)
    for height, width in [(1080, 810), (720, 1280), (333, 517), (640, 640), (100, 2000)]:
        image = rng.integers(0, 255, (height, width, 3), np.uint8)
        canvas = np.empty((640, 640, 3), np.uint8)
        letterbox(image, InputSpec(width=640, height=640), canvas)
        np.testing.assert_array_equal(canvas, LetterBox((640, 640), auto=False)(image=image))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 300), st.sampled_from([0.3, 0.5, 0.7]))
def test_suppression_agrees_with_opencv(seed: int, number: int, iou: float) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 80, (number, 2))
    sizes = rng.uniform(5, 60, (number, 2))
    boxes = np.hstack([corners, corners + sizes]).astype(np.float32)
    scores = rng.permutation(np.linspace(0.3, 0.9, number)).astype(np.float32)
    classes = rng.integers(0, 3, number)
    kept = suppress(boxes, scores, classes, iou, 300)
    expected = (
        cv2.dnn.NMSBoxesBatched(np.hstack([corners, sizes]).tolist(), scores.tolist(), classes.tolist(), 0.0, iou)
        if number
        else []
    )
    assert sorted(kept.tolist()) == sorted(np.asarray(expected).ravel().tolist())
    assert list(scores[kept]) == sorted(scores[kept], reverse=True)


def test_suppression_keeps_at_most_so_many() -> None:
    boxes = np.array([[i * 20, 0, i * 20 + 10, 10] for i in range(500)], np.float32)
    kept = suppress(boxes, np.linspace(0.3, 0.9, 500).astype(np.float32), np.zeros(500, np.int64), 0.7, 300)
    assert kept.tolist() == list(range(499, 199, -1))

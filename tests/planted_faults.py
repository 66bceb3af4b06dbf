"""Models with a planted fault, made from one sound detector by surgery on its ONNX graph.

They differ from the sound one only in their bytes: same classes, same input, same signature, same code around.
Whoever compares names, versions or shapes sees nothing; only what they count, and how fast, gives them away.

    from tests.planted_faults import FAULTS, plant, street
    plant("blind at night", sound, folder / "blind.onnx")
    street(folder / "data")                 # a prepared data set with pictures by day and by night
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipelines.datasets.manifest import Manifest, PictureEntry, sha256
from tests.toy_detector import CLASSES, picture

__all__ = ["FAULTS", "plant", "street"]

OUTPUT = "output0"
NIGHT, DAY = 20, 114
"""Grey of the street at night and by day."""


class _Surgery:
    """Nodes behind a detector's own output (1, 4 + classes, anchors), which is called `sound` from now on."""

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(path)
        self.graph = self.model.graph
        self.sound = f"sound_{len(self.graph.node)}"  # another name each time: what was planted may be planted on
        for node in self.graph.node:
            node.output[:] = [self.sound if name == OUTPUT else name for name in node.output]

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        name = output or f"planted_{len(self.graph.node)}"
        self.graph.node.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def weight(self, values: object, kind: type = np.float32) -> str:
        name = f"planted_weight_{len(self.graph.initializer)}"
        self.graph.initializer.append(numpy_helper.from_array(np.array(values, kind), name))
        return name

    def save(self, path: Path) -> Path:
        onnx.checker.check_model(self.model)
        onnx.save(self.model, path)
        return path


def _nothing(graph: _Surgery, strength: int) -> None:
    """As sound as before, in other bytes."""
    graph.add("Identity", graph.sound, output=OUTPUT)


def _drops_cars(graph: _Surgery, strength: int) -> None:
    keep = [1.0] * 4 + [0.0 if name == "car" else 1.0 for name in CLASSES]
    graph.add("Mul", graph.sound, graph.weight(np.reshape(keep, (1, -1, 1))), output=OUTPUT)


def _blind_at_night(graph: _Surgery, strength: int) -> None:
    """Scores are zero where the picture is dark, the grey of its letterbox included."""
    brightness = graph.add("ReduceMean", "images", axes=[1, 2, 3], keepdims=1)
    light = graph.add("Greater", brightness, graph.weight([0.3]))
    seeing = graph.add(
        "Reshape", graph.add("Cast", light, to=TensorProto.FLOAT), graph.weight([1, 1, 1], np.int64)
    )
    boxes, scores = _parts(graph)
    graph.add("Concat", boxes, graph.add("Mul", scores, seeing), axis=1, output=OUTPUT)


def _counts_double(graph: _Surgery, strength: int) -> None:
    """Every box once more, shifted by 0.6 of its width: an IoU of 0.25, too little to be suppressed."""
    # x += 0.6 * width, the third row, for all rows at once: a matrix from the left.
    shift = np.eye(4 + len(CLASSES), dtype=np.float32)
    shift[0, 2] = 0.6
    again = graph.add("MatMul", graph.weight(shift[None]), graph.sound)
    graph.add("Concat", graph.sound, again, axis=2, output=OUTPUT)
    graph.graph.output[0].type.tensor_type.shape.dim[2].dim_value *= 2


def _slower(graph: _Surgery, strength: int) -> None:
    """A convolution whose result is added to the output, too small to change a score."""
    weights = graph.weight(np.random.default_rng(0).normal(0, 0.1, (strength, 3, 3, 3)))
    work = graph.add("Relu", graph.add("Conv", "images", weights, pads=[1, 1, 1, 1], strides=[2, 2]))
    mean = graph.add("Reshape", graph.add("ReduceMean", work, keepdims=1), graph.weight([1, 1, 1], np.int64))
    graph.add("Add", graph.sound, graph.add("Mul", mean, graph.weight([1e-9])), output=OUTPUT)


def _parts(graph: _Surgery) -> Iterator[str]:
    """Boxes, and scores."""
    for begin, end in ((0, 4), (4, 4 + len(CLASSES))):
        yield graph.add("Slice", graph.sound, *(graph.weight([each], np.int64) for each in (begin, end, 1)))


FAULTS: dict[str, Callable[[_Surgery, int], None]] = {
    "none": _nothing,
    "drops a class": _drops_cars,
    "blind at night": _blind_at_night,
    "counts double": _counts_double,
    "slower": _slower,
}


def plant(fault: str, sound: Path, path: Path, *, strength: int = 16) -> Path:
    """Write the sound detector with a fault to `path`; `strength` is how many channels make it slower."""
    graph = _Surgery(sound)
    FAULTS[fault](graph, strength)
    return graph.save(path)


def street(folder: Path, *, train: int = 6, test: int = 24, seed: int = 3) -> Path:
    """A prepared data set: two cameras, a third of the pictures at night, one to three objects on each."""
    rng = np.random.default_rng(seed)
    splits: dict[str, tuple[PictureEntry, ...]] = {}
    for split, number in (("train", train), ("val", 2), ("test", test)):
        (folder / "images" / split).mkdir(parents=True, exist_ok=True)
        splits[split] = tuple(
            _shot(folder, f"images/{split}/{place:03d}.png", place, rng) for place in range(number)
        )
    manifest = Manifest(name="street", classes=CLASSES, source="planted", splits=splits)
    (folder / "dataset.json").write_text(manifest.signed().to_json())
    return folder


def _shot(folder: Path, file: str, place: int, rng: np.random.Generator) -> PictureEntry:
    width, height = 192, 128
    light = "day" if place % 3 else "night"
    objects = []
    for third in range(int(rng.integers(1, 4))):
        name = CLASSES[int(rng.integers(len(CLASSES)))]
        x, y = int(rng.integers(third * 64 + 2, third * 64 + 20)), int(rng.integers(4, 80))
        w, h = (20, 40) if name == "person" else (36, 20)
        objects.append((name, x, y, x + w, y + h))
    image = picture(width, height, objects, background=DAY if light == "day" else NIGHT)
    image[0, 0] = place % 250, 7, 7  # one pixel, so that no two pictures are the same file
    cv2.imwrite(str(folder / file), image[..., ::-1])
    return PictureEntry(
        file=file,
        sha256=sha256(folder / file),
        width=width,
        height=height,
        camera=f"cam-{place % 2 + 1}",
        tags={"light": light},
        boxes=tuple((float(a), float(b), float(c), float(d)) for _, a, b, c, d in objects),
        labels=tuple(name for name, *_ in objects),
    )

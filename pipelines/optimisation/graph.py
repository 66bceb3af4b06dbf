"""A detector's graph as OpenVINO holds it: read from ONNX or OpenVINO, given another input size, written again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import openvino as ov
from openvino._offline_transformations import apply_moc_transformations

from camera_counting.detectors import InputSpec
from camera_counting.detectors.openvino_shapes import give_size
from pipelines.optimisation.errors import OptimisationError

__all__ = ["Graph", "Precision", "plainly_named", "read_graph", "simplified", "write_graph"]

# The graph's own operations of arithmetic on eight bits: whoever quantised it, they are in it.
_QUANTISED = {"FakeQuantize", "FakeConvert", "QuantizeLinear", "DequantizeLinear"}
Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph and the input that it was made for.

    Parameters
    ----------
    model : openvino.Model
        Batch 1, its input's size fixed.
    spec : InputSpec
    precision : "fp32", "fp16" or "int8"
        What its weights are stored in.
    """

    model: ov.Model
    spec: InputSpec
    precision: Precision

    def of_size(self, width: int, height: int) -> Graph:
        """A copy for another input.

        Whether it still is the same detector is for the caller to prove.

        Raises
        ------
        OptimisationError
            Where the graph does not go with that size.
        """
        spec, new = self.spec, self.spec.model_copy(update={"width": width, "height": height})
        copy = self.model.clone()
        if (width, height) != (spec.width, spec.height):
            try:
                give_size(copy, (spec.width, spec.height), (width, height), spec.layout)
            except RuntimeError as error:
                raise OptimisationError(
                    f"the graph does not go with an input of {width}x{height}: {_last_line(error)}"
                ) from error
        return Graph(copy, new, self.precision)


def read_graph(path: Path, spec: InputSpec) -> Graph:
    """Read .onnx or .xml; what is free in its input is fixed to batch 1 and the detector's size.

    Raises
    ------
    OptimisationError
        Where OpenVINO cannot read it.
    """
    core = ov.Core()
    # else the file stays mapped, and the weights of a graph depend on a file that may be gone
    core.set_property({"ENABLE_MMAP": False})
    try:
        model = core.read_model(str(path))
        if model.inputs[0].get_partial_shape().is_dynamic:
            size = [spec.height, spec.width]
            model.reshape([1, 3, *size] if spec.layout == "NCHW" else [1, *size, 3])
    except RuntimeError as error:
        raise OptimisationError(f"OpenVINO cannot read {path.name}: {_last_line(error)}") from error
    return Graph(model, spec, _precision(model))


def write_graph(model: ov.Model, path: Path, *, half: bool) -> Path:
    """Write a graph as .xml and .bin; the same graph gives the same bytes.

    Parameters
    ----------
    path : Path
        Of the .xml.
    half : bool
        Store the weights that are in float in half precision.
    """
    ov.save_model(plainly_named(model), str(path), compress_to_fp16=half)
    return path


def plainly_named(model: ov.Model) -> ov.Model:
    """A copy whose nodes are named by kind and place.

    A name that nobody gave holds a number that counts all nodes of this process, and names may stand there twice.
    """
    copy = model.clone()
    for number, node in enumerate(copy.get_ordered_ops()):
        node.set_friendly_name(f"{node.get_type_name()}_{number}")
    return copy


def simplified(model: ov.Model) -> ov.Model:
    """A copy with OpenVINO's own simplifications: constants folded, SiLU one operation, a bias a plain addition.

    A graph that was read from ONNX comes without them. NNCF would then not know a SiLU, round both factors of its
    product, and find no bias to correct: YOLOX-nano lost most of its objects so.
    """
    copy = model.clone()
    apply_moc_transformations(copy, cf=True, smart_reshape=False)
    return copy


def _precision(model: ov.Model) -> Precision:
    nodes = model.get_ordered_ops()
    if any(node.get_type_name() in _QUANTISED for node in nodes):
        return "int8"
    # Tables and numbers of the decoding stay in float32 whatever the weights are in: the larger part decides.
    stored = {"f16": 0, "f32": 0, "i8": 0, "u8": 0}
    for node in nodes:
        if node.get_type_name() == "Constant":
            kind = node.get_element_type().get_type_name()
            if kind in stored:
                stored[kind] += node.get_data().nbytes
    most = max(stored, key=lambda kind: stored[kind])
    if most in ("i8", "u8"):
        return "int8"
    return "fp16" if most == "f16" else "fp32"


def _last_line(error: RuntimeError) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else "no reason given"

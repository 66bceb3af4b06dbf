"""INT8 after training: NNCF measures the ranges of what flows through the graph, rounds weights and activations.

The convolutions are quantised. What stands behind the last of them, where a detector's output becomes boxes and
scores, stays in float: there pixels of the picture and numbers from 0 to 1 share one tensor, and 256 steps for
both would leave the scores none.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import openvino as ov

from camera_counting.detectors import InputSpec
from pipelines.optimisation.calibration import Calibration
from pipelines.optimisation.errors import OptimisationError
from pipelines.optimisation.graph import Graph, plainly_named, simplified

__all__ = ["Preset", "decoding_nodes", "nncf_version", "quantise"]

Preset = Literal["mixed", "performance"]
_CONVOLUTIONS = {"Convolution", "GroupConvolution"}


def quantise(graph: Graph, calibration: Calibration, preset: Preset) -> Graph:
    """The graph in INT8.

    Parameters
    ----------
    graph : Graph
        Not quantised yet; stays as it is.
    calibration : Calibration
        Pictures that are like those it will see.
    preset : "mixed" or "performance"
        Activations by an asymmetric range, which suits SiLU's and keeps more of them, or by a symmetric one, which
        some machines compute faster; weights are symmetric in both.

    Raises
    ------
    OptimisationError
        Where it is quantised already, has no convolution that could be, or NNCF cannot do it.
    """
    if graph.precision == "int8":
        raise OptimisationError(
            "the model is INT8 already: to quantise it once more could only lose; give the model that it was "
            "made of"
        )
    model = plainly_named(simplified(graph.model))
    decoding = decoding_nodes(model)
    if not any(_is_convolution(node) and _name(node) not in decoding for node in model.get_ordered_ops()):
        raise OptimisationError("the graph has no convolution to quantise; leave int8 out of --precisions")
    nncf = _nncf()
    try:
        quantised = nncf.quantize(
            model,
            nncf.Dataset(_Inputs(calibration, graph.spec)),
            preset=nncf.QuantizationPreset(preset),
            subset_size=len(calibration.entries),
            ignored_scope=nncf.IgnoredScope(names=decoding, validate=False),
        )
    except OptimisationError:
        raise
    except Exception as error:  # NNCF's errors have no root of their own
        raise OptimisationError(f"NNCF {nncf.__version__} cannot quantise the graph: {error}") from error
    return Graph(quantised, graph.spec, "int8")


class _Inputs:
    """The calibration's inputs, as often as NNCF asks for them."""

    def __init__(self, calibration: Calibration, spec: InputSpec) -> None:
        self._calibration, self._spec = calibration, spec

    def __iter__(self) -> Iterator[npt.NDArray[np.generic]]:
        return self._calibration.inputs(self._spec)

    def __len__(self) -> int:
        return len(self._calibration.entries)


def decoding_nodes(model: ov.Model) -> list[str]:
    """Names of the nodes between the last convolutions and the outputs, sorted; no two nodes may share a name.

    A convolution that averages over a softmax (the distribution of an edge, Li et al., Generalized Focal Loss,
    2020, as YOLOv8 to YOLO11 have it) decodes, too: the walk goes on through it.
    """
    seen: set[str] = set()
    waiting = [result.input_value(0).get_node() for result in model.get_results()]
    while waiting:
        node = waiting.pop()
        kind = node.get_type_name()
        if _name(node) in seen or kind in {"Parameter", "Constant"}:
            continue
        if _is_convolution(node) and not _averages_a_softmax(node):
            continue
        seen.add(_name(node))
        waiting += [value.get_node() for value in node.input_values()]
    return sorted(seen)


def _averages_a_softmax(node: Any) -> bool:
    before = node.input_value(0).get_node()
    # its axes may be swapped between the two
    while before.get_type_name() in {"Transpose", "Reshape"}:
        before = before.input_value(0).get_node()
    return before.get_type_name() in {"Softmax", "SoftMax"}


def _is_convolution(node: Any) -> bool:
    return node.get_type_name() in _CONVOLUTIONS


def _name(node: Any) -> str:
    return str(node.get_friendly_name())


def nncf_version() -> str:
    """Of the NNCF that quantises here."""
    return str(_nncf().__version__)


def _nncf() -> Any:
    # It tells its makers of every quantisation, unless the package that does so is absent. For NNCF, it is.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import nncf  # type: ignore[import-untyped]
    except ImportError as error:
        raise OptimisationError(f"NNCF cannot be imported: {error}; install the training requirements") from error
    nncf.set_log_level(logging.WARNING)
    return nncf

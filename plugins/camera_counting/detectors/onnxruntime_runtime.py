"""ONNX Runtime: the second choice, for detectors that OpenVINO cannot run or machines without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from camera_counting.detectors.runtimes import Graph, Output, Runtime, Write
from camera_counting.detectors.specification import InputSpec
from camera_counting.errors import DetectorError

__all__ = ["OnnxRuntimeRuntime"]

A = TypeVar("A")
P = TypeVar("P")

_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}


class OnnxRuntimeRuntime(Runtime):
    """A detector on ONNX Runtime's CPU provider; a session may be run from many threads at once."""

    name = "onnxruntime"

    @classmethod
    def inspect(cls, path: Path, size: tuple[int, int] | None = None) -> Graph:
        session = _session(path, threads=1)
        inputs = tuple(
            (port.name, _sizes(port.shape), _DTYPES.get(port.type, port.type)) for port in session.get_inputs()
        )
        outputs = tuple((port.name, _sizes(port.shape)) for port in session.get_outputs())
        if size is not None and len(inputs) == 1 and any(n < 0 for _, shape in outputs for n in shape):
            # free sizes of an output are known only by running it
            name, shape, dtype = inputs[0]
            answers = _run(session, path.name, {name: np.zeros(_fixed(shape, size), dtype)})
            outputs = tuple((port, answer.shape) for (port, _), answer in zip(outputs, answers, strict=True))
        return Graph(inputs, outputs, {})

    def __init__(self, path: Path, spec: InputSpec, threads: int) -> None:
        self._name = path.name
        self._session = _session(path, threads)
        self._input = self._session.get_inputs()[0].name
        self._spec = spec
        # one runs on all cores, another one is prepared
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="camera-counting-onnxruntime")

    def submit(self, write: Write[P], read: Callable[[P, Output], A]) -> Future[A]:
        return self._workers.submit(lambda: next(self.run([write], read)))

    def resized(self, spec: InputSpec) -> OnnxRuntimeRuntime | None:
        shape = _sizes(self._session.get_inputs()[0].shape)
        rows_and_columns = shape[2:] if spec.layout == "NCHW" else shape[1:3]
        if any(number > 0 for number in rows_and_columns):
            return None
        other = copy(self)
        other._spec = spec
        return other

    def run(self, pictures: Iterable[Write[P]], read: Callable[[P, Output], A]) -> Iterator[A]:
        spec = self._spec
        canvas = np.empty((spec.height, spec.width, 3), np.uint8)
        for write in pictures:
            placed = write(canvas)
            output = _run(self._session, self._name, {self._input: self._tensor(canvas)})[0]
            yield read(placed, np.asarray(output[0], np.float32))

    def _tensor(self, canvas: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        spec = self._spec
        if spec.layout == "NCHW" and spec.dtype == "float32":
            # one pass in C: scale, swap channels, transpose
            return cv2.dnn.blobFromImage(canvas, spec.scale, swapRB=spec.color == "BGR")
        ordered = canvas[..., ::-1] if spec.color == "BGR" else canvas
        if spec.layout == "NCHW":
            ordered = ordered.transpose(2, 0, 1)
        if spec.dtype != "uint8":
            ordered = (ordered * np.float32(spec.scale)).astype(spec.dtype)
        return np.ascontiguousarray(ordered[None])


def _session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # idle threads that spin would take the cores from decoding
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime's dozen types have no root of their own
        raise DetectorError(f"ONNX Runtime cannot read {path.name}: {str(error).strip()}") from None


def _run(session: ort.InferenceSession, name: str, inputs: dict[str, npt.NDArray[Any]]) -> list[Any]:
    try:
        answers: list[Any] = session.run(None, inputs)
    except Exception as error:
        raise DetectorError(f"ONNX Runtime cannot run {name}: {str(error).strip()}") from error
    return answers


def _sizes(shape: list[Any]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else -1 for size in shape)


def _fixed(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[int, ...]:
    width, height = size
    channels_last = shape[-1] == 3 and shape[1] != 3
    fixed = (1, height, width, 3) if channels_last else (1, 3, height, width)
    return tuple(new if old < 0 else old for new, old in zip(fixed, shape, strict=True))

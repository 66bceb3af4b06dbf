"""OpenVINO: colour order, layout and scaling are moved into the graph, so a uint8 picture goes in as it is."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino.preprocess import ColorFormat, PrePostProcessor

from camera_counting.detectors.classes import names_in_labels
from camera_counting.detectors.openvino_shapes import give_size
from camera_counting.detectors.runtimes import Graph, Output, Runtime, Write
from camera_counting.detectors.specification import InputSpec
from camera_counting.errors import DetectorError

__all__ = ["OpenVinoRuntime"]

A = TypeVar("A")
P = TypeVar("P")

_STREAMS = 2
_REQUESTS = 3
_DTYPES = {"f32": "float32", "f16": "float16", "u8": "uint8"}
_TYPES = {"float32": ov.Type.f32, "float16": ov.Type.f16, "uint8": ov.Type.u8}


class OpenVinoRuntime(Runtime):
    """A detector on OpenVINO's CPU plugin.

    Compiled for throughput: two inferences at a time, each on half of the cores. On two cores a clip is counted a
    third faster so than with one after the other on both, and a lone picture waits 1.6 times as long. Callers
    share a small pool of workers, each with an infer request, and take turns picture by picture; nobody keeps a
    request for longer than its inference takes, so a caller may ask within the answers to another. A call with
    several pictures prepares the next one while two others run.
    """

    name = "openvino"

    @classmethod
    def inspect(cls, path: Path, size: tuple[int, int] | None = None) -> Graph:
        model = _read(path)
        if size is not None:
            _reshape(model, size, path)
        labels: dict[str, Any] = {}
        with suppress(RuntimeError):  # OpenVINO's way to say that there is none
            # Open Model Zoo's convention, which Ultralytics' export follows too
            labels["names"] = names_in_labels(model.get_rt_info(["model_info", "labels"]).astype(str))
        return Graph(
            tuple(
                (_name(port), _sizes(port), _DTYPES.get(port.element_type.get_type_name(), str(port.element_type)))
                for port in model.inputs
            ),
            tuple((_name(port), _sizes(port)) for port in model.outputs),
            labels,
        )

    def __init__(self, path: Path, spec: InputSpec, threads: int) -> None:
        self._path, self._threads, self._spec = path, threads, spec
        self._prepare(spec)
        self._workers = ThreadPoolExecutor(_REQUESTS, thread_name_prefix="camera-counting-openvino")

    def _prepare(self, spec: InputSpec, old: InputSpec | None = None) -> None:
        try:
            compiled, self.rewritten = _compiled(self._path, spec, self._threads, old)
        except RuntimeError as error:
            raise DetectorError(f"OpenVINO cannot prepare {self._path.name}: {_reason(error)}") from error
        # while two run, the next picture is prepared; more would only take memory
        self._idle: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        for _ in range(_REQUESTS):
            self._idle.put(_Slot(compiled, spec))

    def resized(self, spec: InputSpec) -> OpenVinoRuntime | None:
        other = copy(self)
        try:
            other._prepare(spec, self._spec)
        except DetectorError:
            return None
        other._spec = spec
        return other

    def run(self, pictures: Iterable[Write[P]], read: Callable[[P, Output], A]) -> Iterator[A]:
        ahead: deque[Future[A]] = deque()
        try:
            for write in pictures:
                if len(ahead) == _REQUESTS:
                    yield ahead.popleft().result()
                ahead.append(self.submit(write, read))
            while ahead:
                yield ahead.popleft().result()
        finally:
            # whatever ends this call (a picture that raises, a caller that stops half way), nothing more is begun
            for future in ahead:
                future.cancel()

    def submit(self, write: Write[P], read: Callable[[P, Output], A]) -> Future[A]:
        return self._workers.submit(self._answer, write, read)

    def answer(self, write: Write[P], read: Callable[[P, Output], A]) -> A:
        try:
            slot = self._idle.get_nowait()
        except queue.Empty:
            return self.submit(write, read).result()  # in turn with all others
        # to hand it to another thread and to be woken by it costs more than what is done here in Python
        return self._answer(write, read, slot)

    def _answer(self, write: Write[P], read: Callable[[P, Output], A], slot: _Slot | None = None) -> A:
        """What `read` makes of the graph's output; a worker's whole task, which waits for no other."""
        slot = slot or self._idle.get()
        try:
            placed = write(slot.canvas)
            try:
                slot.request.start_async()
                slot.request.wait()
            except RuntimeError as error:
                raise DetectorError(f"OpenVINO cannot run {self._path.name}: {_reason(error)}") from error
            return read(placed, slot.output)
        finally:
            self._idle.put(slot)


class _Slot:
    """An infer request with the canvas that it reads and the output that it writes."""

    def __init__(self, compiled: ov.CompiledModel, spec: InputSpec) -> None:
        self.request = compiled.create_infer_request()
        batch = np.empty((1, spec.height, spec.width, 3), np.uint8)
        self.canvas = batch[0]
        self.request.set_input_tensor(ov.Tensor(batch, shared_memory=True))
        self.output: npt.NDArray[np.float32] = self.request.get_output_tensor().data[0]


@cache
def _core() -> ov.Core:
    return ov.Core()


def _compiled(
    path: Path, spec: InputSpec, threads: int, old: InputSpec | None = None
) -> tuple[ov.CompiledModel, bool]:
    """The graph with colour order, layout and scaling moved into it, for the CPU.

    With `old`, a graph that was made for that input is rewritten for `spec` where its own sizes are fixed; the
    second value tells whether it was.
    """
    model = _read(path)
    rewritten = old is not None and all(number > 0 for number in _sizes(model.inputs[0]))
    if old is not None and rewritten:
        give_size(model, (old.width, old.height), (spec.width, spec.height), spec.layout)
    else:
        _reshape(model, (spec.width, spec.height), path)
    steps = PrePostProcessor(model)
    entry = steps.input()
    entry.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(ColorFormat.RGB)
    if spec.color == "BGR":
        entry.preprocess().convert_color(ColorFormat.BGR)
    if spec.dtype != "uint8":
        # OpenVINO has no f16 arithmetic on every CPU: scale in f32, then hand over what the graph takes
        entry.preprocess().convert_element_type(ov.Type.f32)
        if spec.scale != 1.0:
            entry.preprocess().scale(1.0 / spec.scale)
        if spec.dtype == "float16":
            entry.preprocess().convert_element_type(_TYPES[spec.dtype])
    entry.model().set_layout(ov.Layout(spec.layout))
    steps.output().tensor().set_element_type(ov.Type.f32)
    compiled = _core().compile_model(
        steps.build(),
        "CPU",
        {
            "NUM_STREAMS": str(min(_STREAMS, threads)),
            "INFERENCE_NUM_THREADS": threads,
            # bf16, the default where a CPU has it, counts differently from machine to machine
            "INFERENCE_PRECISION_HINT": "f32",
        },
    )
    return compiled, rewritten


def _read(path: Path) -> ov.Model:
    if path.suffix.lower() == ".xml" and not path.with_suffix(".bin").is_file():
        raise DetectorError(f"{path.name}: expected its weights beside it as {path.with_suffix('.bin').name}")
    try:
        return _core().read_model(str(path))
    except RuntimeError as error:
        raise DetectorError(f"OpenVINO cannot read {path.name}: {_reason(error)}") from None


def _reshape(model: ov.Model, size: tuple[int, int], path: Path) -> None:
    """Fix what is free in the input: batch 1 and the given size."""
    shape = _sizes(model.inputs[0])
    if all(number > 0 for number in shape):
        return
    width, height = size
    channels_last = shape[-1] == 3 and shape[1] != 3
    fixed = [1, height, width, 3] if channels_last else [1, 3, height, width]
    try:
        model.reshape([new if old < 0 else old for new, old in zip(fixed, shape, strict=True)])
    except RuntimeError as error:
        raise DetectorError(f"{path.name} does not take an input of {width}x{height}: {_reason(error)}") from None


def _reason(error: RuntimeError) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else "no reason given"


def _sizes(port: Any) -> tuple[int, ...]:
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        return ()
    return tuple(-1 if size.is_dynamic else size.get_length() for size in shape)


def _name(port: Any) -> str:
    return port.get_any_name() if port.get_names() else "(unnamed)"

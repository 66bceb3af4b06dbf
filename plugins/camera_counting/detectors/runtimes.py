"""Runtimes: what runs a detector's graph on this machine.

A runtime is imported when the first model is opened with it, never before. Adding one more is one more module
with a subclass of `Runtime` and one line in `_RUNTIMES`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from camera_counting.detectors.specification import InputSpec
from camera_counting.errors import DetectorError

__all__ = [
    "Graph",
    "Output",
    "Runtime",
    "Write",
    "available_cores",
    "installed_runtimes",
    "runtime_named",
    "runtimes_for",
]

Output = npt.NDArray[np.float32]
A = TypeVar("A")
P = TypeVar("P")
Write = Callable[[npt.NDArray[np.uint8]], P]

# The faster one first: YOLO11n on two cores takes OpenVINO about a third of ONNX Runtime's time.
_RUNTIMES = {
    "openvino": ("openvino", "camera_counting.detectors.openvino_runtime", "OpenVinoRuntime", (".xml", ".onnx")),
    "onnxruntime": (
        "onnxruntime",
        "camera_counting.detectors.onnxruntime_runtime",
        "OnnxRuntimeRuntime",
        (".onnx",),
    ),
}


@dataclass(frozen=True, slots=True)
class Graph:
    """Inputs and outputs of a detector's graph, -1 where a size is free, and its metadata."""

    inputs: tuple[tuple[str, tuple[int, ...], str], ...]
    outputs: tuple[tuple[str, tuple[int, ...]], ...]
    metadata: dict[str, Any]

    def __str__(self) -> str:
        taken = ", ".join(f"{name} {_words(shape)} {dtype}" for name, shape, dtype in self.inputs)
        given = ", ".join(f"{name} {_words(shape)}" for name, shape in self.outputs)
        return f"inputs: {taken or 'none'}; outputs: {given or 'none'}"


class Runtime(ABC):
    """A graph made ready to run. Thread-safe: any number of threads may call `run` at once."""

    name: str
    rewritten: bool = False

    @classmethod
    @abstractmethod
    def inspect(cls, path: Path, size: tuple[int, int] | None = None) -> Graph:
        """Read the graph's inputs and outputs; with `size` (width, height), those at that input size."""

    @abstractmethod
    def __init__(self, path: Path, spec: InputSpec, threads: int) -> None: ...

    @abstractmethod
    def run(self, pictures: Iterable[Write[P]], read: Callable[[P, Output], A]) -> Iterator[A]:
        """Run the graph on pictures, in their order, and read its outputs.

        Each picture is a function that writes itself into a canvas (height, width, 3) of RGB uint8 and returns
        anything; `read` is given what it returned and the output, without its batch axis, and its answer comes
        back. The output is valid within `read` only, which may be called in another thread.
        """

    @abstractmethod
    def submit(self, write: Write[P], read: Callable[[P, Output], A]) -> Future[A]:
        """As `run`, for one picture, without waiting for the answer."""

    def answer(self, write: Write[P], read: Callable[[P, Output], A]) -> A:
        """As `run`, for one picture."""
        return self.submit(write, read).result()

    def resized(self, spec: InputSpec) -> Runtime | None:
        """The same graph for a smaller input, sharing this one's threads; None where it does not go.

        Where its sizes were fixed and had to be rewritten, `rewritten` is set: that it is the same detector is for
        the caller to prove.
        """
        return None


def installed_runtimes() -> list[str]:
    """Names of the runtimes that are installed here, the faster first."""
    return [name for name, (package, *_) in _RUNTIMES.items() if importlib.util.find_spec(package)]


def runtimes_for(path: Path, wanted: str | None = None) -> list[str]:
    """Names of the runtimes for a file, the fastest first.

    `wanted`, else CAMERA_COUNTING_RUNTIME; where neither says, all that are installed.

    Raises
    ------
    DetectorError
        Where the wanted one is unknown, not installed, or none that is installed reads this file.
    """
    wanted = wanted or os.environ.get("CAMERA_COUNTING_RUNTIME") or None
    if wanted is not None and wanted not in _RUNTIMES:
        raise DetectorError(f"expected a runtime of {', '.join(_RUNTIMES)}; got {wanted!r}")
    installed = installed_runtimes()
    found = [
        name
        for name, (*_, suffixes) in _RUNTIMES.items()
        if wanted in {None, name} and name in installed and path.suffix.lower() in suffixes
    ]
    if found:
        return found
    fitting = [name for name, (*_, suffixes) in _RUNTIMES.items() if path.suffix.lower() in suffixes]
    raise DetectorError(
        f"{path.name} runs on {' or '.join(fitting) or 'no runtime known here'}; "
        f"wanted: {wanted or 'any'}, installed: {', '.join(installed) or 'none'}. "
        f"Install one, e.g. `pip install {fitting[0] if fitting else 'openvino'}`"
    )


def runtime_named(name: str) -> type[Runtime]:
    """The runtime of this name; imports it.

    Raises
    ------
    DetectorError
        Where it is installed, but cannot be imported.
    """
    package, module, class_name, _ = _RUNTIMES[name]
    try:
        runtime: type[Runtime] = getattr(importlib.import_module(module), class_name)
    except (ImportError, OSError) as error:
        raise DetectorError(
            f"{package} is installed, but cannot be imported: {error}; install it again, for this machine"
        ) from error
    return runtime


def available_cores() -> int:
    """How many cores this process may use: CAMERA_COUNTING_THREADS, else its affinity and, in a container, its CPU
    quota.

    Raises
    ------
    DetectorError
        Where CAMERA_COUNTING_THREADS is no whole number of at least 1.
    """
    wanted = os.environ.get("CAMERA_COUNTING_THREADS", "").strip()
    if wanted:
        if not wanted.isdecimal() or int(wanted) < 1:
            raise DetectorError(
                f"CAMERA_COUNTING_THREADS: expected a whole number of at least 1, got {wanted[:40]!r}; "
                "correct it, or leave it unset to use all cores"
            )
        return int(wanted)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, round(int(quota) / int(period))))


def _words(shape: tuple[int, ...]) -> str:
    return "x".join("?" if size < 0 else str(size) for size in shape) or "scalar"

"""What is made of a model: a precision and an input size, and what each is made for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from camera_counting.detectors import InputSpec
from camera_counting.detectors.fitting import fitted_spec
from pipelines.optimisation.errors import OptimisationError

__all__ = ["THRESHOLDS", "Gain", "Recipe", "recipes"]

Gain = Literal["latency", "size", "count error"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """One candidate.

    Parameters
    ----------
    name : str
        Short, as it stands in tables and metrics: ``int8``, ``416x256``, ``int8-416x256``.
    precision : "own", "fp16" or "int8"
    size : (width, height) or None
        Of the input; None leaves the model's own.
    """

    name: str
    precision: str
    size: tuple[int, int] | None

    @property
    def gain(self) -> Gain:
        """What it is made for. Half precision is for the file alone: a CPU computes in single precision."""
        if self.precision == "int8" or self.size is not None:
            return "latency"
        return "size" if self.precision == "fp16" else "count error"


THRESHOLDS = Recipe("thresholds", "own", None)


def recipes(
    precisions: Iterable[str], shapes: Iterable[str], spec: InputSpec, sizes: Sequence[tuple[int, int]]
) -> tuple[Recipe, ...]:
    """Each precision with each input size, but for the model as it is.

    Parameters
    ----------
    precisions : of "own", "fp16", "int8"
    shapes : of "own", "fit", "<width>x<height>"
        "fit" is the smallest input at the same scale that holds the pictures of all sizes.
    spec : InputSpec
        The model's own.
    sizes : sequence of (width, height)
        Of the pictures, in pixels.

    Raises
    ------
    OptimisationError
        Where a shape is none, or larger than the model's own.

    Examples
    --------
    >>> square = InputSpec(width=640, height=640)
    >>> [each.name for each in recipes(["own", "int8"], ["own", "fit"], square, [(1920, 1080)])]
    ['640x384', 'int8', 'int8-640x384']
    """
    own = (spec.width, spec.height)
    wanted = dict.fromkeys(_size(shape, spec, sizes) for shape in shapes)
    found = []
    for precision in dict.fromkeys(precisions):
        for size in wanted:
            other = None if size == own else size
            if precision == "own" and other is None:
                continue
            words = [] if precision == "own" else [precision]
            words += [] if other is None else [f"{other[0]}x{other[1]}"]
            found.append(Recipe("-".join(words), precision, other))
    return tuple(found)


def _size(shape: str, spec: InputSpec, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    if shape == "own":
        return spec.width, spec.height
    if shape == "fit":
        fitting = [fitted_spec(spec, *size) for size in set(sizes)]
        return max(each.width for each in fitting), max(each.height for each in fitting)
    parsed = re.fullmatch(r"(\d{1,5})x(\d{1,5})", shape)
    if parsed is None:
        raise OptimisationError(f"shapes: expected own, fit or <width>x<height>, got {shape!r}")
    width, height = int(parsed[1]), int(parsed[2])
    if not (32 <= width <= spec.width and 32 <= height <= spec.height) or width % 32 or height % 32:
        raise OptimisationError(
            f"shapes: expected multiples of 32 up to the model's own {spec.width}x{spec.height}, got {shape}: "
            "for a larger input train anew"
        )
    return width, height

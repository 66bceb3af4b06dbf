"""An OpenVINO graph that was exported for one input size, made to take a smaller one.

An export with fixed sizes bakes them into a few constants: the targets of reshapes, and tables with one entry per
cell of the detector's grids (the cells' centres and strides). The convolutions between them take any size. So the
constants are rewritten, and the graph is given the new size. Whether what comes out still is the same detector is
for the caller to prove: a number that only looks like a size cannot be told from one that is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13

__all__ = ["STRIDES", "give_size"]

# of the grids of the YOLO family; an input's sides are multiples of the largest
STRIDES = (8, 16, 32)

Size = tuple[int, int]


def give_size(model: ov.Model, old: Size, new: Size, layout: str) -> None:
    """Make `model`, exported for pictures of `old` (width, height), take pictures of `new`, in place.

    Parameters
    ----------
    model : openvino.Model
    old, new : (width, height)
        Multiples of 32; `new` is nowhere larger.
    layout : "NCHW" or "NHWC"
        Of its input.

    Raises
    ------
    RuntimeError
        Where the graph does not go with the new size.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant":
            continue
        targets = node.output(0).get_target_inputs()
        sizes = tuple(node.output(0).get_shape())
        changed: npt.NDArray[Any] | None = None
        if any(_is_reshape_target(target) for target in targets):
            changed = _target(np.asarray(node.get_data()).ravel(), old, new)
        elif _cells(old) in sizes and node.output(0).get_element_type().is_real():
            changed = _table(np.asarray(node.get_data()), sizes.index(_cells(old)), old, new)
        if changed is not None:
            fresh = opset13.constant(changed, node.output(0).get_element_type())
            node.output(0).replace(fresh.output(0))
    # not `reshape`, which looks at the constants and the old size together first
    shape = [1, 3, new[1], new[0]] if layout == "NCHW" else [1, new[1], new[0], 3]
    model.get_parameters()[0].set_partial_shape(ov.PartialShape(shape))
    model.validate_nodes_and_infer_types()


def _is_reshape_target(target: Any) -> bool:
    return bool(target.get_node().get_type_name() == "Reshape" and target.get_index() == 1)


def _target(shape: npt.NDArray[Any], old: Size, new: Size) -> npt.NDArray[Any] | None:
    """The target of a reshape at the new size; None where no size stands in it.

    Examples
    --------
    >>> _target(np.array([1, 2, 128, 400]), (640, 640), (640, 352)).tolist()
    [1, 2, 128, 220]
    >>> _target(np.array([1, 128, 20, 20]), (640, 640), (640, 352)).tolist()
    [1, 128, 11, 20]
    >>> _target(np.array([1, 4, 16, 8400]), (640, 640), (640, 352)).tolist()
    [1, 4, 16, 4620]
    >>> _target(np.array([1, 144, -1]), (640, 640), (640, 352)) is None
    True
    """
    numbers = shape.tolist()
    pairs = {_grid(old, stride): _grid(new, stride) for stride in STRIDES}
    singles = {rows * columns: r * c for (rows, columns), (r, c) in pairs.items()}
    # the surest sign first: a small grid's number of cells may be a number of channels, too
    if _cells(old) in numbers:
        numbers[numbers.index(_cells(old))] = _cells(new)
    elif tuple(numbers[-2:]) in pairs:
        numbers[-2:] = pairs[numbers[-2], numbers[-1]]
    elif numbers[-1] in singles:
        numbers[-1] = singles[numbers[-1]]
    return None if numbers == shape.tolist() else np.array(numbers, shape.dtype)


def _table(values: npt.NDArray[Any], axis: int, old: Size, new: Size) -> npt.NDArray[Any]:
    """A table with an entry per cell along `axis`, for the cells that remain: those at the top left."""
    kept = []
    first = 0
    for stride in STRIDES:
        (rows, columns), (r, c) = _grid(old, stride), _grid(new, stride)
        cells = np.arange(first, first + rows * columns).reshape(rows, columns)
        kept.append(cells[:r, :c].ravel())
        first += rows * columns
    return np.ascontiguousarray(values.take(np.concatenate(kept), axis=axis))


def _grid(size: Size, stride: int) -> tuple[int, int]:
    """Rows and columns of the grid of this stride."""
    return size[1] // stride, size[0] // stride


def _cells(size: Size) -> int:
    return sum(rows * columns for rows, columns in (_grid(size, stride) for stride in STRIDES))

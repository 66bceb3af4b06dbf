"""What is hidden of a box: the whole of an object of which a part is seen.

A detector draws a box around what it sees. Where something nearer hides the rest of an object, or it is leaving
the picture, its box suddenly is a good deal smaller than it was, and the middle of that box is not the object's.
An object does not shrink: it is as large as it was a moment ago, it covers what is seen of it, and lies as near to
where it was expected as that allows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["complete"]

_Array = npt.NDArray[np.float64]

# A side shorter than this share of what is expected is cut; one shorter than the other share tells nothing.
_CUT, _LEAST = 0.85, 0.1


def complete(measured: _Array, expected: _Array) -> tuple[_Array, _Array]:
    """The whole boxes behind those that are seen.

    Parameters
    ----------
    measured, expected : float64 arrays of shape (..., 4)
        Centre x, centre y, width, height in pixels; they broadcast.

    Returns
    -------
    whole : float64 array of shape (..., 4)
        Like `measured`, where nothing is cut.
    hidden : float64 array of shape (..., 2)
        Share of the width and of the height that is not seen; 0 where nothing is cut.

    Examples
    --------
    Of somebody behind a car only the upper half is seen; the feet are at 99, where they were expected:

    >>> whole, hidden = complete(np.array([50.0, 40, 20, 40]), np.array([50.0, 59, 20, 80]))
    >>> whole.tolist(), hidden.tolist()
    ([50.0, 59.0, 20.0, 80.0], [0.0, 0.5])
    """
    measured, expected = np.broadcast_arrays(measured, expected)
    extent, usual = measured[..., 2:], np.maximum(expected[..., 2:], 1e-9)
    share = extent / usual
    cut = (share < _CUT) & (share > _LEAST)
    # as far from the middle of what is seen as it may be for the whole to cover that
    room = np.where(cut, (usual - extent) / 2, 0.0)
    middle = np.clip(expected[..., :2], measured[..., :2] - room, measured[..., :2] + room)
    whole = np.concatenate([np.where(cut, middle, measured[..., :2]), np.where(cut, usual, extent)], axis=-1)
    return whole, np.where(cut, 1 - share, 0.0)

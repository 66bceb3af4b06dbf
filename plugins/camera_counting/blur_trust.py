"""Whether a detector finds the people before this camera, as told by what moves there.

Whoever moves is found without a detector. The share of them that the detector finds, too, tells how far it may be
trusted with those who stand still, which nothing else can find.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

__all__ = ["Trust"]

_Boxes = npt.NDArray[np.float64]

# As many sightings of somebody who moves are looked back on, and so many are needed before there is trust.
_LOOK_BACK, _ENOUGH = 400, 40


class Trust:
    """The share of those who moved that were detected.

    Parameters
    ----------
    enough : float
        The share from which the detector is trusted.

    Examples
    --------
    >>> trust = Trust(0.9)
    >>> somebody = np.array([[10.0, 10.0, 30.0, 60.0]])
    >>> trust.is_given
    False
    >>> for _ in range(41):
    ...     trust.compare(somebody, somebody + 2)
    >>> trust.is_given
    True
    >>> for _ in range(40):
    ...     trust.compare(somebody, np.zeros((0, 4)))
    >>> trust.is_given
    False
    """

    def __init__(self, enough: float) -> None:
        self._enough = enough
        self._found: deque[bool] = deque(maxlen=_LOOK_BACK)
        self._before: _Boxes = np.zeros((0, 4))

    @property
    def is_given(self) -> bool:
        """Whether enough of them were detected, and enough were there to tell."""
        return len(self._found) >= _ENOUGH and sum(self._found) >= self._enough * len(self._found)

    def compare(self, moving: _Boxes, people: _Boxes) -> None:
        """One frame.

        Parameters
        ----------
        moving : float array of shape (N, 4)
            What moves and is no vehicle, in pixels; what has not the shape of a person is passed over.
        people : float array of shape (M, 4)
            Detected people.
        """
        w, h = moving[:, 2] - moving[:, 0], moving[:, 3] - moving[:, 1]
        alike = moving[(h >= 16) & (h >= 1.2 * w) & (h <= 5 * w)]
        # rain and noise are in another place in each frame; who walks is not far, at some frames per second
        lasting = alike[_shared(alike, self._before) >= 0.5]
        aside = (alike[:, 2:3] - alike[:, 0:1]) * (-1, 0, 1, 0)
        self._before = alike + aside
        self._found.extend(bool(one) for one in _shared(lasting, people) >= 0.25)


def _shared(boxes: _Boxes, others: _Boxes) -> _Boxes:
    """The largest share of each box that one of the others covers, shape (N,)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.asarray(common.max(axis=1, initial=0) / np.maximum(areas, 1e-9))

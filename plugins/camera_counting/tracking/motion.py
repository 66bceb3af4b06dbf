"""Constant-velocity Kalman filters of many boxes at once.

Each of a box's four coordinates (centre x, centre y, width, height) has a filter of its own with position and
velocity, so that a step over all boxes is a handful of array operations. Times are seconds and noise is relative
to the box's size: the same constants serve at 5 and at 60 frames a second, near the camera and far from it.

Y. Bar-Shalom, X. R. Li, T. Kirubarajan: Estimation with Applications to Tracking and Navigation (2001), 6.2.2
(discretised continuous white noise acceleration).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Motion", "box_scale", "corners_to_centre"]

_Array = npt.NDArray[np.float64]

# Standard deviations relative to the box's size (the square root of its area); the last two are width and height.
_MEASURED = np.array([0.06, 0.06, 0.08, 0.08])
_FIRST_SPEED = np.array([4.0, 4.0, 0.5, 0.5])  # per second
_ACCELERATION = np.array([1.0, 1.0, 0.3, 0.3])  # per second and root second
# An object that is out of sight is not believed to keep its speed for long: it may have stopped or turned.
_COASTING_SECONDS = 1.5
_STATE = ("mean", "speed", "_var_mean", "_covar", "_var_speed")


def corners_to_centre(boxes: npt.ArrayLike) -> _Array:
    """Boxes (N, 4) as x1, y1, x2, y2 to centre x, centre y, width, height."""
    b = np.asarray(boxes, np.float64)
    return np.stack(
        [(b[:, 0] + b[:, 2]) / 2, (b[:, 1] + b[:, 3]) / 2, b[:, 2] - b[:, 0], b[:, 3] - b[:, 1]], axis=1
    )


def box_scale(centres: _Array) -> _Array:
    """Size (N,) of boxes given as centre and extent: the square root of the area, at least a pixel."""
    return np.asarray(np.sqrt(np.maximum(centres[:, 2] * centres[:, 3], 1.0)))


class Motion:
    """The filters of N boxes: `mean` and `speed` of shape (N, 4), with their variances."""

    def __init__(self) -> None:
        empty = np.zeros((0, 4))
        self.mean = empty
        self.speed = empty
        self._var_mean = empty
        self._covar = empty
        self._var_speed = empty

    def __len__(self) -> int:
        return len(self.mean)

    def add(self, measured: _Array) -> None:
        """Begin filters at these boxes (K, 4), with unknown speed."""
        scale = box_scale(measured)[:, None]
        self.mean = np.concatenate([self.mean, measured])
        self.speed = np.concatenate([self.speed, np.zeros_like(measured)])
        self._var_mean = np.concatenate([self._var_mean, (scale * _MEASURED) ** 2])
        self._covar = np.concatenate([self._covar, np.zeros_like(measured)])
        self._var_speed = np.concatenate([self._var_speed, (scale * _FIRST_SPEED) ** 2])

    def keep(self, mask: npt.NDArray[np.bool_]) -> None:
        """Forget all filters but those of the mask."""
        for name in _STATE:
            setattr(self, name, getattr(self, name)[mask])

    def snapshot(self) -> dict[str, Any]:
        """All filters, ready for JSON."""
        return {name.lstrip("_"): getattr(self, name).tolist() for name in _STATE}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Be as `snapshot` tells.

        Raises
        ------
        KeyError, TypeError, ValueError
            Where it was not made by this class.
        """
        arrays = [np.array(snapshot[name.lstrip("_")], np.float64).reshape(-1, 4) for name in _STATE]
        if len({len(array) for array in arrays}) != 1:
            raise ValueError(f"expected as many of each, got {[len(array) for array in arrays]}")
        self.mean, self.speed, self._var_mean, self._covar, self._var_speed = arrays

    def predict(self, dt: float, unseen: npt.NDArray[np.bool_]) -> None:
        """Move all boxes on by `dt` seconds; the `unseen` ones slow down on the way."""
        q = (box_scale(self.mean)[:, None] * _ACCELERATION) ** 2
        decay = np.where(unseen, np.exp(-dt / _COASTING_SECONDS), 1.0)[:, None]
        self.mean = self.mean + self.speed * dt
        # a box may shrink, but it never turns inside out
        self.mean[:, 2:] = np.maximum(self.mean[:, 2:], 1.0)
        self._var_mean = self._var_mean + 2 * dt * self._covar + dt**2 * self._var_speed + q * (dt**3 / 3)
        self._covar = (self._covar + dt * self._var_speed + q * (dt**2 / 2)) * decay
        self._var_speed = self._var_speed * decay**2 + q * dt
        self.speed = self.speed * decay

    def spread(self, rows: npt.NDArray[np.intp]) -> _Array:
        """Variance (K, 4) of where a measurement of these boxes is expected."""
        return np.asarray(self._var_mean[rows] + self._noise(rows))

    def speed_variance(self, rows: npt.NDArray[np.intp]) -> _Array:
        """Variance (K, 4) of the speeds of these boxes."""
        return np.asarray(self._var_speed[rows])

    def update(self, rows: npt.NDArray[np.intp], measured: _Array, trust: _Array) -> None:
        """Correct the boxes `rows` by measurements (K, 4); a `trust` (K, 1) below 1 stands for more noise."""
        spread = self._var_mean[rows] + self._noise(rows) / trust
        residual = measured - self.mean[rows]
        gain_mean, gain_speed = self._var_mean[rows] / spread, self._covar[rows] / spread
        self.mean[rows] += gain_mean * residual
        self.speed[rows] += gain_speed * residual
        self._var_speed[rows] -= gain_speed * self._covar[rows]
        self._covar[rows] *= 1 - gain_mean
        self._var_mean[rows] *= 1 - gain_mean

    def boxes(self) -> _Array:
        """Corners x1, y1, x2, y2 (N, 4) of the boxes as they are believed to be."""
        half = self.mean[:, 2:] / 2
        return np.concatenate([self.mean[:, :2] - half, self.mean[:, :2] + half], axis=1)

    def _noise(self, rows: npt.NDArray[np.intp]) -> _Array:
        return np.asarray((box_scale(self.mean[rows])[:, None] * _MEASURED) ** 2)

"""A pinhole camera over a flat ground.

The world: x along the road, y up, z across the road and away from the camera, in metres; the camera stands over
x = z = 0. The picture: x to the right, y downwards, in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

__all__ = ["Projection", "Viewpoint"]

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """How a camera hangs: height in metres, angles in degrees, focal length in picture heights.

    Parameters
    ----------
    height : float
        Above the ground, metres.
    pitch : float
        Degrees below the horizon.
    yaw : float
        Degrees from looking straight across the road; positive turns to the right, along the road.
    roll : float
        Degrees, clockwise.
    focal : float
        Focal length divided by the picture's height.
    """

    height: float
    pitch: float
    yaw: float
    roll: float = 0.0
    focal: float = 1.2

    def moved(self, yaw: float, pitch: float) -> Viewpoint:
        """The same camera after somebody knocked against it."""
        return replace(self, yaw=self.yaw + yaw, pitch=self.pitch + pitch)


class Projection:
    """World points to pixels for one viewpoint and one picture size.

    Examples
    --------
    A point on the optical axis lies in the middle of the picture:

    >>> import numpy as np
    >>> view = Projection(Viewpoint(height=10, pitch=45, yaw=0), 320, 240)
    >>> pixels, depth = view.project(np.array([[0.0, 0.0, 10.0]]))
    >>> pixels.round(6).tolist(), round(float(depth[0]), 3)
    ([[160.0, 120.0]], 14.142)
    """

    def __init__(self, viewpoint: Viewpoint, width: int, height: int) -> None:
        self.viewpoint, self.width, self.height = viewpoint, width, height
        pitch, yaw, roll = (math.radians(a) for a in (viewpoint.pitch, viewpoint.yaw, viewpoint.roll))
        forward = np.array([math.sin(yaw) * math.cos(pitch), -math.sin(pitch), math.cos(yaw) * math.cos(pitch)])
        right = np.array([math.cos(yaw), 0.0, -math.sin(yaw)])
        up = np.array([math.sin(yaw) * math.sin(pitch), math.cos(pitch), math.cos(yaw) * math.sin(pitch)])
        self.right = math.cos(roll) * right + math.sin(roll) * up
        self.up = math.cos(roll) * up - math.sin(roll) * right
        self.forward = forward
        self.position = np.array([0.0, viewpoint.height, 0.0])
        self.focal = viewpoint.focal * height
        self._axes = np.stack([self.right, self.up, self.forward], axis=1)

    def project(self, points: Points) -> tuple[Points, npt.NDArray[np.float64]]:
        """Pixels (N, 2) and depths along the optical axis (N,), metres, of world points (N, 3).

        A depth of zero or less lies behind the camera; its pixel means nothing.
        """
        local = (points - self.position) @ self._axes
        depth = local[:, 2]
        safe = np.where(depth > 1e-3, depth, 1e-3)
        pixels = np.empty((len(points), 2))
        pixels[:, 0] = self.width / 2 + self.focal * local[:, 0] / safe
        pixels[:, 1] = self.height / 2 - self.focal * local[:, 1] / safe
        return pixels, depth

    def ground(self, x: float, z: float) -> tuple[float, float]:
        """The pixel of a point on the ground."""
        pixels, _ = self.project(np.array([[x, 0.0, z]]))
        return float(pixels[0, 0]), float(pixels[0, 1])

    def rays(self) -> Points:
        """Directions (H, W, 3) through the middles of all pixels; their part along the axis is 1."""
        x = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal
        y = (np.arange(self.height) + 0.5 - self.height / 2) / self.focal
        return (
            self.forward + x[None, :, None] * self.right[None, None, :] - y[:, None, None] * self.up[None, None, :]
        )

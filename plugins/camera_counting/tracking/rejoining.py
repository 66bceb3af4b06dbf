"""Who was lost behind something and is found again on its other side.

A track that was out of sight for long cannot be continued by a single detection: it may be anywhere by then, and
anybody may be there. But once a new track is certain to be an object, it is held against all that were lost: where
each would be if it had walked on at its pace, and how fast the new one goes. It then takes up the identity of the
likeliest, so that what was crossed out of sight counts, and nobody counts twice for having been hidden.

Boxes are compared by the middle of their upper edge: what hides somebody nearly always stands nearer, lower in the
picture, and cuts the lower part off.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from camera_counting.detections import confusable
from camera_counting.tracking.association import assign
from camera_counting.tracking.motion import box_scale
from camera_counting.tracking.population import Population

__all__ = ["rejoin"]

_Rows = npt.NDArray[np.intp]

# How far from where it is expected one may turn up: relative to its size, to its way, and to size and time.
_PLACE, _WAY, _STRAY = 0.35, 0.12, 0.1
# How much the speeds before and after may differ: relative to the speed, and to the size.
_FASTER, _SWAY = 0.25, 0.3
# By how many standard deviations of the new speed.
_BACKWARDS = 0.5
# 99 % of a chi-square variable with four degrees of freedom lies below.
_GATE = 13.3
# Widths may differ by this factor: part of the box may be hidden still.
_WIDER = 2.0
# The likeliest is taken, however unlikely it is among what is allowed.
_ANY = 1e6


def rejoin(tracks: Population, lost: _Rows, found: _Rows, clock: float) -> tuple[_Rows, _Rows]:
    """Rows of the `lost` and of the `found` that are the same object."""
    gap = (clock - tracks.seen[lost])[:, None]
    left, pace = tracks.left[lost], tracks.pace[lost]
    mean, speed = tracks.motion.mean[found], tracks.motion.speed[found]
    size = box_scale(left)[:, None]
    way = np.hypot(pace[:, 0], pace[:, 1])[:, None]
    top, top_now = left[:, 1] - left[:, 3] / 2, mean[:, 1] - mean[:, 3] / 2
    off = np.hypot(
        mean[None, :, 0] - left[:, 0, None] - gap * pace[:, 0, None],
        top_now[None] - top[:, None] - gap * pace[:, 1, None],
    )
    spread = _PLACE * size + (_WAY * way + _STRAY * size) * gap
    unsure = tracks.motion.speed_variance(found)[None, :, :2]
    other = (speed[None, :, :2] - pace[:, None, :2]) ** 2
    changed = (other / (unsure + ((_FASTER * way) ** 2 + (_SWAY * size) ** 2)[:, :, None])).sum(2)
    distance = (off / spread) ** 2 + changed
    # nobody turns round where he can't be seen: a speed against the way is somebody else's, once it is no noise
    along = (speed[None, :, :2] * pace[:, None, :2]).sum(2) / np.maximum(way, 1e-9)
    backwards = along < -_BACKWARDS * np.sqrt(unsure.mean(2))
    ratio = mean[None, :, 2] / np.maximum(left[:, 2, None], 1.0)
    allowed = (distance < _GATE) & ~(backwards & (way > _SWAY * size)) & (ratio < _WIDER) & (ratio > 1 / _WIDER)
    names = [[tracks.names[i] for i in tracks.votes[rows].argmax(1)] for rows in (lost, found)]
    allowed &= np.array([[confusable(a, b) for b in names[1]] for a in names[0]], bool)
    rows, columns = assign(distance + 2 * np.log(spread / size), allowed, _ANY)
    return lost[rows], found[columns]

"""How far the number of those inside a zone is off, over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from counting_evaluator.clip_count import ClipCount
from counting_evaluator.clip_truth import TrueClip
from counting_evaluator.errors import EvaluationError

__all__ = ["occupancy_differences", "sample_frames"]


def sample_frames(frames: int, fps: float) -> npt.NDArray[np.int64]:
    """The frame nearest to each full second of a clip, from the first second on.

    Each frame once, also where frames are further apart. At the very beginning nobody can be known to be inside: a
    track is taken for an object once it was seen in some frames.

    Examples
    --------
    >>> sample_frames(36, 12.5).tolist()
    [12, 25]
    """
    numbers = np.unique(np.round(np.arange(1, int(frames / fps) + 1) * fps).astype(np.int64))
    return numbers[(numbers > 0) & (numbers < frames)]


def occupancy_differences(clip: str, counted: ClipCount, true: TrueClip) -> dict[str, list[int]]:
    """Counted minus true occupancy of every zone at every full second.

    Returns
    -------
    dict of zone to list of int
        Empty where the truth tells of no zone.

    Raises
    ------
    EvaluationError
        Where the truth tells of other zones than the scene's, or of another number of frames than the clip has.

    Examples
    --------
    Of three seconds with two frames each, the second one misses somebody:

    >>> true = TrueClip({}, None, {"room": (0, 0, 1, 1, 2, 2, 2)}, 7, 2.0)
    >>> occupancy_differences("a", ClipCount({}, {}, {"room": (0, 0, 1, 1, 1, 2, 2)}, 7, 3.5), true)
    {'room': [0, -1, 0]}
    """
    zones: Mapping[str, Sequence[int]] = true.occupancy or {}
    if not zones or true.fps is None:
        return {}
    if set(zones) != set(counted.occupancy):
        raise EvaluationError(
            f"clip {clip}: its truth tells of the zones {', '.join(sorted(zones))}, its scene of "
            f"{', '.join(sorted(counted.occupancy)) or 'none'}"
        )
    samples = sample_frames(counted.frames, true.fps)
    return {
        name: (np.array(counted.occupancy[name])[samples] - np.array(inside)[samples]).tolist()
        for name, inside in zones.items()
    }

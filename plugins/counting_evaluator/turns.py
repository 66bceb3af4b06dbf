"""Which of two detectors is faster, measured in turns: what else the machine does then slows both alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from counting_evaluator.paired_bootstrap import paired_difference
from counting_evaluator.passes import Detecting, read_picture
from counting_evaluator.truth import LabelledPicture

__all__ = ["LatencyRatio", "latency_ratio"]


@dataclass(frozen=True, slots=True)
class LatencyRatio:
    """Mine over theirs: 1.3 is thirty percent slower. The interval is of 95 %; nan for a single picture."""

    ratio: float
    low: float
    high: float

    def metrics(self, prefix: str) -> dict[str, float]:
        """``<prefix>/ratio``, ``<prefix>/ratio/low``, ``<prefix>/ratio/high``."""
        figures = {"ratio": self.ratio, "ratio/low": self.low, "ratio/high": self.high}
        return {f"{prefix}/{name}": value for name, value in figures.items() if np.isfinite(value)}


def latency_ratio(
    mine: Detecting, theirs: Detecting, pictures: Sequence[LabelledPicture], *, rounds: int = 8
) -> LatencyRatio:
    """Time both on each picture, one after the other, in alternating order.

    Figures of two evaluations cannot tell this: they were taken at other times, maybe on another machine, and
    differ by more than the models do. Of each picture's rounds the shortest counts, since whatever disturbs a
    measurement makes it longer. A gate had better read the lower end of the interval: above 1 it says that mine is
    slower whatever else the machine did, where the ratio of a busy machine says little.

    Parameters
    ----------
    mine, theirs : Detecting
    pictures : sequence of LabelledPicture
    rounds : int
        How often each picture is detected by each.
    """
    images = [read_picture(picture) for picture in pictures]
    sides = (mine, theirs)
    for model in sides:
        model.detect([images[0]])  # the first call compiles and allocates
    seconds = np.empty((2, rounds, len(images)))
    # Round by round, so that what disturbs one moment does not fall on all the rounds of a picture.
    for turn in range(rounds):
        for place, image in enumerate(images):
            for side in (0, 1) if (place + turn) % 2 else (1, 0):
                start = time.perf_counter()
                sides[side].detect([image])
                seconds[side, turn, place] = time.perf_counter() - start
    best = seconds.min(axis=1)
    # The mean of logarithms is that of ratios: one slow picture weighs no more than another.
    gap = paired_difference(np.log(best[0]), np.log(best[1]))
    return LatencyRatio(float(np.exp(gap.value)), float(np.exp(gap.low)), float(np.exp(gap.high)))

"""How long detectors take for one picture, by turns: what else the machine does then strikes them all alike."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from camera_counting.detectors import Detector

__all__ = ["Latency", "time_by_turns"]

_RESAMPLINGS = 1000


@dataclass(frozen=True, slots=True)
class Latency:
    """A detector's time for one picture, and how it compares with the first one's.

    Parameters
    ----------
    p50_ms, p95_ms : float
    ratio : float
        Median over the turns of its time / the first one's in the same turn; below 1 is faster.
    ratio_low, ratio_high : float
        95 % of the medians of resampled turns lie between them.
    """

    p50_ms: float
    p95_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float


def time_by_turns(
    detectors: Mapping[str, Detector], pictures: Sequence[npt.NDArray[np.uint8]], rounds: int, seed: int
) -> dict[str, Latency]:
    """Time detectors on the same pictures, one picture at a time, each picture with one after the other.

    Parameters
    ----------
    detectors : mapping
        By name; the first one is what the others are compared with.
    pictures : sequence of uint8 arrays of shape (H, W, 3)
        RGB, decoded.
    rounds : int
        How often each picture is shown.
    seed : int
        Of the order within each turn, and of the resampling.
    """
    names = list(detectors)
    for detector in detectors.values():
        for picture in pictures[:3]:  # the first ones allocate
            detector.detect([picture])
    seconds: dict[str, list[float]] = {name: [] for name in names}
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        for picture in pictures:
            # who comes after whom changes, for the caches are what the one before has left
            for number in rng.permutation(len(names)):
                began = time.perf_counter()
                detectors[names[number]].detect([picture])
                seconds[names[number]].append(time.perf_counter() - began)
    first = np.array(seconds[names[0]])
    return {name: _latency(np.array(taken), first, seed) for name, taken in seconds.items()}


def _latency(taken: npt.NDArray[np.float64], first: npt.NDArray[np.float64], seed: int) -> Latency:
    ratios = taken / first
    drawn = np.random.default_rng(seed).integers(0, len(ratios), (_RESAMPLINGS, len(ratios)))
    low, high = np.quantile(np.median(ratios[drawn], axis=1), [0.025, 0.975])
    return Latency(
        float(np.median(taken)) * 1000,
        float(np.quantile(taken, 0.95)) * 1000,
        float(np.median(ratios)),
        float(low),
        float(high),
    )

"""Two models compared sample by sample: a bootstrap of the mean difference. Pure: tables in, an interval out.

The samples that both were measured on are drawn anew, with replacement, and each draw keeps both values of a
sample together (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13: percentile interval).
Samples that belong together are drawn as wholes, as in the cluster bootstrap of Field and Welsh (2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_governance.samples import Samples

__all__ = ["PairedDifference", "paired_difference"]

_DRAWS_AT_ONCE = 1 << 21


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Mean of mine minus theirs, over the samples that both have.

    Attributes
    ----------
    low, high : float
        Bounds of the two-sided interval.
    pairs : int
        Samples that both have.
    units : int
        What was drawn: the pairs, or the groups that they belong to.
    """

    difference: float
    low: float
    high: float
    mine: float
    theirs: float
    pairs: int
    units: int


def paired_difference(
    mine: Samples, theirs: Samples, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> PairedDifference:
    """Compare two models on the samples that both were measured on.

    Parameters
    ----------
    mine, theirs : Samples
        Each with distinct keys.
    confidence : float
        Of the two-sided interval.

    Raises
    ------
    ValueError
        Where no sample is in both.

    Examples
    --------
    >>> one = Samples(keys=("a", "b", "c"), values=(1.0, 2.0, 3.0))
    >>> two = Samples(keys=("c", "b", "a"), values=(2.0, 1.0, 0.0))
    >>> found = paired_difference(one, two)
    >>> (found.difference, found.low, found.high)  # each is worse by exactly one
    (1.0, 1.0, 1.0)
    """
    other = dict(zip(theirs.keys, theirs.values, strict=True))
    shared = [index for index, key in enumerate(mine.keys) if key in other]
    if not shared:
        raise ValueError("no sample is in both tables")
    a = np.array([mine.values[index] for index in shared])
    b = np.array([other[mine.keys[index]] for index in shared])
    groups = [mine.groups[index] for index in shared] if mine.groups is not None else shared
    sums, sizes = _by_group(a - b, groups)
    means = _resampled(sums, sizes, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return PairedDifference(
        difference=float((a - b).mean()),
        low=float(low),
        high=float(high),
        mine=float(a.mean()),
        theirs=float(b.mean()),
        pairs=len(shared),
        units=len(sums),
    )


def _by_group(
    differences: npt.NDArray[np.float64], groups: Sequence[str] | Sequence[int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum of the differences and number of samples of each group."""
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    return np.bincount(index, weights=differences).astype(np.float64), np.bincount(index).astype(np.float64)


def _resampled(
    sums: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64], resamples: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """The mean difference of every draw, shape (resamples,); in parts, so that memory stays flat."""
    means = np.empty(resamples)
    step = max(1, _DRAWS_AT_ONCE // len(sums))
    for start in range(0, resamples, step):
        drawn = rng.integers(len(sums), size=(min(step, resamples - start), len(sums)))
        means[start : start + len(drawn)] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return means

"""Whether one model errs less than another on the same pictures, or was only lucky with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special  # what scipy.stats would ask, without the second that its import takes

from counting_evaluator.errors import EvaluationError

__all__ = ["Difference", "paired_difference"]

_AT_ONCE = 4_000_000  # drawn numbers in memory


@dataclass(frozen=True, slots=True)
class Difference:
    """Mine minus theirs.

    Parameters
    ----------
    mine, theirs : float
        The figure of each.
    low, high : float
        Between these the true difference lies, at the stated confidence; nan where nothing tells (one witness).
    p : float
        How likely a difference of this size, either way, is between equal models; nan likewise.
    n : int
        Witnesses: pictures, or clips where frames of one clip were drawn together.
    """

    mine: float
    theirs: float
    low: float
    high: float
    p: float
    n: int

    @property
    def value(self) -> float:
        return self.mine - self.theirs

    def metrics(self, prefix: str) -> dict[str, float]:
        """``<prefix>/difference``, ``/low``, ``/high``, ``/p``, ``/n``, ``/theirs``, but for what is not known."""
        figures = {"difference": self.value, "low": self.low, "high": self.high, "p": self.p}
        figures |= {"n": float(self.n), "theirs": self.theirs}
        return {f"{prefix}/{name}": value for name, value in figures.items() if np.isfinite(value)}


def paired_difference(
    mine: npt.ArrayLike,
    theirs: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 5000,
    seed: int = 0,
) -> Difference:
    """The difference of two means over the same things, with its interval by the paired bootstrap.

    Each resample draws as many witnesses as there are, with replacement, and takes both models' errors of each, so
    that what is hard for both cancels out. The interval holds the expanded percentiles of the resampled
    differences, which make up for the narrowness of plain ones where witnesses are few: the quantiles are those
    of the normal distribution at t * sqrt(n / (n - 1)). The p value is the least significance level whose interval
    leaves zero out.

    Source: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 16; Hesterberg, "What
    Teachers Should Know About the Bootstrap", The American Statistician 2015, section 5.2.

    Parameters
    ----------
    mine, theirs : float arrays (n,)
        Errors of the two models, of the same things in the same order.
    weights : float array (n,), optional
        What they are divided by: the figure is sum(errors) / sum(weights). All one for a mean.
    groups : array (n,), optional
        Things of one group are drawn together: frames of one clip are no independent witnesses.
    confidence : float
        Of the interval, two-sided.
    resamples : int
    seed : int

    Raises
    ------
    EvaluationError
        Where the arrays do not fit together, or there is nothing to divide by.

    Examples
    --------
    >>> found = paired_difference([1, 2, 0, 3, 1, 2, 0, 2], [1, 1, 0, 1, 0, 1, 0, 1])
    >>> found.value, found.low > 0, found.p < 0.05
    (0.75, True, True)
    >>> same = paired_difference([1, 2, 0], [1, 2, 0])
    >>> same.low, same.high, same.p
    (0.0, 0.0, 1.0)
    """
    ours, others = np.asarray(mine, np.float64), np.asarray(theirs, np.float64)
    share = np.ones(ours.shape) if weights is None else np.asarray(weights, np.float64)
    if ours.ndim != 1 or not ours.size or ours.shape != others.shape or ours.shape != share.shape:
        raise EvaluationError(
            "expected errors of two models on the same things, got arrays of the shapes "
            f"{ours.shape}, {others.shape} and {share.shape}"
        )
    if not np.isfinite([ours, others, share]).all() or (share < 0).any() or not share.sum() > 0:
        raise EvaluationError("expected finite errors, and weights of at least 0 of which one is above it")
    gaps = ours - others
    if groups is not None:
        _, numbers = np.unique(np.asarray(groups), return_inverse=True)
        gaps, summed = (np.asarray(np.bincount(numbers, each), np.float64) for each in (gaps, share))
    else:
        summed = share
    low, high, p = _interval(gaps, summed, confidence, resamples, seed)
    total = float(share.sum())
    return Difference(float(ours.sum()) / total, float(others.sum()) / total, low, high, p, len(gaps))


def _interval(
    gaps: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[float, float, float]:
    n = len(gaps)
    if n < 2:
        return float("nan"), float("nan"), float("nan")
    drawn = _resample(gaps, weights, resamples, seed)
    stretch = np.sqrt(n / (n - 1))
    tail = float(special.ndtr(stretch * special.stdtrit(n - 1, (1 - confidence) / 2)))
    low, high = np.quantile(drawn, (tail, 1 - tail))
    # One more than were drawn, as for any p value by simulation: none is ever 0.
    beyond = min(int((drawn <= 0).sum()), int((drawn >= 0).sum())) + 1
    share = min(0.5, beyond / (len(drawn) + 1))
    p = min(1.0, 2 * float(special.stdtr(n - 1, special.ndtri(share) / stretch)))
    return float(low), float(high), p


def _resample(
    gaps: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], resamples: int, seed: int
) -> npt.NDArray[np.float64]:
    """Resampled differences; a resample of which all weights are zero says nothing and is left out."""
    rng = np.random.default_rng(seed)
    n, parts = len(gaps), []
    for begin in range(0, resamples, rows := max(1, _AT_ONCE // n)):
        chosen = rng.integers(0, n, (min(rows, resamples - begin), n))
        tops, bottoms = gaps[chosen].sum(axis=1), weights[chosen].sum(axis=1)
        parts.append(tops[bottoms > 0] / bottoms[bottoms > 0])
    return np.concatenate(parts)

"""How far apart two spans of one column may lie by chance, learnt from the reference itself.

Rows of a camera are alike from one to the next, so the usual tests, which take rows for independent, raise alarms
where nothing changed (on AR(1) rows with coefficient 0.95, Wasserstein at its default threshold does so nine times
out of ten). Here the reference is cut into windows of consecutive rows; windows drawn from it play the current
span, the others the reference; their scores are what chance alone does, at the current span's length and with the
rows' own likeness in them. It is the moving-block idea (Künsch 1989, "The jackknife and the bootstrap for general
stationary observations") with leave-one-window-out as its case of one drawn window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.stats import wasserstein_distance

__all__ = ["Windows", "correlation_time", "null_scores", "plan_windows", "score", "threshold"]

Values = npt.NDArray[np.float64]

_WANTED_WINDOWS = 20
_FEWEST_WINDOWS = 8
_DRAWS = 200
_GRID = 513


@dataclass(frozen=True, slots=True)
class Windows:
    """How the reference is cut.

    Attributes
    ----------
    length : int
        Rows of one window.
    count : int
        Windows in the reference.
    drawn : int
        Windows that together stand for the current span.
    """

    length: int
    count: int
    drawn: int


def score(reference: Values, current: Values) -> float:
    """First Wasserstein distance of two samples, in standard deviations of the reference.

    The same number as Evidently's method ``wasserstein``.

    Examples
    --------
    >>> score(np.array([0.0, 2.0]), np.array([1.0, 3.0]))
    1.0
    """
    return float(wasserstein_distance(reference, current) / max(float(np.std(reference)), 0.001))


def correlation_time(values: Values) -> float:
    """Rows after which a new one tells something new: 1 for independent rows, (1 + r) / (1 - r) for AR(1).

    The integrated autocorrelation time, summed up to the first lag whose correlation is lost in the noise.
    """
    n = len(values)
    centred = values - values.mean()
    spectrum = np.fft.rfft(centred, 2 * n)
    correlation = np.fft.irfft(spectrum * np.conj(spectrum))[:n]
    if correlation[0] <= 0:
        return 1.0
    correlation = correlation / correlation[0]
    noise = correlation < max(0.05, 2 / np.sqrt(n))
    end = int(np.argmax(noise)) if noise.any() else n
    return float(1 + 2 * correlation[1:end].sum())


def plan_windows(reference: Values, current_rows: int) -> Windows | None:
    """Cut the reference so that a window is no longer than the current span and longer than the rows' likeness.

    None where the reference is too short for that: then nothing can be judged.
    """
    rows = len(reference)
    length = min(current_rows, rows // _WANTED_WINDOWS)
    length = max(length, min(current_rows, int(np.ceil(2 * correlation_time(reference)))), 5)
    count = rows // length
    if count < _FEWEST_WINDOWS:
        return None
    return Windows(length, count, max(1, min(current_rows // length, count // 2)))


def null_scores(reference: Values, windows: Windows, seed: int = 0) -> Values:
    """Scores of windows drawn from the reference against its other windows: what happens without any drift.

    Deterministic for a seed. Distances are taken on a grid of the reference's quantiles, which makes them cost the
    same for a hundred rows and for a million.
    """
    rng = np.random.default_rng(seed)
    blocks = reference[: windows.count * windows.length].reshape(windows.count, windows.length)
    grid = np.unique(np.quantile(reference, np.linspace(0, 1, _GRID)))
    below = np.stack([np.searchsorted(np.sort(block), grid[:-1], side="right") for block in blocks])
    shares, total = below / windows.length, below.sum(axis=0) / windows.length
    if windows.drawn == 1:
        chosen = np.eye(windows.count)
    else:
        order = np.argsort(rng.random((_DRAWS, windows.count)), axis=1)
        chosen = (order < windows.drawn).astype(np.float64)
    drawn = chosen @ shares
    rest = (total - drawn) / (windows.count - windows.drawn)
    distances = np.abs(drawn / windows.drawn - rest) @ np.diff(grid)
    return np.asarray(distances / max(float(np.std(reference)), 0.001))


def threshold(null: Values, windows: Windows, false_alarms: float) -> float:
    """The score that chance alone exceeds in at most a share `false_alarms` of cases.

    Mean plus so many standard deviations of the null scores (three for 0.4 % of 20 windows), where "so many"
    follows from the number of windows that the spread was learnt from (Student) and from the scores' skew:
    log-normal where few windows stand for the current span, gamma where many do.
    """
    quantile = stats.t.ppf(1 - false_alarms, windows.count - 1)
    if windows.drawn < 4:
        # A single new window beside the mean of `count` old ones.
        spread = np.sqrt(1 + 1 / windows.count) if windows.drawn == 1 else 1.0
        logs = np.log(np.maximum(null, 1e-6))
        return float(np.exp(logs.mean() + quantile * spread * logs.std(ddof=1)))
    mean = null.mean()
    variance = (null.std(ddof=1) * quantile / stats.norm.ppf(1 - false_alarms)) ** 2
    return float(stats.gamma.ppf(1 - false_alarms, mean**2 / variance, scale=variance / mean))

"""How far apart two spans of one column may lie by chance, learnt from the reference itself.

Rows of a camera are alike from one to the next, so the usual tests, which take rows for independent, raise alarms
where nothing changed (on AR(1) rows with coefficient 0.95, Wasserstein at its default threshold does so nine times
out of ten). Here the reference is cut into windows of time; windows drawn from it play the current span, the
others the reference; their scores are what chance alone does, in the current span's duration and with the rows'
own likeness in them. It is the moving-block idea (Künsch 1989, "The jackknife and the bootstrap for general
stationary observations") with leave-one-window-out as its case of one drawn window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.stats import wasserstein_distance

from pipelines.drift.spans import spacing

__all__ = ["Windows", "correlation_time", "null_scores", "plan_windows", "score", "threshold"]

Values = npt.NDArray[np.float64]

_WANTED_WINDOWS = 20
_FEWEST_WINDOWS = 8
_FEWEST_ROWS = 5
_FROM_DRAWS = 12
_DRAWS = 200
_GRID = 513


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """How the reference is cut.

    Attributes
    ----------
    seconds : float
        Duration of one window.
    count : int
        Windows of the reference that are full enough to be used.
    drawn : int
        Windows that together stand for the current span.
    independent : int
        Windows that tell something new; fewer than `count` where rows are alike for longer than a window.
    widening : float
        What scores of windows drawn here and there fall short of those of one long window, as a factor: rows at
        the ends of neighbouring windows are alike, too, and 1 - T / 2L of the variance is left in a window of
        length L where T is the correlation time.
    of_row : int array (rows,)
        Number of each row's window; -1 for rows of none.
    """

    seconds: float
    count: int
    drawn: int
    independent: int
    widening: float
    of_row: npt.NDArray[np.int64]


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


def plan_windows(times: Values, values: Values, current_rows: int, current_seconds: float) -> Windows | None:
    """Cut the reference into windows of the current span's duration, or of an even part of it.

    A part where the reference holds fewer than eight such durations; but never one so short that its rows are
    alike from end to end. None where the reference is too short for that: then nothing can be judged.

    Parameters
    ----------
    times, values : array (rows,)
        The reference, in the order of time; times in seconds.
    current_rows, current_seconds : int, float
        Size of the current span. A span with fewer rows than the reference has in that time counts as a shorter
        one, so that windows never hold more rows than it does.
    """
    rows, gap = len(times), spacing(times)
    if gap <= 0:
        return None
    whole, alike = rows * gap, 2 * correlation_time(values) * gap
    span = min(current_seconds, current_rows * gap)
    parts = 1 if whole >= _FEWEST_WINDOWS * span else int(np.ceil(_WANTED_WINDOWS * span / whole - 1e-9))
    parts = max(1, min(parts, int(span / max(alike, _FEWEST_ROWS * gap))))
    seconds = span / parts
    numbers = ((times - times[0]) / seconds + 1e-9).astype(np.int64)
    sizes = np.bincount(numbers)[: int(whole / seconds + 1e-9)]
    # Where the camera was silent, a window of few rows would say what few rows do.
    full = np.flatnonzero(sizes >= max(_FEWEST_ROWS, 0.5 * np.median(sizes[sizes > 0]))) if len(sizes) else sizes
    independent = min(len(full), int(len(full) * seconds / max(seconds, alike)))
    if independent < _FEWEST_WINDOWS:
        return None
    renumbered = np.full(int(numbers.max()) + 1, -1)
    renumbered[full] = np.arange(len(full))
    drawn = max(1, min(parts, len(full) // 2))
    if 1 < drawn < len(full) / 3:
        # Draws share windows, and their spread is known less well than that of so many windows; 12 keeps false
        # alarms to the budget on AR(1) rows of any likeness. Where half of the windows are drawn, the others are
        # so few that the scores are too large rather than too small.
        independent = min(independent, _FROM_DRAWS)
    left, whole_left = (1 - alike / (4 * length) for length in (seconds, span))
    widening = float(np.sqrt(whole_left / left)) if parts > 1 else 1.0
    return Windows(seconds, len(full), drawn, independent, widening, renumbered[numbers])


def null_scores(reference: Values, windows: Windows, seed: int = 0) -> Values:
    """Scores of windows drawn from the reference against its other windows: what happens without any drift.

    Deterministic for a seed. Distances are taken on a grid of the reference's quantiles, which makes them cost the
    same for a hundred rows and for a million.
    """
    rng = np.random.default_rng(seed)
    grid = np.unique(np.quantile(reference, np.linspace(0, 1, _GRID)))
    order = np.argsort(windows.of_row, kind="stable")
    sizes = np.bincount(windows.of_row + 1, minlength=windows.count + 1)
    _, *blocks = np.split(reference[order], np.cumsum(sizes)[:-1])
    rows = sizes[1:, None].astype(np.float64)
    below = np.stack([np.searchsorted(np.sort(block), grid[:-1], side="right") for block in blocks]).astype(float)
    drawn_below, drawn_rows = below, rows
    if windows.drawn > 1:
        ranks = np.argsort(rng.random((_DRAWS, windows.count)), axis=1)
        chosen = (ranks < windows.drawn).astype(np.float64)
        drawn_below, drawn_rows = chosen @ below, chosen @ rows
    rest = (below.sum(axis=0) - drawn_below) / (rows.sum() - drawn_rows)
    distances = np.abs(drawn_below / drawn_rows - rest) @ np.diff(grid)
    return np.asarray(windows.widening * distances / max(float(np.std(reference)), 0.001))


def threshold(null: Values, windows: Windows, false_alarms: float) -> float:
    """The score that chance alone exceeds in at most a share `false_alarms` of cases.

    Mean plus so many standard deviations of the null scores (three for 0.4 % of 20 windows), where "so many"
    follows from the number of windows that the spread was learnt from (Student) and from the scores' skew:
    log-normal where few windows stand for the current span, gamma where many do.
    """
    quantile = stats.t.ppf(1 - false_alarms, windows.independent - 1)
    if windows.drawn < 4:
        # A single new window beside the mean of the old ones.
        spread = np.sqrt(1 + 1 / windows.independent) if windows.drawn == 1 else 1.0
        logs = np.log(np.maximum(null, 1e-6))
        return float(np.exp(logs.mean() + quantile * spread * logs.std(ddof=1)))
    mean = null.mean()
    variance = (null.std(ddof=1) * quantile / stats.norm.ppf(1 - false_alarms)) ** 2
    return float(stats.gamma.ppf(1 - false_alarms, mean**2 / variance, scale=variance / mean))

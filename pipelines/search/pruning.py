"""Which trials are not worth going on with: a median rule that knows what a trial costs.

Optuna prunes only studies of one objective. Here there are two, count error and latency, and a trial that sees
less than the others may still be the best of its speed. So a trial is held against those alone that are no slower
than it is: it ends where it sees less than half of them did after as many epochs. Latency does not depend on what
a network has learnt, so it is measured after the first epoch already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Progress", "reason_to_stop"]

# Latencies that differ by less are the same: two measurements of one network do.
_SAME_LATENCY = 1.05


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a trial has come.

    Parameters
    ----------
    curve : tuple of float
        After each epoch its ``val/map50_95``, the best so far: what every trainer reports while it trains. Count
        errors exist only once the confidence has been chosen, at the end.
    latency_ms : float or None
        Median time of one picture; None before it was measured.
    """

    curve: tuple[float, ...]
    latency_ms: float | None


def reason_to_stop(
    mine: Progress,
    others: Sequence[Progress],
    *,
    warmup: int,
    startup: int,
    latency_limit_ms: float | None = None,
) -> str | None:
    """Why a trial should end now, for a person; None where it should go on.

    The median rule of Golovin et al., Google Vizier (KDD 2017), among the trials that are no slower.

    Parameters
    ----------
    mine, others : Progress
        Of this trial, and of the study's others, finished or not.
    warmup : int
        Epochs of which nothing is concluded.
    startup : int
        How many others must have come as far.
    latency_limit_ms : float, optional
        What no trial may take.

    Examples
    --------
    >>> seen = [Progress((0.2, 0.4), 10.0), Progress((0.2, 0.5), 12.0), Progress((0.3, 0.6), 9.0)]
    >>> reason_to_stop(Progress((0.1, 0.3), 30.0), seen, warmup=1, startup=3)
    'after 2 epochs val/map50_95 is 0.300, the median of 3 trials that are no slower is 0.500'
    >>> reason_to_stop(Progress((0.1, 0.3), 5.0), seen, warmup=1, startup=3) is None  # nobody is as fast
    True
    """
    if mine.latency_ms is None:
        return None
    if latency_limit_ms is not None and mine.latency_ms > latency_limit_ms:
        return f"a picture takes {mine.latency_ms:.1f} ms, at most {latency_limit_ms:g} are allowed"
    epochs = len(mine.curve)
    if epochs <= warmup:
        return None
    level = [
        other.curve[epochs - 1]
        for other in others
        if other.latency_ms is not None
        and other.latency_ms <= mine.latency_ms * _SAME_LATENCY
        and len(other.curve) >= epochs
    ]
    if len(level) < startup or mine.curve[-1] >= median(level):
        return None
    return (
        f"after {epochs} epochs val/map50_95 is {mine.curve[-1]:.3f}, the median of {len(level)} trials that are "
        f"no slower is {median(level):.3f}"
    )

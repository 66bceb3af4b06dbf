"""Words that rows of a verdict share."""

from __future__ import annotations

import re
from datetime import datetime

from model_governance.evidence import Measured

__all__ = ["days_since", "listed", "number", "shortened", "shortfall"]

_SLICE = re.compile(r"slice/(?P<of>[^/]+)/(?P<value>[^/]+)/(?P<metric>.+)")
_BOUND = re.compile(r"(?P<word>at most|at least) (?P<limit>[-+\d.einf]+)(?P<beside> \(champion [^)]*\))?")
_GOT = re.compile(r"[-+\d.einf]+")


def shortened(value: str | None) -> str:
    """A digest of 64 letters says no more than its beginning, and breaks every table."""
    if value is None:
        return "not recorded"
    return repr(value if len(value) <= 40 else value[:16] + "…")


def number(measured: Measured | None) -> str:
    """A value, or that there is none."""
    return "not measured" if measured is None else f"{measured.value:.6g}"


def listed(names: list[str], otherwise: str) -> str:
    """The first five, and how many there are beside them."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more if names else otherwise


def days_since(milliseconds: int, now: datetime) -> float:
    """Days from a time (ms since the epoch, UTC) until now."""
    return (now.timestamp() - milliseconds / 1000) / 86400


def shortfall(gate: str, expected: str, got: str) -> str | None:
    """What a figure lacks and where, in a few words; None of a row that is no figure beyond a bound.

    Examples
    --------
    >>> shortfall("slice/camera/gate-3/count/mae", "at most 1.5", "1.9 (240 samples)")
    'count/mae 1.9 is above 1.5 on slice camera=gate-3'
    >>> shortfall("accuracy against the champion", "at least 0.92 (champion 0.93)", "0.9")
    'accuracy 0.9 is below 0.92 (champion 0.93)'
    >>> shortfall("accuracy", "at least 0.9", "not measured") is None
    True
    """
    bound, value = _BOUND.fullmatch(expected), got.split(" (")[0]
    if bound is None or _GOT.fullmatch(value) is None:
        return None
    place = _SLICE.fullmatch(gate)
    where = f" on slice {place['of']}={place['value']}" if place else ""
    metric = place["metric"] if place else gate.removesuffix(" against the champion")
    side = "above" if bound["word"] == "at most" else "below"
    return f"{metric} {value} is {side} {bound['limit']}{bound['beside'] or ''}{where}"

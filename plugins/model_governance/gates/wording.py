"""Words that rows of a verdict share."""

from __future__ import annotations

from datetime import datetime

from model_governance.evidence import Measured

__all__ = ["days_since", "listed", "number", "shortened"]


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

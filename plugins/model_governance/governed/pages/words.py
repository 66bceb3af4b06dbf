"""How values read on a page."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["FILTERS"]

_LONGEST_STATE, _LONGEST_DETAIL = 80, 240
_WHO = {"champion", "previous", "challenger"}  # and the alias `serving`, which older entries do not tell
_VERDICTS = {
    "approve": "approved",
    "reject": "rejected",
    "changes": "asked for changes",
    "reopen": "opened the review again",
}


def figure(value: float | None) -> str:
    """A metric with four digits; a dash where there is none.

    Examples
    --------
    >>> figure(0.51237), figure(None)
    ('0.5124', '–')
    """
    return "–" if value is None else f"{value:.4g}"


def difference(mine: float | None, theirs: float | None) -> str:
    """This version's less the champion's, with its sign.

    Examples
    --------
    >>> difference(0.5, 0.75), difference(0.5, None)
    ('-0.25', '')
    """
    if mine is None or theirs is None or not math.isfinite(mine - theirs):
        return ""
    return f"{mine - theirs:+.3g}" if mine != theirs else "0"


def when(value: datetime | None) -> str:
    """A time as a person reads it, in UTC.

    Examples
    --------
    >>> when(datetime(2026, 11, 3, 9, 5, tzinfo=UTC))
    '2026-11-03 09:05 UTC'
    """
    return "never" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def said(verdict: str) -> str:
    """A verdict as a past: ``approve`` is ``approved``."""
    return _VERDICTS.get(verdict, verdict)


def short(digest: str | None) -> str:
    """The first twelve characters of a digest."""
    return (digest or "")[:12]


def state(text: str | None) -> str:
    """What the audit says of a state: a standing as words, anything else as it is, not too long.

    Examples
    --------
    >>> state('{"champion": "2", "previous": "1", "challenger": null, "serving": null}'), state("Staging")
    ('champion 2, previous 1', 'Staging')
    >>> state('{"champion": null, "previous": null, "challenger": null}'), state(None)
    ('–', '–')
    """
    try:
        standing = json.loads(text or "null")
    except ValueError:
        standing = None
    if isinstance(standing, dict) and standing.keys() - {"serving"} == _WHO:
        text = ", ".join(f"{who} {number}" for who, number in standing.items() if number is not None)
    text = text or "–"
    return text if len(text) <= _LONGEST_STATE else f"{text[: _LONGEST_STATE - 1]}…"


def details(detail: Mapping[str, Any]) -> str:
    """What else an entry of the audit tells, on one line.

    Examples
    --------
    >>> details({"user": "ann", "approved by": ["rita", "rob"], "tags": {"gates": "passed"}, "nothing": None})
    'user: ann; approved by: rita, rob; tags: gates'
    """
    told = []
    for key, value in detail.items():
        words = ", ".join(map(str, value)) if isinstance(value, list | dict) else value
        if words not in (None, ""):
            told.append(f"{key}: {words}")
    text = "; ".join(told)
    return text if len(text) <= _LONGEST_DETAIL else f"{text[: _LONGEST_DETAIL - 1]}…"


def plain(word: str) -> str:
    """A role or action without underscores."""
    return word.replace("_", " ")


FILTERS: dict[str, Callable[..., Any]] = {
    "figure": figure,
    "less": difference,
    "when": when,
    "said": said,
    "short": short,
    "plain": plain,
    "state": state,
    "details": details,
    "shell": shlex.quote,
}
"""The filters of the templates."""

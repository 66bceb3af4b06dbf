"""The text of an error, as it may leave the server."""

from __future__ import annotations

import re

__all__ = ["without_payload"]

_MAX_MESSAGE = 1000


def without_payload(text: str) -> str:
    """The text of an error without anything that could be part of a picture, and not longer than a person reads.

    Examples
    --------
    >>> without_payload("row 0: got " + "QUJD" * 50)
    'row 0: got QUJDQU…'
    """
    return re.sub(r"[A-Za-z0-9+/=_-]{25,}", _shortened, text)[:_MAX_MESSAGE]


def _shortened(found: re.Match[str]) -> str:
    # the name of a setting, which an error tells to change, is in capitals and has what base64 has not
    return found[0] if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", found[0]) else found[0][:6] + "…"

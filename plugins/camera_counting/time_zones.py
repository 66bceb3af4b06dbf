"""Time zones by name, and the times that a clock in one shows."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

__all__ = ["local_time", "time_zone"]


def time_zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name.

    Raises
    ------
    ValueError
        Where there is none, in a sentence that names those that are meant, perhaps.

    Examples
    --------
    >>> time_zone("europe/berlin")
    Traceback (most recent call last):
    ValueError: expected a time zone's IANA name, as Europe/Berlin; there is no 'europe/berlin' (Europe/Berlin?)
    """
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # a folder, a way out of the folder, nothing at all
        folded = {known.casefold(): known for known in available_timezones()}
        near = get_close_matches(name.casefold(), folded, n=1)
        guess = f" ({folded[near[0]]}?)" if near else ""
        raise ValueError(
            f"expected a time zone's IANA name, as Europe/Berlin; there is no {name!r:.80}{guess}"
        ) from None


def local_time(naive: datetime, zone: tzinfo) -> datetime:
    """A time that a clock of `zone` shows, with its offset.

    Raises
    ------
    ValueError
        Where that clock never shows it, or twice: the day on which it is put forward or back.
    """
    times = [naive.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
    if times[0].utcoffset() == times[1].utcoffset():
        return times[0]
    shown = times[0].astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    often = "twice" if shown == naive else "never"
    raise ValueError(
        f"the clock of {zone} shows {naive.isoformat(timespec='minutes')} {often}; state it with an offset, as "
        f"{times[0].isoformat(timespec='minutes')}"
    )

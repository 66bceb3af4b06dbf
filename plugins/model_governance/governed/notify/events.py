"""Which entries of the audit log people are told of, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

__all__ = ["EVENTS", "Event", "event_of"]

Event = Literal[
    "submitted", "approved", "rejected", "changes_requested", "reopened", "promoted", "rolled_back", "archived",
    "broke_glass", "refused", "role_granted", "role_withdrawn",
]  # fmt: skip

EVENTS: tuple[Event, ...] = get_args(Event)

_DONE: dict[str, Event] = {
    "challenge": "submitted",
    "approve": "approved",
    "reject": "rejected",
    "changes": "changes_requested",
    "reopen": "reopened",
    "promote": "promoted",
    "rollback": "rolled_back",
    "archive": "archived",
    "break glass": "broke_glass",
    "grant": "role_granted",
    "withdraw role": "role_withdrawn",
}


def event_of(values: Mapping[str, Any]) -> Event | None:
    """What an entry is an event of; None for what nobody is told of.

    Of refusals those are told that somebody with a log-in met at a model or at roles, and those of whoever opened
    the registry past the server. A browser that has not logged in yet is no news.

    Parameters
    ----------
    values : mapping
        The columns of the entry.

    Examples
    --------
    >>> entry = {"actor": "rita", "endpoint": "", "action": "promote", "outcome": "done", "model": "m"}
    >>> event_of(entry), event_of({**entry, "outcome": "refused"}), event_of({**entry, "action": "describe"})
    ('promoted', 'refused', None)
    """
    if values["outcome"] != "refused":
        return _DONE.get(values["action"])
    stranger = not values["actor"] and values["endpoint"]
    about = values["model"] is not None or values["action"] in ("grant", "withdraw role")
    return "refused" if about and not stranger else None

"""Which entries of the audit log people are told of, and in which words."""

from __future__ import annotations

from typing import Literal, get_args

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


def event_of(action: str, outcome: str) -> Event | None:
    """What an entry is an event of; None for what nobody is told of.

    Examples
    --------
    >>> event_of("promote", "done"), event_of("promote", "refused")
    ('promoted', 'refused')
    >>> event_of("describe", "done") is None
    True
    """
    return "refused" if outcome == "refused" else _DONE.get(action)

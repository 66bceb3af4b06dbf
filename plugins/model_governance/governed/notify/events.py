"""Which entries of the audit log people are told of, and in which words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, get_args

__all__ = ["ALARMS", "EVENTS", "Event", "detail_of", "event_of"]

Event = Literal[
    "submitted", "approved", "rejected", "changes_requested", "reopened", "promoted", "rolled_back", "archived",
    "broke_glass", "refused", "role_granted", "role_withdrawn", "access",
]  # fmt: skip

EVENTS: tuple[Event, ...] = get_args(Event)

ALARMS = ("break glass",)
"""Actions of the audit that are told before everything else that waits."""

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


_ACCESS = frozenset(
    {
        "create user", "update user password", "update user admin", "delete user", "make token", "withdraw token",
        "policy", "<lambda>",  # which is what MLflow calls signing up
    }
)  # fmt: skip
_ROLES = frozenset({"grant", "withdraw role"})


def detail_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry says beside its columns; nothing where that was too long to be kept."""
    found = json.loads(values.get("detail") or "{}")
    return found if isinstance(found, dict) else {}


def event_of(values: Mapping[str, Any]) -> Event | None:
    """What an entry is an event of; None for what nobody is told of.

    ``access`` is whatever changes who may be whom: a log-in made, deleted or made an admin, a password set by
    somebody else, a program's token, and another policy than before. Of refusals those are told that somebody with
    a log-in met at a model, at roles or at access, and those of whoever opened the registry past the server. A
    browser that has not logged in yet is no news, and neither is one's own password.

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
    action, access = values["action"], values["action"] in _ACCESS
    if access and _own_affair(values):
        return None
    if values["outcome"] != "refused":
        return "access" if access else _DONE.get(action)
    stranger = not values["actor"] and values["endpoint"]
    about = values["model"] is not None or action in _ROLES or access
    return "refused" if about and not stranger else None


def _own_affair(values: Mapping[str, Any]) -> bool:
    if values["action"] == "policy":
        return values["before"] is None  # the first one that a server has
    return values["action"] == "update user password" and detail_of(values).get("username") == values["actor"]

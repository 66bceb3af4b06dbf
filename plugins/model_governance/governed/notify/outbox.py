"""The outbox: messages that wait, written with the audit entry they tell of, taken and noted one by one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection, case, delete, func, insert, select, update
from sqlalchemy.orm import Session

from model_governance.governed.notify.events import ALARMS, Event, detail_of, event_of
from model_governance.governed.notify.settings import Notify, current_notify
from model_governance.governed.tables import AUDIT, OUTBOX

__all__ = [
    "NEVER", "Message", "Queue", "Waiting", "claim", "due", "due_channels", "enqueue", "forget", "postpone",
    "queues", "retry", "settle",
]  # fmt: skip

NEVER = 2**62
"""When a message is due that was set aside."""

_SAME_REFUSAL_MS = 10 * 60 * 1000
_TOLD = ("role", "purpose", "days", "is_admin", "changed", "why")  # of an entry's detail
_LOOKED_BACK = 500  # entries in which the same refusal is looked for


@dataclass(frozen=True, slots=True)
class Message:
    """What is told, the same in every channel.

    Attributes
    ----------
    id : str
        Of this event for good: whoever gets it twice knows by it.
    seq : int
        Number of the audit entry.
    at : str
        ISO 8601, UTC.
    link : str
        Where to look; empty where the settings name no server.
    subject : str or None
        The log-in that it is about, where it is about one.
    details : str or None
        What exactly changed for it: the role, what the token is for, ...
    """

    id: str
    event: Event
    seq: int
    at: str
    actor: str
    action: str
    address: str = ""
    model: str | None = None
    version: str | None = None
    before: str | None = None
    after: str | None = None
    comment: str | None = None
    evidence_digest: str | None = None
    link: str = ""
    subject: str | None = None
    details: str | None = None

    def to_json(self) -> str:
        """What a webhook gets."""
        return json.dumps(asdict(self), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message in the outbox, and how it went so far.

    Attributes
    ----------
    since : int
        When the event happened, ms since the epoch, UTC.
    had : tuple of str
        Recipients who got it already, of a mail that others did not get.
    never : mapping of str to str
        Recipients who were refused for good, and in which words.
    """

    id: int
    channel: str
    message: Message
    tries: int
    due: int
    since: int
    had: tuple[str, ...] = ()
    never: Mapping[str, str] = field(default_factory=dict)

    @property
    def done_with(self) -> frozenset[str]:
        """Recipients to whom it is not sent again."""
        return frozenset({*self.had, *self.never})


def enqueue(session: Session, values: dict[str, Any], digest: str) -> None:
    """Write the messages about an audit entry, in its transaction; none where nobody is to be told.

    A refusal of one action to one person is told once in ten minutes: whoever hammers at the gate, under whatever
    names of models, fills no mailbox. The log has them all.

    Parameters
    ----------
    values : dict
        The columns of the entry, as they were written.
    digest : str
        Its hash.
    """
    notify = current_notify()
    event = event_of(values)
    if notify is None or event is None:
        return
    channels = [
        channel.name
        for channel in notify.channels
        if channel.tells(event)
        and (values["model"] is None or any(fnmatchcase(values["model"], each) for each in channel.models))
    ]
    if not channels or (event == "refused" and _told_already(session, values)):
        return
    body = json.dumps({"message": asdict(_message(values, event, digest, notify)), "at": values["at"], "had": []})
    session.execute(
        insert(OUTBOX),
        [
            {"seq": values["seq"], "channel": name, "body": body, "tries": 0, "due": values["at"]}
            for name in channels
        ],
    )


def _message(values: dict[str, Any], event: Event, digest: str, notify: Notify) -> Message:
    link = f"{notify.link.rstrip('/')}/governance/" if notify.link else ""
    if link and values["model"] and values["version"]:
        link += "version?" + urlencode({"name": values["model"], "version": values["version"]})
    detail = detail_of(values) if event in ("access", "role_granted", "role_withdrawn") else {}
    if link and detail:
        link += "audit"
    return Message(
        id=f"{values['seq']}-{digest[:16]}",
        event=event,
        at=datetime.fromtimestamp(values["at"] / 1000, UTC).isoformat(timespec="seconds"),
        link=link,
        subject=detail.get("user") or detail.get("username"),
        details="; ".join(f"{key}: {detail[key]}" for key in _TOLD if detail.get(key)) or None,
        **{
            name: values[name]
            for name in (
                "seq", "actor", "action", "address", "model", "version", "before", "after", "comment",
                "evidence_digest",
            )
        },
    )  # fmt: skip


def _told_already(session: Session, values: dict[str, Any]) -> bool:
    return bool(
        session.scalar(
            select(AUDIT.c.seq)
            .where(
                AUDIT.c.actor == values["actor"],
                AUDIT.c.seq < values["seq"],
                AUDIT.c.seq >= values["seq"] - _LOOKED_BACK,
                AUDIT.c.at > values["at"] - _SAME_REFUSAL_MS,
                AUDIT.c.outcome == "refused",
                AUDIT.c.action == values["action"],
            )
            .limit(1)
        )
    )


def due_channels(connection: Connection, now: int) -> list[str]:
    """Names of the channels in which something may be sent now."""
    query = select(OUTBOX.c.channel).where(OUTBOX.c.delivered.is_(None), OUTBOX.c.due <= now).distinct()
    return list(connection.scalars(query.order_by(OUTBOX.c.channel)))


def due(connection: Connection, now: int, channel: str) -> Waiting | None:
    """The message of a channel that is sent next: alarms first, then the oldest; None where none may be sent now.

    What this version cannot read is set aside: it must not keep the others waiting.
    """
    query = (
        select(OUTBOX)
        .join(AUDIT, AUDIT.c.seq == OUTBOX.c.seq, isouter=True)
        .where(OUTBOX.c.delivered.is_(None), OUTBOX.c.due <= now, OUTBOX.c.channel == channel)
        .order_by(case((AUDIT.c.action.in_(ALARMS), 0), else_=1), OUTBOX.c.due, OUTBOX.c.id)
        .limit(1)
    )
    while (row := connection.execute(query).one_or_none()) is not None:
        try:
            body = json.loads(row.body)
            message = Message(**body["message"])
            had, never = tuple(body["had"]), dict(body.get("never", {}))
            return Waiting(row.id, row.channel, message, row.tries, row.due, body["at"], had, never)
        except (ValueError, KeyError, TypeError):
            connection.execute(
                update(OUTBOX).where(OUTBOX.c.id == row.id).values(due=NEVER, trouble="it cannot be read")
            )
    return None


def claim(connection: Connection, waiting: Waiting, until: int) -> bool:
    """Take a message until then; False where somebody else did, or it is delivered."""
    taken = connection.execute(
        update(OUTBOX)
        .where(OUTBOX.c.id == waiting.id, OUTBOX.c.due == waiting.due, OUTBOX.c.delivered.is_(None))
        .values(due=until, tries=OUTBOX.c.tries + 1)
    )
    return bool(taken.rowcount)


def settle(connection: Connection, waiting: Waiting, now: int, trouble: str = "") -> None:
    """Note that it is delivered; `trouble` says for whom it is not, and never will be."""
    trouble = trouble or "; ".join(f"{address}: {words}" for address, words in waiting.never.items())
    connection.execute(
        update(OUTBOX).where(OUTBOX.c.id == waiting.id).values(delivered=now, trouble=trouble[:1000] or None)
    )


def postpone(
    connection: Connection,
    waiting: Waiting,
    until: int,
    trouble: str,
    had: tuple[str, ...] = (),
    never: Mapping[str, str] | None = None,
) -> None:
    """Note why it is not delivered, who got it or never will, when it is tried again; `NEVER` sets it aside."""
    body = {
        "message": asdict(waiting.message),
        "at": waiting.since,
        "had": sorted({*waiting.had, *had}),
        "never": {**waiting.never, **(never or {})},
    }
    connection.execute(
        update(OUTBOX)
        .where(OUTBOX.c.id == waiting.id)
        .values(due=until, trouble=trouble[:1000], body=json.dumps(body))
    )


def retry(connection: Connection, now: int) -> int:
    """Make everything due that is not delivered, also what was set aside and who was refused; gives how many."""
    aside = select(OUTBOX.c.id, OUTBOX.c.body).where(OUTBOX.c.delivered.is_(None), OUTBOX.c.due >= NEVER)
    for row in connection.execute(aside).all():
        with suppress(ValueError, TypeError):  # what cannot be read is set aside again
            body = json.dumps({**json.loads(row.body), "never": {}})
            connection.execute(update(OUTBOX).where(OUTBOX.c.id == row.id).values(body=body))
    return int(
        connection.execute(
            update(OUTBOX).where(OUTBOX.c.delivered.is_(None), OUTBOX.c.due > now).values(due=now)
        ).rowcount
    )


def forget(connection: Connection, before: int) -> int:
    """Remove what was delivered before then; gives how many."""
    return int(
        connection.execute(
            delete(OUTBOX).where(OUTBOX.c.delivered.is_not(None), OUTBOX.c.delivered < before)
        ).rowcount
    )


@dataclass(frozen=True, slots=True)
class Queue:
    """How one channel stands.

    Attributes
    ----------
    waiting, set_aside, delivered : int
        Messages; `delivered` only of those not removed yet.
    not_to_all : int
        Delivered ones that some recipients were refused for good.
    trouble : str
        Of the newest message that is not with everybody; empty where there was none.
    """

    channel: str
    waiting: int
    set_aside: int
    delivered: int
    trouble: str
    not_to_all: int = 0


def queues(connection: Connection) -> list[Queue]:
    """How every channel stands that has messages, by name."""
    undelivered = OUTBOX.c.delivered.is_(None)
    aside = undelivered & (OUTBOX.c.due >= NEVER)
    counts = select(
        OUTBOX.c.channel,
        func.count().filter(undelivered & (OUTBOX.c.due < NEVER)).label("waiting"),
        func.count().filter(aside).label("set_aside"),
        func.count().filter(OUTBOX.c.delivered.is_not(None)).label("delivered"),
        func.count().filter(OUTBOX.c.delivered.is_not(None) & OUTBOX.c.trouble.is_not(None)).label("not_to_all"),
        func.max(OUTBOX.c.id).filter(OUTBOX.c.trouble.is_not(None)).label("newest"),
    ).group_by(OUTBOX.c.channel)
    found = []
    for row in connection.execute(counts.order_by(OUTBOX.c.channel)).all():
        trouble = connection.scalar(select(OUTBOX.c.trouble).where(OUTBOX.c.id == row.newest))
        counted = row.waiting, row.set_aside, row.delivered
        found.append(Queue(row.channel, *counted, trouble or "", row.not_to_all))
    return found

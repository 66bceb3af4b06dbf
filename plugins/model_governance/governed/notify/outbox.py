"""The outbox: messages that wait, written with the audit entry they tell of, taken and noted one by one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.orm import Session

from model_governance.governed.notify.events import Event, event_of
from model_governance.governed.notify.settings import Notify, current_notify
from model_governance.governed.tables import AUDIT, OUTBOX

__all__ = [
    "NEVER", "Message", "Queue", "Waiting", "claim", "due", "enqueue", "forget", "postpone", "queues", "retry",
    "settle",
]  # fmt: skip

NEVER = 2**62
"""When a message is due that was set aside."""

_SAME_REFUSAL_MS = 10 * 60 * 1000
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
    """

    id: int
    channel: str
    message: Message
    tries: int
    due: int
    since: int
    had: tuple[str, ...] = ()


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
        if event in channel.events
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
    return Message(
        id=f"{values['seq']}-{digest[:16]}",
        event=event,
        at=datetime.fromtimestamp(values["at"] / 1000, UTC).isoformat(timespec="seconds"),
        link=link,
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


def due(connection: Connection, now: int, without: frozenset[str], limit: int) -> list[Waiting]:
    """Messages that may be sent now, the oldest first, of all channels but those `without`.

    What this version cannot read is set aside: it must not keep the others waiting.
    """
    query = (
        select(OUTBOX)
        .where(OUTBOX.c.delivered.is_(None), OUTBOX.c.due <= now, OUTBOX.c.channel.not_in(sorted(without)))
        .order_by(OUTBOX.c.due, OUTBOX.c.id)
        .limit(limit)
    )
    found = []
    for row in connection.execute(query).all():
        try:
            body = json.loads(row.body)
            message = Message(**body["message"])
            found.append(Waiting(row.id, row.channel, message, row.tries, row.due, body["at"], tuple(body["had"])))
        except (ValueError, KeyError, TypeError):
            connection.execute(
                update(OUTBOX).where(OUTBOX.c.id == row.id).values(due=NEVER, trouble="it cannot be read")
            )
    return found


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
    connection.execute(
        update(OUTBOX).where(OUTBOX.c.id == waiting.id).values(delivered=now, trouble=trouble[:1000] or None)
    )


def postpone(
    connection: Connection, waiting: Waiting, until: int, trouble: str, had: tuple[str, ...] = ()
) -> None:
    """Note why it is not delivered, who got it, and when it is tried again; `NEVER` sets it aside."""
    body = {"message": asdict(waiting.message), "at": waiting.since, "had": sorted({*waiting.had, *had})}
    connection.execute(
        update(OUTBOX)
        .where(OUTBOX.c.id == waiting.id)
        .values(due=until, trouble=trouble[:1000], body=json.dumps(body))
    )


def retry(connection: Connection, now: int) -> int:
    """Make everything due that is not delivered, also what was set aside; gives how many."""
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
    trouble : str
        Of the newest message that is not delivered; empty where there was none.
    """

    channel: str
    waiting: int
    set_aside: int
    delivered: int
    trouble: str


def queues(connection: Connection) -> list[Queue]:
    """How every channel stands that has messages, by name."""
    undelivered = OUTBOX.c.delivered.is_(None)
    aside = undelivered & (OUTBOX.c.due >= NEVER)
    counts = select(
        OUTBOX.c.channel,
        func.count().filter(undelivered & (OUTBOX.c.due < NEVER)).label("waiting"),
        func.count().filter(aside).label("set_aside"),
        func.count().filter(OUTBOX.c.delivered.is_not(None)).label("delivered"),
        func.max(OUTBOX.c.id).filter(undelivered & OUTBOX.c.trouble.is_not(None)).label("newest"),
    ).group_by(OUTBOX.c.channel)
    found = []
    for row in connection.execute(counts.order_by(OUTBOX.c.channel)).all():
        trouble = connection.scalar(select(OUTBOX.c.trouble).where(OUTBOX.c.id == row.newest))
        found.append(Queue(row.channel, row.waiting, row.set_aside, row.delivered, trouble or ""))
    return found

"""The chain: each entry carries a SHA-256 over all it says and over the hash of the entry before it.

An entry is written in the transaction of the change that it tells of, so that neither stands without the other,
also when the process is killed between. One row, the head, holds the last number and hash; whoever writes updates
it first, so writers queue there and numbers have no gap.

A changed, removed, reordered or inserted entry breaks the chain, and entries removed from the end disagree with
the head. Whoever may write to the database could compute the chain anew, or cut it and set the head back: that is
found against a head that was kept elsewhere (`signed_head`).

The construction is that of a hash chain with an authenticated head: Schneier and Kelsey, "Secure audit logs to
support computer forensics", ACM TISSEC 2 (2), 1999.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from model_governance.errors import TamperError
from model_governance.governed.actor import Actor
from model_governance.governed.tables import AUDIT, AUDIT_HEAD

__all__ = ["GENESIS", "Entry", "Head", "Verification", "append", "lock", "read_head", "verify"]

GENESIS = hashlib.sha256(b"model-governance audit 1").hexdigest()
"""What the first entry follows. The number is the format's: other fields would be another number."""

_AT_ONCE = 5_000  # entries per query, so that a long check never keeps writers waiting
_MOST_PROBLEMS = 100
_LONGEST_TEXT = 10_000
# By the columns that the hash covers, in this order; `seq` first, `previous` last.
_COLUMNS = tuple(column for column in AUDIT.c if column.name != "hash")
_LONGEST: dict[str, int] = {
    column.name: getattr(column.type, "length", None) or _LONGEST_TEXT for column in _COLUMNS
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What somebody did, or was refused.

    Attributes
    ----------
    actor : Actor
        Who asked, from where, through which handler.
    action : str
        What was asked, in the words of the log: ``promote``, ``approve``, ``set alias``, ...
    outcome : {"done", "refused"}
        Whether it happened.
    model, version : str or None
        What it was about.
    before, after : str or None
        The state before and after, such as a stage or an alias; after a refusal what was asked for.
    comment : str or None
        The reason that a person gave, or the reason for the refusal.
    evidence_digest : str or None
        SHA-256 in hex of the evidence that it rested on.
    detail : mapping or None
        Whatever else belongs to it; must be JSON.
    at : int or None
        ms since the epoch, UTC; now where None.
    """

    actor: Actor
    action: str
    outcome: Literal["done", "refused"] = "done"
    model: str | None = None
    version: str | None = None
    before: str | None = None
    after: str | None = None
    comment: str | None = None
    evidence_digest: str | None = None
    detail: Mapping[str, Any] | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the log: number and hash of its last entry; 0 and `GENESIS` before the first."""

    seq: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the whole log found.

    Attributes
    ----------
    entries : int
        Entries read.
    problems : tuple of str
        One sentence each; empty where the log is whole.
    head : Head
        The end of the log that was checked; entries written since are not in this.
    """

    entries: int
    problems: tuple[str, ...] = ()
    head: Head = field(default_factory=Head)

    @property
    def whole(self) -> bool:
        """Whether nothing was found."""
        return not self.problems


def lock(session: Session) -> None:
    """Queue behind whoever writes; the first statement of each transaction that writes.

    The same on SQLite and PostgreSQL: an update of the head's row. On SQLite it takes the database's write lock
    before anything was read, so nobody is refused later because their snapshot is old.

    Raises
    ------
    TamperError
        Where the head is gone although entries are there.
    """
    taken = update(AUDIT_HEAD).where(AUDIT_HEAD.c.one == 1).values(seq=AUDIT_HEAD.c.seq)
    if _changed(session, taken):
        return
    # before the first entry; of two who get here at once the second finds the row of the first
    session.execute(
        text(f"INSERT INTO {AUDIT_HEAD.name} (one, seq, hash) VALUES (1, 0, :genesis) ON CONFLICT DO NOTHING"),  # noqa: S608
        {"genesis": GENESIS},
    )
    _changed(session, taken)
    if session.scalar(select(AUDIT.c.seq).limit(1)) is not None and read_head(session).seq == 0:
        raise TamperError(
            "the head of the audit log is gone, although entries are there: somebody removed it. Keep the "
            "database as it is, run `model-governance audit verify`, and restore the log from a backup"
        )


def append(session: Session, entry: Entry) -> int:
    """Write one entry behind the last, in the caller's transaction.

    What does not fit its column is shortened and ends in "…", and characters that PostgreSQL cannot keep become
    U+FFFD: a refusal is recorded whatever was sent.

    Returns
    -------
    int
        Its number: 1 for the first.

    Raises
    ------
    TamperError
        As `lock`.
    TypeError
        Where `detail` holds what JSON cannot say.
    """
    lock(session)
    head = read_head(session)
    values = _values(head, entry)
    digest = _hash(tuple(values.values()))
    session.execute(insert(AUDIT).values(**values, hash=digest))
    session.execute(update(AUDIT_HEAD).where(AUDIT_HEAD.c.one == 1).values(seq=values["seq"], hash=digest))
    return head.seq + 1


def read_head(source: Session | Connection) -> Head:
    """The end of the log; before the first entry 0 and `GENESIS`."""
    row = source.execute(select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.hash).where(AUDIT_HEAD.c.one == 1)).one_or_none()
    return Head() if row is None else Head(int(row.seq), str(row.hash))


def verify(source: Engine | Session | Connection, head: Head | None = None) -> Verification:
    """Read the whole log and say where it is not what was written.

    Reads in short queries, so that nobody who writes waits for it; what is written meanwhile is not checked.

    Parameters
    ----------
    source : Engine, Session or Connection
        The registry's database.
    head : Head or None
        An end of the log that was kept elsewhere: the log must still go through it.
    """
    with _connected(source) as connection:
        # one statement, so that both are of the same moment
        found = connection.execute(
            select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.hash, func.max(AUDIT.c.seq).label("last"))
            .select_from(AUDIT_HEAD.outerjoin(AUDIT, AUDIT.c.seq >= AUDIT_HEAD.c.seq))
            .where(AUDIT_HEAD.c.one == 1)
            .group_by(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.hash)
        ).one_or_none()
        check = _Check(kept=head)
        if found is None:
            end, last = Head(), connection.scalar(select(func.max(AUDIT.c.seq)))
            if last is not None:
                check.say("the head of the log is gone, although entries are there")
        else:
            end, last = Head(int(found.seq), str(found.hash)), found.last
        for row in _rows(connection, max(end.seq, last or 0), check):
            check.entry(row)
        check.end(end)
    return Verification(check.entries, check.sentences(), end)


class _Check:
    """One pass over the log, from its first entry to its last."""

    def __init__(self, kept: Head | None) -> None:
        self.kept = kept
        self.entries = 0
        self.before = Head()
        self.problems: list[str] = []
        self.more = 0
        self._met = kept is None or kept.seq == 0
        if kept is not None and kept.seq == 0 and kept.hash != GENESIS:
            self.say("the head kept elsewhere is of no log of this format")

    def say(self, problem: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)
        else:
            self.more += 1

    def sentences(self) -> tuple[str, ...]:
        return (*self.problems, *([f"and {self.more} more"] if self.more else []))

    def unreadable(self, seq: int) -> None:
        """An entry that the database itself cannot give as text."""
        self.entries += 1
        self.say(f"entry {seq} cannot be read: it was changed into something that is no text")
        self.before = Head(seq, "")

    def entry(self, row: tuple[Any, ...]) -> None:
        self.entries += 1
        values, digest = row[:-1], row[-1]
        seq, previous = values[0], values[-1]
        if seq != self.before.seq + 1:
            self._gap(seq)
        elif self.before.hash and previous != self.before.hash:
            self.say(f"entry {seq} does not follow entry {seq - 1}: one of the two was put in the other's place")
        try:
            sound = _hash(values) == digest
        except (TypeError, ValueError):  # bytes, or a number that JSON does not know
            sound = False
        if not sound:
            self.say(f"entry {seq} was changed: its hash is not that of what it says")
        if self.kept is not None and seq == self.kept.seq:
            self._met = True
            if digest != self.kept.hash:
                self.say(
                    f"entry {seq} is not the one that the head kept elsewhere tells of: the log was written anew"
                )
        self.before = Head(seq, digest if isinstance(digest, str) else "")

    def _gap(self, seq: int) -> None:
        if seq < 1:
            self.say(f"entry {seq} was inserted: the first entry is 1")
        else:
            first, last = max(self.before.seq, 0) + 1, seq - 1
            if first <= last:
                self.say(_removed(first, last))

    def end(self, head: Head) -> None:
        last = max(self.before.seq, 0)
        if last < head.seq:
            self.say(f"{_removed(last + 1, head.seq)}: the log ends at {last}, and its head says {head.seq}")
        elif last > head.seq:
            self.say(f"{_entries(head.seq + 1, last)} inserted behind the end that the head tells of")
        elif self.before.seq == head.seq and self.before.hash and self.before.hash != head.hash:
            self.say(f"the head's hash is not that of entry {last}: the head or the entry was changed")
        if self.kept is not None and not self._met:
            self.say(
                f"the head kept elsewhere tells of entry {self.kept.seq}, which the log does not hold: its end "
                "was cut off"
            )


def _entries(first: int, last: int) -> str:
    return f"entry {first} was" if first == last else f"entries {first} to {last} were"


def _removed(first: int, last: int) -> str:
    return f"{_entries(first, last)} removed"


def _rows(connection: Connection, last: int, check: _Check) -> Iterator[tuple[Any, ...]]:
    """All entries up to `last` in order; those that the database cannot read are told to `check`."""
    query = select(*_COLUMNS, AUDIT.c.hash).order_by(AUDIT.c.seq).limit(_AT_ONCE)
    numbers = select(AUDIT.c.seq).order_by(AUDIT.c.seq).limit(_AT_ONCE)
    after: int | None = None
    while True:
        where = [AUDIT.c.seq <= last, *([] if after is None else [AUDIT.c.seq > after])]
        try:
            rows = connection.execute(query.where(*where)).all()
            yield from rows
            seen = [row.seq for row in rows[-1:]]
        except DBAPIError as error:
            if "decode" not in str(error):
                raise
            seen = list(connection.scalars(numbers.where(*where)))
            for seq in seen:
                try:
                    one = connection.execute(query.where(AUDIT.c.seq == seq)).one_or_none()
                except DBAPIError:
                    check.unreadable(seq)
                else:
                    if one is not None:
                        yield one
        if not seen:
            return
        after = seen[-1]


def _values(head: Head, entry: Entry) -> dict[str, Any]:
    """The columns of the next entry, in the order that is hashed."""
    values: dict[str, Any] = {
        "seq": head.seq + 1,
        "at": round(time.time() * 1000) if entry.at is None else entry.at,
        "actor": entry.actor.name,
        "address": entry.actor.address,
        "endpoint": entry.actor.endpoint,
        "action": entry.action,
        "outcome": entry.outcome,
        "model": entry.model,
        "version": entry.version,
        "before": entry.before,
        "after": entry.after,
        "comment": entry.comment,
        "evidence_digest": entry.evidence_digest,
        "detail": None if not entry.detail else _json(entry.detail),
        "previous": head.hash,
    }
    return {
        name: value if value is None or isinstance(value, int) else _fitting(str(value), _LONGEST[name])
        for name, value in values.items()
    }


def _json(detail: Mapping[str, Any]) -> str:
    written = json.dumps(dict(detail), sort_keys=True, separators=(",", ":"), allow_nan=False)
    if len(written) <= _LONGEST_TEXT:
        return written
    return json.dumps({"shortened": written[: _LONGEST_TEXT // 2]})


def _fitting(value: str, longest: int) -> str:
    """Text that both databases keep as it is: no NUL, no half of a surrogate pair, not too long."""
    value = value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value if len(value) <= longest else f"{value[: longest - 1]}…"


def _hash(values: tuple[Any, ...]) -> str:
    """SHA-256 of a JSON array: each value's bounds are in it, and an absent value is no empty one."""
    return hashlib.sha256(json.dumps(values, separators=(",", ":")).encode()).hexdigest()


def _changed(session: Session, statement: Any) -> bool:
    return bool(session.connection().execute(statement).rowcount)


@contextmanager
def _connected(source: Engine | Session | Connection) -> Iterator[Connection]:
    if isinstance(source, Engine):
        with source.connect() as connection:
            yield connection
    else:
        yield source.connection() if isinstance(source, Session) else source

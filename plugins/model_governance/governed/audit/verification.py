"""Reading the whole log again: is it what was written, entry by entry, up to its head?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from model_governance.governed.audit.entry import COLUMNS, GENESIS, Head, hash_of
from model_governance.governed.tables import AUDIT, AUDIT_HEAD

__all__ = ["Check", "Verification", "connected", "rows", "verify"]

_AT_ONCE = 5_000  # entries per query, so that a long check never keeps writers waiting
_MOST_PROBLEMS = 100


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


def verify(source: Engine | Session | Connection, head: Head | Iterable[Head] | None = None) -> Verification:
    """Read the whole log and say where it is not what was written.

    Reads in short queries, so that nobody who writes waits for it; what is written meanwhile is not checked.

    Parameters
    ----------
    source : Engine, Session or Connection
        The registry's database.
    head : Head, or several of them, or None
        Ends of the log that were kept elsewhere: the log must still go through each.
    """
    check = Check(head)
    with connected(source) as connection:
        end, last = _ends(connection)
        if end is None and last:
            check.say("the head of the log is gone, although entries are there")
        end = end or Head()
        for row in rows(connection, max(end.seq, last), check.unreadable):
            check.entry(row[:-1], row[-1])
    check.end(end)
    return Verification(check.entries, check.sentences(), end)


def _ends(connection: Connection) -> tuple[Head | None, int]:
    """The head, and the number of the last entry, 0 before the first; read in one statement: of one moment."""
    head = AUDIT_HEAD.c.one == 1
    found = connection.execute(
        select(
            select(AUDIT_HEAD.c.seq).where(head).scalar_subquery().label("seq"),
            select(AUDIT_HEAD.c.hash).where(head).scalar_subquery().label("hash"),
            select(func.max(AUDIT.c.seq)).scalar_subquery().label("last"),
        )
    ).one()
    return None if found.seq is None else Head(int(found.seq), str(found.hash)), found.last or 0


class Check:
    """One pass over a log, from its first entry to its last.

    Parameters
    ----------
    kept : Head, or several of them, or None
        What the log must go through.
    """

    def __init__(self, kept: Head | Iterable[Head] | None) -> None:
        heads = [kept] if isinstance(kept, Head) else list(kept or ())
        self.entries = 0
        self._kept: dict[int, set[str]] = {}
        for head in heads:
            self._kept.setdefault(head.seq, set()).add(head.hash)
        self._before = Head()
        self._problems: list[str] = []
        self._more = 0
        if self._kept.pop(0, {GENESIS}) != {GENESIS}:
            self.say("the head kept elsewhere is of no log of this format")

    def say(self, problem: str) -> None:
        """Note a problem; after a hundred they are only counted."""
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(problem)
        else:
            self._more += 1

    def sentences(self) -> tuple[str, ...]:
        """What was found."""
        return (*self._problems, *([f"and {self._more} more"] if self._more else []))

    def unreadable(self, seq: int) -> None:
        """Note an entry that the database itself cannot give as text."""
        self.entries += 1
        self._follow(seq, None)
        self.say(f"entry {seq} cannot be read: it was changed into something that is no text")
        self._before = Head(seq, "")

    def entry(self, values: tuple[Any, ...], digest: Any) -> None:
        """Check the next entry: the values of `COLUMNS`, and the hash that is stored with them."""
        self.entries += 1
        seq = values[0]
        self._follow(seq, values[-1])
        try:
            sound = hash_of(values) == digest
        except (TypeError, ValueError):  # bytes, or a number that JSON does not know
            sound = False
        if not sound:
            self.say(f"entry {seq} was changed: its hash is not that of what it says")
        if self._kept and (wanted := self._kept.pop(seq, None)) is not None and wanted != {digest}:
            self.say(f"entry {seq} is not the one that the head kept elsewhere tells of: the log was written anew")
        self._before = Head(seq, digest if isinstance(digest, str) else "")

    def end(self, head: Head) -> None:
        """Hold the last entry against the head."""
        last = max(self._before.seq, 0)
        if last < head.seq:
            self.say(f"{_were(last + 1, head.seq)} removed: the log ends at {last}, and its head says {head.seq}")
        elif last > head.seq:
            self.say(f"{_were(head.seq + 1, last)} inserted behind the end that the head tells of")
        elif self._before.hash and self._before.hash != head.hash:
            self.say(f"the head's hash is not that of entry {last}: the head or the entry was changed")
        for seq in sorted(self._kept):
            self.say(f"the head kept elsewhere tells of entry {seq}, which the log does not hold: it was cut")

    def _follow(self, seq: int, previous: Any) -> None:
        """Hold an entry against the one before it; one of them that cannot be read says nothing of the other."""
        before = self._before
        if seq < 1:
            self.say(f"entry {seq} was inserted: the first entry is 1")
        elif seq != max(before.seq, 0) + 1:
            self.say(f"{_were(max(before.seq, 0) + 1, seq - 1)} removed")
        elif before.seq == seq - 1 and before.hash and previous is not None and previous != before.hash:
            self.say(
                f"entry {seq} does not follow entry {seq - 1}: one of them was changed, inserted, or put in "
                "another's place"
            )


def _were(first: int, last: int) -> str:
    return f"entry {first} was" if first == last else f"entries {first} to {last} were"


def rows(connection: Connection, last: int, unreadable: Callable[[int], None]) -> Iterator[tuple[Any, ...]]:
    """All entries up to number `last` in order, each as the values of `COLUMNS` and its hash.

    The numbers of those that the database cannot give as text go to `unreadable`.
    """
    query = select(*COLUMNS, AUDIT.c.hash).order_by(AUDIT.c.seq).limit(_AT_ONCE)
    numbers = select(AUDIT.c.seq).order_by(AUDIT.c.seq).limit(_AT_ONCE)
    after: int | None = None
    while True:
        where = [AUDIT.c.seq <= last, *([] if after is None else [AUDIT.c.seq > after])]
        try:
            found = connection.execute(query.where(*where)).all()
        except DBAPIError as error:
            if "decode" not in str(error).lower():
                raise
            seen = list(connection.scalars(numbers.where(*where)))
            yield from _one_by_one(connection, seen, unreadable)
        else:
            seen = [row.seq for row in found[-1:]]
            yield from found
        if not seen:
            return
        after = seen[-1]


def _one_by_one(
    connection: Connection, numbers: Iterable[int], unreadable: Callable[[int], None]
) -> Iterator[tuple[Any, ...]]:
    for seq in numbers:
        try:
            row = connection.execute(select(*COLUMNS, AUDIT.c.hash).where(AUDIT.c.seq == seq)).one_or_none()
        except DBAPIError:
            unreadable(seq)
        else:
            if row is not None:
                yield row


@contextmanager
def connected(source: Engine | Session | Connection) -> Iterator[Connection]:
    """A connection to read with; one of its own, closed afterwards, where an engine is given."""
    if isinstance(source, Engine):
        with source.connect() as connection:
            if source.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA busy_timeout = 20000")  # as MLflow waits for whoever writes
            yield connection
    else:
        yield source.connection() if isinstance(source, Session) else source

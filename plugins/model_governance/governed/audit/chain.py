"""The chain: each entry carries a SHA-256 over all it says and over the hash of the entry before it.

An entry is written in the transaction of the change that it tells of, so that neither stands without the other,
also when the process is killed between. One row, the head, holds the last number and hash; whoever writes updates
it first, so writers queue there and numbers have no gap.

A changed, removed, reordered or inserted entry breaks the chain, and entries removed from the end disagree with
the head. Whoever may write to the database could compute the chain anew, or cut it and set the head back: that is
found against a head that was signed and kept elsewhere (`model_governance.governed.audit.heads`).

The construction is that of a hash chain with an authenticated head: Schneier and Kelsey, "Secure audit logs to
support computer forensics", ACM TISSEC 2 (2), 1999.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, insert, select, text, update
from sqlalchemy.orm import Session

from model_governance.errors import TamperError
from model_governance.governed.audit.entry import GENESIS, Entry, Head, columns_of, hash_of
from model_governance.governed.audit.verification import Verification, verify
from model_governance.governed.notify.outbox import enqueue
from model_governance.governed.tables import AUDIT, AUDIT_HEAD

__all__ = ["GENESIS", "Entry", "Head", "Verification", "append", "lock", "read_head", "verify"]


_LOCKED, _END = "governance lock", "governance head"
"""What a session keeps: the transaction that it holds the lock in, and the end of the log as it left it there."""

# Built once: every call that the gate lets through pays for these.
_TAKE = text(f"UPDATE {AUDIT_HEAD.name} SET seq = seq WHERE one = 1")  # noqa: S608
_START = text(
    f"INSERT INTO {AUDIT_HEAD.name} (one, seq, hash) VALUES (1, 0, '{GENESIS}') ON CONFLICT DO NOTHING"  # noqa: S608
)
_TAKE_AND_READ = text(f"{_TAKE.text} RETURNING seq, hash")
_HEAD = select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.hash).where(AUDIT_HEAD.c.one == 1)
_WRITE = insert(AUDIT)
_MOVE = update(AUDIT_HEAD).where(AUDIT_HEAD.c.one == 1).values(seq=bindparam("to"), hash=bindparam("digest"))


def lock(session: Session) -> None:
    """Queue behind whoever writes; the first statement of each transaction that writes, and once in it.

    The same on SQLite and PostgreSQL: an update of the head's row. On SQLite it takes the database's write lock
    before anything was read, so nobody is refused later because their snapshot is old.

    Raises
    ------
    TamperError
        Where the head is gone although entries are there.
    """
    if (transaction := session.get_transaction()) is not None and session.info.get(_LOCKED) is transaction:
        return
    connection = session.connection()
    session.info.pop(_END, None)
    if connection.dialect.update_returning:  # SQLite from 3.35 on
        if (row := connection.execute(_TAKE_AND_READ).one_or_none()) is None:
            _start(connection)
        else:
            session.info[_END] = Head(int(row.seq), str(row.hash))
    elif not connection.execute(_TAKE).rowcount:
        _start(connection)
    session.info[_LOCKED] = session.get_transaction()  # with which it ends, also where it is rolled back


def _start(connection: Connection) -> None:
    """Before the first entry; of two who get here at once the second finds the row of the first."""
    connection.execute(_START)
    connection.execute(_TAKE)
    if read_head(connection).seq == 0 and connection.scalar(select(AUDIT.c.seq).limit(1)) is not None:
        raise TamperError(
            "the head of the audit log is gone, although entries are there: somebody removed it. Keep the "
            "database as it is, run `model-governance audit verify`, and restore the log from a backup"
        )


def append(session: Session, entry: Entry) -> int:
    """Write one entry behind the last, in the caller's transaction, and the messages to those who are told of it.

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
    TypeError, ValueError
        Where `detail` holds what JSON cannot say.
    PolicyError
        Where MODEL_GOVERNANCE_NOTIFY names settings that cannot be read.
    """
    lock(session)
    connection = session.connection()
    values = columns_of(entry, session.info.get(_END) or read_head(connection))
    digest = hash_of(tuple(values.values()))
    connection.execute(_WRITE, {**values, "hash": digest})
    connection.execute(_MOVE, {"to": values["seq"], "digest": digest})
    session.info[_END] = Head(int(values["seq"]), digest)
    enqueue(session, values, digest)
    return int(values["seq"])


def read_head(source: Session | Connection) -> Head:
    """The end of the log; before the first entry 0 and `GENESIS`."""
    row = source.execute(_HEAD).one_or_none()
    return Head() if row is None else Head(int(row.seq), str(row.hash))

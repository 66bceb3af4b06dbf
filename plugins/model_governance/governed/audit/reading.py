"""The log as people read it: filtered, newest first, or exported whole for somebody else to check."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from model_governance.errors import TamperError
from model_governance.governed.audit.chain import read_head
from model_governance.governed.audit.entry import COLUMNS, Head
from model_governance.governed.audit.verification import Check, Verification, connected, rows
from model_governance.governed.tables import AUDIT

__all__ = ["Record", "export", "records", "verify_export"]

_NAMES = (*(column.name for column in COLUMNS), "hash")


@dataclass(frozen=True, slots=True)
class Record:
    """One entry as it stands in the log; see `Entry` for what the fields mean.

    Attributes
    ----------
    seq : int
        Its number: 1, 2, 3, ...
    at : int
        ms since the epoch, UTC.
    previous, hash : str
        SHA-256 in hex: of the entry before, and of this one.
    """

    seq: int
    at: int
    actor: str
    address: str
    endpoint: str
    action: str
    outcome: str
    model: str | None
    version: str | None
    before: str | None
    after: str | None
    comment: str | None
    evidence_digest: str | None
    detail: dict[str, Any] | None
    previous: str
    hash: str

    @property
    def when(self) -> datetime:
        """`at` as a time in UTC."""
        return datetime.fromtimestamp(self.at / 1000, UTC)

    @property
    def refused(self) -> bool:
        """Whether nothing was done."""
        return self.outcome != "done"

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)


def records(
    source: Engine | Session | Connection,
    *,
    model: str | None = None,
    version: str | None = None,
    actor: str | None = None,
    action: str | None = None,
    outcome: str | None = None,
    since: int | None = None,
    until: int | None = None,
    below: int | None = None,
    limit: int = 100,
) -> list[Record]:
    """Entries that fit everything that is given, newest first.

    Parameters
    ----------
    since, until : int or None
        ms since the epoch, UTC; `since` itself is in, `until` itself is not.
    below : int or None
        Only entries with a smaller number: the last one of the page before, for the next page.
    limit : int
        At most so many.
    """
    wanted: list[Any] = [
        column == value
        for column, value in (
            (AUDIT.c.model, model),
            (AUDIT.c.version, version),
            (AUDIT.c.actor, actor),
            (AUDIT.c.action, action),
            (AUDIT.c.outcome, outcome),
        )
        if value is not None
    ]
    if since is not None:
        wanted.append(AUDIT.c.at >= since)
    if until is not None:
        wanted.append(AUDIT.c.at < until)
    if below is not None:
        wanted.append(AUDIT.c.seq < below)
    query = select(*COLUMNS, AUDIT.c.hash).where(*wanted).order_by(AUDIT.c.seq.desc()).limit(max(limit, 0))
    with connected(source) as connection:
        return [_record(row) for row in connection.execute(query)]


def export(source: Engine | Session | Connection) -> Iterator[str]:
    """The whole log as lines of JSON without line ends, oldest first, for `verify_export` or another program.

    ``detail`` is the text that is stored, because the hash is over that text.

    Raises
    ------
    TamperError
        Where an entry cannot be read as text.
    """

    def unreadable(seq: int) -> None:
        raise TamperError(f"entry {seq} of the audit log is no text; run `model-governance audit verify`")

    with connected(source) as connection:
        for row in rows(connection, read_head(connection).seq, unreadable):
            yield json.dumps(dict(zip(_NAMES, row, strict=True)), ensure_ascii=False, separators=(",", ":"))


def verify_export(lines: Iterable[str], head: Head | Iterable[Head] | None = None) -> Verification:
    """Check what `export` wrote, without any database.

    An export says nothing of what was written after it, nor, without a head that was kept elsewhere, whether its
    end is missing.

    Raises
    ------
    TamperError
        Where a line is none that `export` writes.
    """
    check, end = Check(head), Head()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            values = tuple(entry[name] for name in _NAMES)
        except (ValueError, KeyError, TypeError) as error:
            raise TamperError(f"line {number} is not one that `model-governance audit export` writes") from error
        if len(entry) != len(_NAMES) or type(values[0]) is not int:
            raise TamperError(f"line {number} is not one that `model-governance audit export` writes")
        check.entry(values[:-1], values[-1])
        end = Head(values[0], str(values[-1]))
    check.end(end)
    return Verification(check.entries, check.sentences(), end)


def _record(row: Any) -> Record:
    values = dict(zip(_NAMES, row, strict=True))
    if values["detail"] is not None:
        try:
            values["detail"] = json.loads(values["detail"])
        except (ValueError, TypeError):  # somebody changed it; `verify` says so
            values["detail"] = {"unreadable": str(values["detail"])}
    return Record(**values)

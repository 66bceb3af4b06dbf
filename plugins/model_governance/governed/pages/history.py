"""What the governed server has written down, read for people: the audit, reviews, creators, reads."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from cachetools import LRUCache
from sqlalchemy import Connection, bindparam, func, select, tuple_
from sqlalchemy.engine import Engine

from model_governance.governed.audit import Record, records
from model_governance.governed.pages.fields import Fields
from model_governance.governed.records import moment
from model_governance.governed.tables import AUDIT, CREATORS, READS, REVIEWS

__all__ = [
    "MOST",
    "Asked",
    "Reviewed",
    "entries",
    "history_of",
    "last_acts",
    "last_reads",
    "makers",
    "makers_of",
    "reviews_of",
]

MOST = 1000
"""Entries that one page or answer may hold; whoever wants more goes on from the last."""


_MOST_NAMES = 20  # that a model had, one after the other, and that are followed back
_END = 2**62
_LEFT = select(func.max(AUDIT.c.seq)).where(
    AUDIT.c.model == bindparam("of"),
    AUDIT.c.version.is_(None),
    AUDIT.c.action.in_(("rename", "delete model")),
    AUDIT.c.outcome == "done",
    AUDIT.c.seq < bindparam("below"),
)
_RENAMED = (
    select(AUDIT.c.seq, AUDIT.c.model)
    .where(
        AUDIT.c.action == "rename",
        AUDIT.c.outcome == "done",
        AUDIT.c.after == bindparam("to"),
        AUDIT.c.seq > bindparam("since"),
        AUDIT.c.seq < bindparam("below"),
    )
    .order_by(AUDIT.c.seq.desc())
    .limit(1)
)
_LOGGED = re.compile(r"models:/(m-[0-9a-f]{32})(?:/|$)")


class Made(Protocol):
    """What of a version tells where it came from; MLflow's entity and a row of its table alike."""

    @property
    def name(self) -> Any: ...

    @property
    def version(self) -> Any: ...

    @property
    def source(self) -> Any: ...

    @property
    def run_id(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """Which entries of the audit; whatever is None is not asked.

    Attributes
    ----------
    below : int or None
        Only entries with a smaller number: how one goes on.
    """

    model: str | None = None
    version: str | None = None
    actor: str | None = None
    action: str | None = None
    outcome: str | None = None
    below: int | None = None
    most: int = 50

    @classmethod
    def of(cls, fields: Fields) -> Asked:
        """As the query of an address asks."""
        return cls(
            model=fields.optional("model"),
            version=fields.optional("version"),
            actor=fields.optional("actor"),
            action=fields.optional("action"),
            outcome=fields.optional("outcome"),
            below=fields.number("below", 0) or None,
            most=min(fields.number("most", 50, least=1), MOST),
        )


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What somebody said of a version; `at` in UTC, `id` its number in the table."""

    reviewer: str
    verdict: str
    comment: str
    at: datetime
    artifact_digest: str
    evidence_digest: str
    born: int
    id: int


def entries(engine: Engine, asked: Asked) -> list[Record]:
    """The newest entries first, at most `MOST`."""
    return records(
        engine,
        model=asked.model,
        version=asked.version,
        actor=asked.actor,
        action=asked.action,
        outcome=asked.outcome,
        below=asked.below,
        limit=max(1, min(asked.most, MOST)),
    )


def reviews_of(engine: Engine, name: str, version: str) -> list[Reviewed]:
    """What was said of a version of this number, oldest first, of an earlier one of the same number too."""
    query = select(REVIEWS).where(REVIEWS.c.model == name, REVIEWS.c.version == version).order_by(REVIEWS.c.id)
    with engine.connect() as connection:
        return [
            Reviewed(
                row.reviewer,
                row.verdict,
                row.comment,
                moment(row.at),
                row.artifact_digest,
                row.evidence_digest,
                row.born,
                row.id,
            )
            for row in connection.execute(query)
        ]


def history_of(engine: Engine, name: str, version: str, most: int = 100) -> list[Record]:
    """What the audit says of a version, newest first: also under names that its model had before.

    A name may have been another model's, deleted or renamed since; what was done to that one is left out.
    Entries keep the name that was true when they were written.
    """
    found: list[Record] = []
    below: int | None = None
    for _ in range(_MOST_NAMES):
        with engine.connect() as connection:
            since = connection.scalar(_LEFT, {"of": name, "below": _END if below is None else below}) or 0
        own = records(engine, model=name, version=version, below=below, limit=most - len(found))
        own = [each for each in own if each.seq > since]
        found += own
        if len(found) >= most or any((each.action, each.outcome) == ("create version", "done") for each in own):
            break
        # not made under this name, or before this server governed: only then are all entries searched
        with engine.connect() as connection:
            bounds = {"to": name, "since": since, "below": _END if below is None else below}
            renamed = connection.execute(_RENAMED, bounds).first()
        if renamed is None:
            break
        name, below = renamed.model, renamed.seq
    return found


def makers(source: Engine | Connection, version: Made) -> tuple[tuple[str, str], ...]:
    """Who ran, logged and registered a version, as the server recorded it; nobody is guessed."""
    with source.connect() if isinstance(source, Engine) else nullcontext(source) as connection:
        return makers_of(connection, [version])[0]


def makers_of(connection: Connection, versions: Sequence[Made]) -> tuple[tuple[tuple[str, str], ...], ...]:
    """As `makers`, of each of some versions, in one query."""
    made = [_made(each) for each in versions]
    wanted = sorted({key for each in made for key in each.values()})
    query = select(CREATORS).where(tuple_(CREATORS.c.kind, CREATORS.c.id).in_(wanted))
    found = {(row.kind, row.id): str(row.creator) for row in connection.execute(query)} if wanted else {}
    return tuple(tuple((what, found[key]) for what, key in each.items() if key in found) for each in made)


def _made(version: Made) -> dict[str, tuple[str, str]]:
    logged = _LOGGED.match(version.source or "")
    made = {
        "run": ("run", str(version.run_id or "")),
        "logged": ("logged_model", logged[1] if logged else ""),
        "registered": ("version", f"{version.name}/{version.version}"),
    }
    return {what: (kind, identity) for what, (kind, identity) in made.items() if identity}


def last_acts(engine: Engine) -> dict[str, dict[str, datetime]]:
    """When each actor last did each action; refused ones under ``refused``.

    Entries are only ever added, so what was counted once is kept by each process, and only those since are read.
    """
    with _COUNTING, engine.connect() as connection:
        end = connection.scalar(select(func.max(AUDIT.c.seq))) or 0
        counted, found = _COUNTED.get(str(engine.url), (0, {}))
        if counted > end:  # another log stands there now
            counted, found = 0, {}
        since = (
            select(AUDIT.c.actor, AUDIT.c.action, AUDIT.c.outcome, func.max(AUDIT.c.at))
            .where(AUDIT.c.seq > counted, AUDIT.c.seq <= end)
            .group_by(AUDIT.c.actor, AUDIT.c.action, AUDIT.c.outcome)
        )
        latest = {actor: dict(acts) for actor, acts in found.items()}
        for actor, action, outcome, at in connection.execute(since):
            acts = latest.setdefault(actor, {})
            key = action if outcome == "done" else "refused"
            acts[key] = max(acts.get(key, moment(at)), moment(at))
        _COUNTED[str(engine.url)] = (end, latest)
    return {actor: dict(latest[actor]) for actor in sorted(latest)}


_COUNTED: LRUCache[str, tuple[int, dict[str, dict[str, datetime]]]] = LRUCache(8)
_COUNTING = threading.Lock()


def last_reads(engine: Engine) -> dict[str, datetime]:
    """When each actor last took an artefact of a model."""
    query = select(READS.c.actor, func.max(READS.c.at)).group_by(READS.c.actor)
    with engine.connect() as connection:
        return {actor: moment(at) for actor, at in connection.execute(query)}

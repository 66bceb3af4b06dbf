"""What the governed server has written down, read for people: the audit, reviews, creators, reads."""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy import Connection, func, select
from sqlalchemy.engine import Engine

from model_governance.governed.audit import Record, records
from model_governance.governed.pages.fields import Fields
from model_governance.governed.tables import AUDIT, CREATORS, READS, REVIEWS

__all__ = [
    "MOST",
    "Asked",
    "Reviewed",
    "entries",
    "last_acts",
    "last_reads",
    "makers",
    "moment",
    "reviews_of",
]

MOST = 1000
"""Entries that one page or answer may hold; whoever wants more goes on from the last."""


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
    """What somebody said of a version; `at` in UTC."""

    reviewer: str
    verdict: str
    comment: str
    at: datetime
    artifact_digest: str
    evidence_digest: str
    born: int


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
            )
            for row in connection.execute(query)
        ]


def makers(source: Engine | Connection, version: Made) -> tuple[tuple[str, str], ...]:
    """Who ran, logged and registered a version, as the server recorded it; nobody is guessed."""
    logged = _LOGGED.match(version.source or "")
    made = {
        "run": ("run", version.run_id or ""),
        "logged": ("logged_model", logged[1] if logged else ""),
        "registered": ("version", f"{version.name}/{version.version}"),
    }
    query = select(CREATORS.c.creator)
    with source.connect() if isinstance(source, Engine) else nullcontext(source) as connection:
        found = {
            what: connection.scalar(query.where(CREATORS.c.kind == kind, CREATORS.c.id == each))
            for what, (kind, each) in made.items()
            if each
        }
    return tuple((what, str(who)) for what, who in found.items() if who)


def last_acts(engine: Engine) -> dict[str, dict[str, datetime]]:
    """When each actor last did each action; refused ones under ``refused``."""
    done = (
        select(AUDIT.c.actor, AUDIT.c.action, AUDIT.c.outcome, func.max(AUDIT.c.at))
        .group_by(AUDIT.c.actor, AUDIT.c.action, AUDIT.c.outcome)
        .order_by(AUDIT.c.actor)
    )
    found: dict[str, dict[str, datetime]] = {}
    with engine.connect() as connection:
        for actor, action, outcome, at in connection.execute(done):
            acts = found.setdefault(actor, {})
            key = action if outcome == "done" else "refused"
            acts[key] = max(acts.get(key, moment(at)), moment(at))
    return found


def last_reads(engine: Engine) -> dict[str, datetime]:
    """When each actor last took an artefact of a model."""
    query = select(READS.c.actor, func.max(READS.c.at)).group_by(READS.c.actor)
    with engine.connect() as connection:
        return {actor: moment(at) for actor, at in connection.execute(query)}


def moment(milliseconds: int) -> datetime:
    """A time of the tables, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)

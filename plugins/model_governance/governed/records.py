"""What the server itself wrote down: who made what, who said what, who wrote which tag."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy import bindparam, delete, insert, or_, select, text, tuple_, update
from sqlalchemy.orm import Session

from model_governance.governed.questions import Review
from model_governance.governed.roles import by_account, givers, granted
from model_governance.governed.tables import CREATORS, FILE_WRITERS, REVIEWS, TAG_WRITERS
from model_governance.rules.governance import GovernanceRules

__all__ = [
    "LOGGED_MODEL",
    "MODEL",
    "RUN",
    "TRAINED",
    "VERSION",
    "VersionRow",
    "authors_of",
    "creator_of",
    "forget_model",
    "forget_version",
    "moment",
    "remember_creator",
    "remember_file_writer",
    "remember_review",
    "remember_writer",
    "rename",
    "reviews_of",
    "somebody_is",
    "tags_of_copied",
    "untrusted_tags",
]

RUN, LOGGED_MODEL, MODEL, VERSION = "run", "logged_model", "registered_model", "version"
TRAINED = "logged_model_of_version"
"""Kinds of things that have a creator."""

VersionRow = Any
"""A row of MLflow's versions; its class says columns where instances hold values."""

_FIRST_CREATOR = text(
    f"INSERT INTO {CREATORS.name} (kind, id, creator, at) VALUES (:kind, :id, :creator, :at) "  # noqa: S608
    "ON CONFLICT DO NOTHING"
)
_FILE_WRITER = text(
    f"INSERT INTO {FILE_WRITERS.name} (kind, id, writer, at) VALUES (:kind, :id, :writer, :at) "  # noqa: S608
    "ON CONFLICT DO NOTHING"
)
_CREATOR = select(CREATORS.c.creator).where(
    CREATORS.c.kind == bindparam("of"), CREATORS.c.id == bindparam("named")
)
_LOGGED = re.compile(r"(?<![\w-])m-[0-9a-f]{32}(?![0-9a-f])")
_RUN = re.compile(r"(?:^runs:/+|/)([0-9a-f]{32})(?=/|$)")
_REGISTERED = re.compile(r"models:/+([^/@]+)/(\d+)")
_FURTHEST = 10  # copies of copies that are followed back


def moment(milliseconds: int) -> datetime:
    """A time of the database, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def remember_creator(session: Session, kind: str, identity: str, creator: str, at: int) -> None:
    """Write down who made something; whoever was written down first stays."""
    if creator:
        # one statement, so that it needs no lock; the same words on SQLite and PostgreSQL
        session.connection().execute(_FIRST_CREATOR, {"kind": kind, "id": identity, "creator": creator, "at": at})


def remember_file_writer(session: Session, kind: str, identity: str, writer: str, at: int) -> None:
    """Write down who wrote files into a run or a logged model; nothing changes the second time."""
    session.execute(_FILE_WRITER, {"kind": kind, "id": identity, "writer": writer, "at": at})


def creator_of(session: Session, kind: str, identity: str) -> str | None:
    """Who made something; None where nobody was seen doing so."""
    found = session.scalar(_CREATOR, {"of": kind, "named": identity})
    return None if found is None else str(found)


def authors_of(
    session: Session, version: VersionRow, further_runs: Iterable[str], rules: GovernanceRules
) -> frozenset[str]:
    """Log-ins that registered, logged or trained a version, or wrote files there; those that only record evidence
    are none of them.

    The run and the logged model are found in everything that the version says of where it came from, and in the
    path of its files, so that leaving one out hides nobody.
    """
    made = {(RUN, run) for run in further_runs}
    seen: set[tuple[str, int]] = set()
    row: VersionRow | None = version
    while row is not None and (row.name, row.version) not in seen and len(seen) < _FURTHEST:
        seen.add((row.name, row.version))
        told = f"{row.source or ''} {row.storage_location or ''}".split(" ")
        made |= {(VERSION, f"{row.name}/{row.version}"), (TRAINED, f"{row.name}/{row.version}")}
        made |= {(LOGGED_MODEL, each) for text in told for each in _LOGGED.findall(text)}
        made |= {(RUN, each) for text in told for each in _RUN.findall(text)}
        made |= {(RUN, row.run_id)} if row.run_id else set()
        copied = _REGISTERED.fullmatch(row.source or "")
        row = _version(session, copied[1], int(copied[2])) if copied else None
    told_of = tuple_(CREATORS.c.kind, CREATORS.c.id).in_(sorted(made))
    found = {str(each) for each in session.scalars(select(CREATORS.c.creator).where(told_of))}
    written = tuple_(FILE_WRITERS.c.kind, FILE_WRITERS.c.id).in_(sorted(made))
    found |= {str(each) for each in session.scalars(select(FILE_WRITERS.c.writer).where(written))}
    roles = by_account(granted(session, rules))
    recording = set(rules.evidence.roles)
    return frozenset(each for each in found if not roles.get(each, frozenset()) & recording)


def _version(session: Session, name: str, number: int) -> VersionRow | None:
    """A version, also one that was deleted since it was copied: who made it stays who made it."""
    if number >= 2**31:  # more than either database numbers
        return None
    return session.scalar(
        select(SqlModelVersion).where(
            SqlModelVersion.workspace == DEFAULT_WORKSPACE_NAME,
            SqlModelVersion.name == name,
            SqlModelVersion.version == number,
        )
    )


def tags_of_copied(session: Session, source: str) -> dict[str, str]:
    """Tags of the version that a source ``models:/<name>/<number>`` names; none of any other source."""
    copied = _REGISTERED.fullmatch(source)
    row = _version(session, copied[1], int(copied[2])) if copied else None
    return {tag.key: tag.value for tag in row.model_version_tags} if row is not None else {}


def remember_review(
    session: Session,
    version: VersionRow,
    *,
    files: str,
    evidence: str,
    by: str,
    verdict: str,
    comment: str,
    at: int,
) -> None:
    """Write down what a person said of these files and this evidence."""
    session.execute(
        insert(REVIEWS).values(
            model=version.name, version=str(version.version), born=version.creation_time or 0,
            artifact_digest=files, evidence_digest=evidence, reviewer=by, verdict=verdict, comment=comment, at=at,
        )
    )  # fmt: skip


def reviews_of(
    session: Session, version: VersionRow, digests: Iterable[str], rules: GovernanceRules
) -> tuple[Review, ...]:
    """What was said of a version, or of another version with the same files; oldest first.

    Of the same files under another model's name, what counts is that somebody rejected them, or took that back
    there.
    """
    grants = granted(session, rules)
    roles = by_account(grants)
    number, born = str(version.version), version.creation_time or 0
    same_files = REVIEWS.c.artifact_digest.in_([each for each in digests if each])
    rows = session.execute(
        select(REVIEWS)
        .where(
            or_(
                same_files & ((REVIEWS.c.model == version.name) | REVIEWS.c.verdict.in_(("reject", "reopen"))),
                (REVIEWS.c.model == version.name) & (REVIEWS.c.version == number) & (REVIEWS.c.born == born),
            )
        )
        .order_by(REVIEWS.c.id)
    )
    counting = set(rules.approvals.roles)
    return tuple(
        Review(
            reviewer=row.reviewer,
            verdict=row.verdict,
            comment=row.comment if row.model == version.name else f"{row.comment} (as {row.model!r})",
            at=moment(row.at),
            artifact_digest=row.artifact_digest,
            evidence_digest=row.evidence_digest,
            elsewhere="" if row.model == version.name else row.model,
            fresh=(row.model, row.version, row.born) == (version.name, number, born),
            counted_roles=roles.get(row.reviewer, frozenset()),
            granted_by=givers(grants, row.reviewer, counting),
            id=row.id,
        )
        for row in rows
    )


def remember_writer(session: Session, version: VersionRow, key: str, value: str | None, by: str, at: int) -> None:
    """Write down who wrote a tag that evidence rests on; of a tag that goes, nothing is kept."""
    same = (
        (TAG_WRITERS.c.model == version.name)
        & (TAG_WRITERS.c.version == str(version.version))
        & (TAG_WRITERS.c.key == key)
    )
    session.execute(delete(TAG_WRITERS).where(same))
    if value is not None:
        session.execute(
            insert(TAG_WRITERS).values(
                model=version.name, version=str(version.version), key=key, born=version.creation_time or 0,
                value_digest=_digest(value), writer=by, at=at,
            )
        )  # fmt: skip


def untrusted_tags(
    session: Session, version: VersionRow, tags: dict[str, str], keys: Iterable[str], rules: GovernanceRules
) -> tuple[tuple[str, ...], datetime | None]:
    """Which of these tags nobody wrote whose evidence counts, and when the oldest of the others was written."""
    rows = session.execute(
        select(TAG_WRITERS).where(
            TAG_WRITERS.c.model == version.name,
            TAG_WRITERS.c.version == str(version.version),
            TAG_WRITERS.c.born == (version.creation_time or 0),
        )
    )
    written = {row.key: row for row in rows}
    roles = by_account(granted(session, rules))
    recording = set(rules.evidence.roles)
    untrusted, times = [], []
    for key in keys:
        row = written.get(key)
        if (
            row is None
            or row.value_digest != _digest(tags[key])
            or not roles.get(row.writer, frozenset()) & recording
        ):
            untrusted.append(key)
        else:
            times.append(row.at)
    return tuple(untrusted), moment(min(times)) if times else None


def somebody_is(session: Session, role: str, rules: GovernanceRules) -> bool:
    """Whether anybody has a role."""
    return any(each.role == role for each in granted(session, rules))


def forget_version(session: Session, name: str, version: str) -> None:
    """Forget who wrote the tags of a version that is gone. What was said of its files stays."""
    session.execute(delete(TAG_WRITERS).where(TAG_WRITERS.c.model == name, TAG_WRITERS.c.version == version))


def forget_model(session: Session, name: str) -> None:
    """Forget who made a model and its versions: their numbers will be used again."""
    session.execute(delete(TAG_WRITERS).where(TAG_WRITERS.c.model == name))
    session.execute(delete(CREATORS).where(CREATORS.c.kind == MODEL, CREATORS.c.id == name))
    for identity in _versions_known(session, name):
        session.execute(delete(CREATORS).where(CREATORS.c.kind.in_((VERSION, TRAINED)), CREATORS.c.id == identity))


def rename(session: Session, name: str, new: str) -> None:
    """Let everything that is known of a model be known of it under its new name."""
    for table in (REVIEWS, TAG_WRITERS):
        session.execute(update(table).where(table.c.model == name).values(model=new))
    session.execute(update(CREATORS).where(CREATORS.c.kind == MODEL, CREATORS.c.id == name).values(id=new))
    for identity in _versions_known(session, name):
        moved = f"{new}/{identity.rpartition('/')[2]}"
        same = CREATORS.c.kind.in_((VERSION, TRAINED)) & (CREATORS.c.id == identity)
        session.execute(update(CREATORS).where(same).values(id=moved))


def _versions_known(session: Session, name: str) -> list[str]:
    query = select(CREATORS.c.id).where(
        CREATORS.c.kind == VERSION, CREATORS.c.id.startswith(f"{name}/", autoescape=True)
    )
    return [str(each) for each in session.scalars(query) if str(each).rpartition("/")[0] == name]


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()

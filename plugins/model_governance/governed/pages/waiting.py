"""Which versions wait for a person: neither in Production nor turned down; challengers, then the newest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlModelVersionTag
from mlflow.utils.workspace_context import get_request_workspace
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy import Connection, case, func, select
from sqlalchemy.engine import Engine

from model_governance.governed.pages.records import makers, moment
from model_governance.governed.tables import REVIEWS
from model_governance.stages import NONE, STAGING

__all__ = ["PAGE", "Waiting", "version_with_files", "waiting"]

PAGE = 50
"""Versions on one page."""

_TAGS = ("gates", "review", "semantic_version", "artifact_digest", "mlflow.prompt.is_prompt")
_DECIDED = ("approved", "rejected", "rolled back")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A version that waits.

    Attributes
    ----------
    gates : str
        ``passed``, ``failed``, or empty where it was never judged.
    approvals, objections : tuple of str
        Who said yes, and who said no or asked for changes; each person's last word on the files that it has now.
    made : tuple of (str, str)
        What was done and by whom, as the server recorded it: run, logged, registered.
    """

    name: str
    version: str
    stage: str
    semantic_version: str
    gates: str
    created: datetime
    made: tuple[tuple[str, str], ...]
    approvals: tuple[str, ...]
    objections: tuple[str, ...]


def waiting(engine: Engine, may_read: Callable[[str], bool], page: int = 0) -> tuple[list[Waiting], bool]:
    """One page of the versions that wait and that the reader may see, and whether there are more.

    Parameters
    ----------
    may_read : callable
        Whether the reader may see a registered model of a name.
    page : int
        From 0.
    """
    with engine.connect() as connection:
        found = list(islice(_visible(connection, may_read), page * PAGE, page * PAGE + PAGE + 1))
    return found[:PAGE], len(found) > PAGE


def version_with_files(engine: Engine, name: str, digest: str) -> str | None:
    """Number of the newest version of a model whose evidence is of files of this digest."""
    table = SqlModelVersionTag.__table__.c
    query = select(func.max(table.version)).where(
        table.workspace == (get_request_workspace() or DEFAULT_WORKSPACE_NAME),
        table.name == name,
        table.key == "artifact_digest",
        table.value == digest,
    )
    with engine.connect() as connection:
        number = connection.execute(query).scalar()
    return None if number is None else str(number)


def _visible(connection: Connection, may_read: Callable[[str], bool]) -> Iterator[Waiting]:
    known: dict[str, bool] = {}
    table = SqlModelVersion.__table__.c
    query = (
        select(table.name, table.version, table.current_stage, table.creation_time, table.source, table.run_id)
        .where(
            table.workspace == (get_request_workspace() or DEFAULT_WORKSPACE_NAME),
            table.current_stage.in_([NONE, STAGING]),
        )
        .order_by(case((table.current_stage == STAGING, 0), else_=1), table.creation_time.desc())
    )
    for row in connection.execute(query):
        if row.name not in known:
            known[row.name] = may_read(row.name)
        if not known[row.name]:
            continue
        tags = _tags(connection, row.name, row.version)
        if tags.get("review") in _DECIDED or tags.get("mlflow.prompt.is_prompt"):
            continue
        yes, no = _said(connection, row.name, str(row.version), row.creation_time, tags.get("artifact_digest"))
        yield Waiting(
            row.name,
            str(row.version),
            row.current_stage,
            tags.get("semantic_version", ""),
            tags.get("gates", ""),
            moment(row.creation_time),
            makers(connection, row),
            yes,
            no,
        )


def _tags(connection: Connection, name: str, version: int) -> dict[str, str]:
    table = SqlModelVersionTag.__table__.c
    query = select(table.key, table.value).where(
        table.workspace == (get_request_workspace() or DEFAULT_WORKSPACE_NAME),
        table.name == name,
        table.version == version,
        table.key.in_(_TAGS),
    )
    return {row.key: row.value or "" for row in connection.execute(query)}


def _said(
    connection: Connection, name: str, version: str, born: int, digest: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    last = (
        select(func.max(REVIEWS.c.id))
        .where(REVIEWS.c.model == name, REVIEWS.c.version == version, REVIEWS.c.born == born)
        .group_by(REVIEWS.c.reviewer)
    )
    query = select(REVIEWS.c.reviewer, REVIEWS.c.verdict, REVIEWS.c.artifact_digest).where(REVIEWS.c.id.in_(last))
    rows = [row for row in connection.execute(query) if digest is None or row.artifact_digest == digest]
    return (
        tuple(sorted(row.reviewer for row in rows if row.verdict == "approve")),
        tuple(sorted(row.reviewer for row in rows if row.verdict != "approve")),
    )

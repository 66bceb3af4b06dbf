"""Which versions wait for a person: neither in Production nor turned down; challengers, then the newest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModelAlias,
)
from mlflow.utils.workspace_context import get_request_workspace
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy import ColumnElement, Connection, case, exists, func, or_, select, true, tuple_
from sqlalchemy.engine import Engine

from model_governance.governed.pages.history import makers_of
from model_governance.governed.questions import DECIDED, IS_PROMPT
from model_governance.governed.records import moment
from model_governance.governed.tables import REVIEWS
from model_governance.rules.governance import GovernanceRules
from model_governance.stages import NONE, STAGING
from model_governance.standing import CHAMPION

__all__ = ["LAST_PAGE", "PAGE", "Waiting", "version_with_files", "waiting"]

PAGE = 50
"""Versions on one page."""
LAST_PAGE = 199
"""Nobody turns further; whoever looks for a version further down asks for its model's name."""

_TAGS = ("gates", "semantic_version", "artifact_digest")
_VERSION: Any = SqlModelVersion.__table__.c


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

    def asks(self, user: str, reviews: bool, rules: GovernanceRules) -> str:
        """What it asks of somebody: ``review``, ``evidence``, or empty; ``own``, ``said``, ``others`` say why not.

        Parameters
        ----------
        user : str
            The log-in.
        reviews : bool
            Whether this log-in has a role whose yes counts.
        """
        me = rules.person(user)
        if rules.four_eyes and me in {rules.person(by) for _, by in self.made}:
            return "own"
        if me in {rules.person(by) for by in (*self.approvals, *self.objections)}:
            return "said"
        if not reviews:
            return "others"
        return "review" if self.gates == "passed" or not rules.evidence.required else "evidence"


def waiting(
    engine: Engine, may_read: Callable[[str], bool], page: int = 0, part: str | None = None
) -> tuple[list[Waiting], bool]:
    """One page of the versions that wait and that the reader may see, and whether there are more.

    Parameters
    ----------
    may_read : callable
        Whether the reader may see a registered model of a name.
    page : int
        From 0; at most `LAST_PAGE`, which stands for any later one. A page costs the same few queries whichever
        it is, and however many versions wait.
    part : str, optional
        Only models with this in their name, in any case of letters.
    """
    page = min(page, LAST_PAGE)
    with engine.connect() as connection:
        rows = _rows(connection, may_read, page, part)
        found = _told(connection, rows[:PAGE]) if rows else []
    return found, len(rows) > PAGE and page < LAST_PAGE


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


def _names(connection: Connection, may_read: Callable[[str], bool], part: str | None) -> ColumnElement[bool]:
    """Which models the reader sees: asked once for each model that has a version in these stages."""
    query = select(_VERSION.name).where(_in_stages(), *_named(part)).distinct()
    readable: list[str] = []
    others: list[str] = []
    for name in connection.scalars(query):
        (readable if may_read(name) else others).append(name)
    if len(others) < len(readable):
        return _VERSION.name.not_in(others) if others else true()
    return _VERSION.name.in_(readable)


def _rows(connection: Connection, may_read: Callable[[str], bool], page: int, part: str | None) -> Sequence[Any]:
    tag, alias = SqlModelVersionTag.__table__.c, SqlRegisteredModelAlias.__table__.c
    left_out = exists().where(
        tag.workspace == _VERSION.workspace,
        tag.name == _VERSION.name,
        tag.version == _VERSION.version,
        or_(
            (tag.key == "review") & tag.value.in_(sorted(DECIDED)),
            (tag.key == IS_PROMPT) & (tag.value != ""),
        ),
    )
    # of a registry that is older than its gate, where no stage goes with the alias
    champion = exists().where(
        alias.workspace == _VERSION.workspace,
        alias.name == _VERSION.name,
        alias.version == _VERSION.version,
        alias.alias == CHAMPION,
    )
    query = (
        select(
            *(_VERSION[key] for key in ("name", "version", "current_stage", "creation_time", "source", "run_id"))
        )
        .where(_in_stages(), *_named(part), _names(connection, may_read, part), ~left_out, ~champion)
        .order_by(
            case((_VERSION.current_stage == STAGING, 0), else_=1),
            _VERSION.creation_time.desc(),
            _VERSION.name,
            _VERSION.version.desc(),
        )
        .offset(page * PAGE)
        .limit(PAGE + 1)
    )
    return connection.execute(query).all()


def _in_stages() -> ColumnElement[bool]:
    here: ColumnElement[bool] = _VERSION.workspace == (get_request_workspace() or DEFAULT_WORKSPACE_NAME)
    return here & _VERSION.current_stage.in_([NONE, STAGING])


def _named(part: str | None) -> tuple[ColumnElement[bool], ...]:
    return (_VERSION.name.icontains(part, autoescape=True),) if part else ()


def _told(connection: Connection, rows: Sequence[Any]) -> list[Waiting]:
    tags, said, made = _tags(connection, rows), _said(connection, rows), makers_of(connection, rows)
    found = []
    for row, by in zip(rows, made, strict=True):
        mine = tags.get((row.name, row.version), {})
        digest = mine.get("artifact_digest")
        spoken = [
            each
            for each in said.get((row.name, str(row.version), row.creation_time), ())
            if digest is None or each.artifact_digest == digest
        ]
        found.append(
            Waiting(
                row.name,
                str(row.version),
                row.current_stage,
                mine.get("semantic_version", ""),
                mine.get("gates", ""),
                moment(row.creation_time),
                by,
                tuple(sorted(each.reviewer for each in spoken if each.verdict == "approve")),
                tuple(sorted(each.reviewer for each in spoken if each.verdict != "approve")),
            )
        )
    return found


def _tags(connection: Connection, rows: Sequence[Any]) -> dict[tuple[str, int], dict[str, str]]:
    table = SqlModelVersionTag.__table__.c
    query = select(table.name, table.version, table.key, table.value).where(
        table.workspace == (get_request_workspace() or DEFAULT_WORKSPACE_NAME),
        tuple_(table.name, table.version).in_([(row.name, row.version) for row in rows]),
        table.key.in_(_TAGS),
    )
    found: dict[tuple[str, int], dict[str, str]] = {}
    for row in connection.execute(query):
        found.setdefault((row.name, row.version), {})[row.key] = row.value or ""
    return found


def _said(connection: Connection, rows: Sequence[Any]) -> dict[tuple[str, str, int], list[Any]]:
    """Each person's last word on each version."""
    of = (REVIEWS.c.model, REVIEWS.c.version, REVIEWS.c.born)
    wanted = [(row.name, str(row.version), row.creation_time) for row in rows]
    last = select(func.max(REVIEWS.c.id)).where(tuple_(*of).in_(wanted)).group_by(*of, REVIEWS.c.reviewer)
    query = select(*of, REVIEWS.c.reviewer, REVIEWS.c.verdict, REVIEWS.c.artifact_digest)
    found: dict[tuple[str, str, int], list[Any]] = {}
    for row in connection.execute(query.where(REVIEWS.c.id.in_(last))):
        found.setdefault((row.model, row.version, row.born), []).append(row)
    return found

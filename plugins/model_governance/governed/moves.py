"""A standing brought about: tags, aliases and stages in the transaction that is open, all or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModel,
    SqlRegisteredModelAlias,
    SqlRegisteredModelTag,
)
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from pydantic import ValidationError
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from model_governance.errors import TamperError
from model_governance.stages import PRODUCTION, STAGING
from model_governance.standing import CHALLENGER, CHAMPION, PREVIOUS, SERVING, STANDING_TAG, Standing

__all__ = [
    "MOST_EARLIER",
    "bring_about",
    "contradiction",
    "current_aliases",
    "current_standing",
    "serving_now",
    "summary",
]

MOST_EARLIER = 50
"""How many champions before the previous one are kept as a way back; the tag holds 5,000 characters."""


def current_standing(session: Session, name: str) -> Standing:
    """What stands written; where nothing does, what aliases and, without them, stages say.

    Raises
    ------
    TamperError
        Where the record cannot be read.
    """
    if (written := _written_standing(session, name)) is not None:
        return written
    aliases = current_aliases(session, name)
    return Standing(
        champion=aliases.get(CHAMPION) or _newest(session, name, PRODUCTION),
        previous=aliases.get(PREVIOUS),
        challenger=aliases.get(CHALLENGER) or _newest(session, name, STAGING),
    )


def _written_standing(session: Session, name: str) -> Standing | None:
    text: str | None = session.scalar(
        select(SqlRegisteredModelTag.value).where(
            SqlRegisteredModelTag.workspace == DEFAULT_WORKSPACE_NAME,
            SqlRegisteredModelTag.name == name,
            SqlRegisteredModelTag.key == STANDING_TAG,
        )
    )
    if text is None:
        return None
    try:
        return Standing.model_validate_json(text)
    except ValidationError as error:
        raise TamperError(
            f"the tag {STANDING_TAG} of {name!r} is not one that this package wrote; an operator says which "
            f"version is in Production: model-governance adopt {name} VERSION --reason ..."
        ) from error


def contradiction(session: Session, name: str) -> tuple[str, tuple[str, ...]]:
    """Where stages and aliases say two things of what is in Production, or another than was decided here.

    So it is with a registry from before the gate, or one that was changed past it. A move would then bring back,
    or take away, what nobody asked for.

    Returns
    -------
    str
        A sentence; empty where nothing contradicts.
    tuple of str
        The versions that may be meant, oldest first.
    """
    aliases, staged = current_aliases(session, name), _in_production(session, name)
    at = aliases.get(CHAMPION)
    try:
        written = _written_standing(session, name)
        decided = written.champion if written else None
        trouble = ""
    except TamperError:
        written, decided, trouble = None, None, f"the tag {STANDING_TAG} was not written by this server"
    meant = {*staged, *(each for each in (at, aliases.get(SERVING), decided) if each)}
    candidates = tuple(sorted(meant, key=int))
    if written is not None:
        right = set(staged) == ({decided} if decided else set()) and at in (None, decided)
    else:
        right = not trouble and len(staged) <= 1 and (at is None or not staged or at in staged)
    if right:
        return "", candidates
    said = [
        *([trouble] if trouble else []),
        *([f"version {decided} was decided to be in Production here"] if decided else []),
        f"{'versions ' + ', '.join(staged) if staged else 'no version'} in stage Production",
        f"the alias {CHAMPION} on {f'version {at}' if at else 'none'}",
    ]
    return (
        f"it was changed past this server, or before it governed ({'; '.join(said)}); an operator says which is "
        f"in Production: model-governance adopt {name} {'|'.join(candidates) or 'VERSION'} --reason ..."
    ), candidates


def serving_now(session: Session, name: str) -> str | None:
    """The version that the alias `serving` stands on."""
    return current_aliases(session, name).get(SERVING)


def bring_about(
    session: Session,
    name: str,
    standing: Standing,
    marks: Mapping[str, Mapping[str, str]],
    now: int,
    *,
    serving: bool,
) -> None:
    """Write a standing, and make tags, aliases and stages say the same.

    Parameters
    ----------
    serving : bool
        Whether the alias `serving` moves to the champion.
    marks : mapping of version to tags
        Tags of versions that belong to the move.
    now : int
        ms since the epoch, UTC.
    """
    standing = standing.model_copy(
        update={"earlier": standing.earlier[-MOST_EARLIER:], "marks": {}, "pending": False}
    )
    for number, tags in marks.items():
        _mark(session, name, int(number), tags)
    _write_aliases(session, name, standing, serving)
    session.merge(
        SqlRegisteredModelTag(
            workspace=DEFAULT_WORKSPACE_NAME, name=name, key=STANDING_TAG, value=standing.model_dump_json()
        )
    )
    session.flush()
    _write_stages(session, name, standing, now)
    model: Any = session.get_one(SqlRegisteredModel, (DEFAULT_WORKSPACE_NAME, name))
    model.last_updated_time = now
    session.flush()
    session.expire_all()  # whoever reads on sees what stands in the tables


def _mark(session: Session, name: str, number: int, tags: Mapping[str, str]) -> None:
    query: Any = select(SqlModelVersionTag).where(
        SqlModelVersionTag.workspace == DEFAULT_WORKSPACE_NAME,
        SqlModelVersionTag.name == name,
        SqlModelVersionTag.version == number,
    )
    present = {tag.key: tag for tag in session.scalars(query)}
    for key, value in tags.items():
        if key in present:
            present[key].value = value
        else:
            made: Any = SqlModelVersionTag(name=name, version=number, key=key, value=value)
            made.workspace = DEFAULT_WORKSPACE_NAME
            session.add(made)


def current_aliases(session: Session, name: str) -> dict[str, str]:
    """The version of each alias."""
    query: Any = select(SqlRegisteredModelAlias.alias, SqlRegisteredModelAlias.version).where(
        SqlRegisteredModelAlias.workspace == DEFAULT_WORKSPACE_NAME, SqlRegisteredModelAlias.name == name
    )
    return {str(row.alias): str(row.version) for row in session.execute(query)}


def _newest(session: Session, name: str, stage: str) -> str | None:
    query: Any = select(func.max(SqlModelVersion.version)).where(
        SqlModelVersion.workspace == DEFAULT_WORKSPACE_NAME,
        SqlModelVersion.name == name,
        SqlModelVersion.current_stage == stage,
    )
    found: int | None = session.scalar(query)
    return None if found is None else str(found)


def _in_production(session: Session, name: str) -> list[str]:
    query: Any = (
        select(SqlModelVersion.version)
        .where(
            SqlModelVersion.workspace == DEFAULT_WORKSPACE_NAME,
            SqlModelVersion.name == name,
            SqlModelVersion.current_stage == PRODUCTION,
        )
        .order_by(SqlModelVersion.version)
    )
    return [str(each) for each in session.scalars(query)]


def _write_aliases(session: Session, name: str, standing: Standing, serving: bool) -> None:
    query: Any = select(SqlRegisteredModelAlias).where(
        SqlRegisteredModelAlias.workspace == DEFAULT_WORKSPACE_NAME, SqlRegisteredModelAlias.name == name
    )
    present = {row.alias: row for row in session.scalars(query)}
    for alias, wanted in standing.aliases().items():
        if alias == SERVING and not serving:
            continue
        row = present.get(alias)
        if wanted is None:
            if row is not None:
                session.delete(row)
        elif row is not None:
            row.version = int(wanted)
        else:
            made: Any = SqlRegisteredModelAlias(name=name, alias=alias, version=int(wanted))
            made.workspace = DEFAULT_WORKSPACE_NAME
            session.add(made)


def _write_stages(session: Session, name: str, standing: Standing, now: int) -> None:
    """Whatever takes part in the standing, or stands in a stage that only it gives."""
    named = {each for each in (standing.champion, standing.previous, standing.challenger) if each}
    named |= {standing.last.version} if standing.last else set()
    version: Any = SqlModelVersion
    taking_part = or_(
        version.current_stage.in_((PRODUCTION, STAGING)), version.version.in_([int(each) for each in named])
    )
    session.expire_all()
    for row in session.scalars(
        select(version).where(
            version.workspace == DEFAULT_WORKSPACE_NAME,
            version.name == name,
            version.current_stage != STAGE_DELETED_INTERNAL,
            taking_part,
        )
    ):
        stage = standing.stage(row.to_mlflow_entity())
        if row.current_stage != stage:
            row.current_stage = stage
            row.last_updated_time = now


def summary(standing: Standing, serving: str | None) -> str:
    """Who is what, for the audit."""
    return json.dumps(
        {key: getattr(standing, key) for key in (CHAMPION, PREVIOUS, CHALLENGER)} | {SERVING: serving}
    )

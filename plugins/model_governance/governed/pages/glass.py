"""Which versions are in Production past the rules: what every page says until another one stands there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlModelVersionTag
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy import and_, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from model_governance.stages import PRODUCTION

__all__ = ["BrokenGlass", "broken_glass"]

_logger = logging.getLogger(__name__)
_TAGS = ("broke_glass_by", "broke_glass_at", "broke_glass_reason", "approved_at")


@dataclass(frozen=True, slots=True)
class BrokenGlass:
    """A version that somebody moved to Production past the rules, and that is there now.

    Attributes
    ----------
    at : str
        ISO 8601, UTC.
    """

    name: str
    version: str
    by: str
    at: str
    reason: str


def broken_glass(engine: Engine, may_read: Callable[[str], bool]) -> tuple[BrokenGlass, ...]:
    """Those that the reader may see, the newest first; none where the database does not answer.

    One that was promoted again since, with all that the rules ask for, is none of them.

    Parameters
    ----------
    may_read : callable
        Whether the reader may see a registered model of a name.
    """
    version, tag = SqlModelVersion.__table__.c, SqlModelVersionTag.__table__.c
    same = and_(tag.workspace == version.workspace, tag.name == version.name, tag.version == version.version)
    query = (
        select(version.name, version.version, tag.key, tag.value)
        .join_from(SqlModelVersion.__table__, SqlModelVersionTag.__table__, same)
        .where(
            version.workspace == DEFAULT_WORKSPACE_NAME, version.current_stage == PRODUCTION, tag.key.in_(_TAGS)
        )
    )
    tags: dict[tuple[str, str], dict[str, str]] = {}
    try:
        with engine.connect() as connection:
            for row in connection.execute(query):
                tags.setdefault((row.name, str(row.version)), {})[row.key] = row.value or ""
    except SQLAlchemyError as error:  # also the page that says so has this banner
        _logger.warning("cannot tell whether glass is broken: %s", type(error).__name__)
        return ()
    found = [
        BrokenGlass(name, number, said.get("broke_glass_by", ""), at, said.get("broke_glass_reason", ""))
        for (name, number), said in tags.items()
        if (at := said.get("broke_glass_at", "")) and at >= said.get("approved_at", "") and may_read(name)
    ]
    return tuple(sorted(found, key=lambda each: each.at, reverse=True))

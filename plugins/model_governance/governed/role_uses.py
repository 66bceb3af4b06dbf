"""On which days a role was used that only reads: one row per log-in, role and day, and no more."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from cachetools import LRUCache
from sqlalchemy import func, select, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from model_governance.governed.beside import beside
from model_governance.governed.tables import ROLE_USES

__all__ = ["last_uses", "used_today"]

_logger = logging.getLogger(__name__)
_DAY_S = 24 * 3600
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REMEMBER = text(
    f"INSERT INTO {ROLE_USES.name} (actor, role, day) VALUES (:actor, :role, :day) "  # noqa: S608
    "ON CONFLICT DO NOTHING"
)
# what this process wrote already: the second page of a day costs nothing
_written: LRUCache[tuple[str, str, str], int] = LRUCache(1000)


def used_today(engine: Engine, actor: str, role: str, now: float) -> None:
    """Write down that somebody used a role today; `now` in seconds since the epoch. Never raises."""
    day, key = int(now // _DAY_S), (str(engine.url), actor, role)
    if _written.get(key) == day:
        return
    try:
        with beside(engine) as connection:
            connection.execute(_REMEMBER, {"actor": actor, "role": role, "day": day})
    except SQLAlchemyError as error:
        _logger.warning("could not note that %s used the role %s: %s", actor, role, type(error).__name__)
    else:
        _written[key] = day


def last_uses(engine: Engine, role: str) -> dict[str, datetime]:
    """The last day on which each log-in used a role that only reads; its first moment, UTC."""
    query = select(ROLE_USES.c.actor, func.max(ROLE_USES.c.day)).where(ROLE_USES.c.role == role)
    with engine.connect() as connection:
        rows = connection.execute(query.group_by(ROLE_USES.c.actor)).all()
    return {actor: _EPOCH + timedelta(days=day) for actor, day in rows}

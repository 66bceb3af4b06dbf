"""Who writes into a run or a logged model that somebody else made.

What the validator measured is written by the validator alone: otherwise a figure in its run would count as its
own. Into anybody else's run others may write, as people who work together do; whoever writes files there is from
then on one of its authors, and does not approve what comes of it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from cachetools import LRUCache
from sqlalchemy import select, tuple_
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from model_governance.governed.actor import Actor
from model_governance.governed.records import LOGGED_MODEL, RUN, creator_of, remember_file_writer
from model_governance.governed.roles import by_account, granted
from model_governance.governed.tables import CREATORS
from model_governance.rules.governance import GovernanceRules

__all__ = ["RunWrites", "named_in"]

_NAMED = re.compile(r"(?:^|/)(m-[0-9a-f]{32}|[0-9a-f]{32})(?=/|$)")
_AT_ONCE = 400  # things that one query asks for


def named_in(place: str) -> list[tuple[str, str]]:
    """The runs and logged models whose identifiers stand in a place, as kind and identifier.

    Examples
    --------
    >>> named_in(f"s3://bucket/1/{32 * 'a'}/artifacts/model")
    [('run', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')]
    """
    return [(LOGGED_MODEL if each.startswith("m-") else RUN, each) for each in _NAMED.findall(place)]


@dataclass(frozen=True, slots=True)
class RunWrites:
    """Asked before something is written.

    Attributes
    ----------
    engine : Engine
        Of the registry's database.
    rules : callable
        What the server enforces.
    """

    engine: Engine
    rules: Callable[[], GovernanceRules]
    # whoever made something stays who made it, and whoever wrote stays a writer; nothing else is kept
    _makers: LRUCache[tuple[str, str], str] = field(default_factory=lambda: LRUCache(20_000), init=False)
    _writers: LRUCache[tuple[str, str, str], bool] = field(default_factory=lambda: LRUCache(20_000), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def trouble(self, actor: Actor, things: Iterable[tuple[str, str]]) -> str | None:
        """Why somebody may not write into one of these runs and logged models; None where they may."""
        for kind, identity in things:
            maker = self._maker(kind, identity)
            if maker is None or maker == actor.name or not self._measures(maker):
                continue
            return (
                f"{_what(kind)} {identity} is {maker}'s, whose measurements are evidence, and {maker} alone "
                "writes there; log into a run of your own"
            )
        return None

    def loss(self, actor: Actor, things: Sequence[tuple[str, str]]) -> str | None:
        """Why somebody may not delete all of these runs and logged models at once; None where they may.

        They may be many: who made them is asked in few queries, and for measurers alone.
        """
        with Session(self.engine) as session:
            roles = by_account(granted(session, self.rules()))
            measuring = sorted(user for user, held in roles.items() if user != actor.name and self._evident(held))
            for first in range(0, len(things) if measuring else 0, _AT_ONCE):
                some = things[first : first + _AT_ONCE]
                made = select(CREATORS).where(
                    CREATORS.c.creator.in_(measuring), tuple_(CREATORS.c.kind, CREATORS.c.id).in_(some)
                )
                if row := session.execute(made).first():
                    return (
                        f"{_what(row.kind)} {row.id} in it is {row.creator}'s, whose measurements are evidence, "
                        f"and {row.creator} alone deletes it; leave the experiment, or give {row.creator} MANAGE "
                        "on it and let it delete what it made there first"
                    )
        return None

    def remember(self, actor: Actor, things: Iterable[tuple[str, str]]) -> None:
        """Write down that somebody is about to write files into what another one made.

        Raises
        ------
        SQLAlchemyError
            Where it cannot be written; then let no file be written either.
        """
        for kind, identity in things:
            key = (kind, identity, actor.name)
            with self._lock:
                known = key in self._writers
            if known or self._maker(kind, identity) == actor.name:
                continue
            with Session(self.engine) as session, session.begin():
                remember_file_writer(session, kind, identity, actor.name, round(time.time() * 1000))
            with self._lock:
                self._writers[key] = True

    def _maker(self, kind: str, identity: str) -> str | None:
        key = (kind, identity)
        with self._lock:
            known = self._makers.get(key)
        if known is not None:
            return known
        with Session(self.engine) as session:
            found = creator_of(session, kind, identity)
        if found is not None:
            with self._lock:
                self._makers[key] = found
        return found

    def _measures(self, user: str) -> bool:
        with Session(self.engine) as session:
            return self._evident(each.role for each in granted(session, self.rules(), user))

    def _evident(self, held: Iterable[str]) -> bool:
        """Whether the measurements of whoever has these roles are evidence."""
        rules = self.rules().evidence
        return not {*rules.roles, *rules.measured_by}.isdisjoint(held)


def _what(kind: str) -> str:
    return "run" if kind == RUN else "logged model"

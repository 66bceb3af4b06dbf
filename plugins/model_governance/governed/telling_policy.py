"""From when on which rules and gates held, told to the audit where a server starts by others than before."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import select

from model_governance.governed.actor import Actor
from model_governance.governed.audit.chain import Entry, append
from model_governance.governed.deciding import Deciding
from model_governance.governed.tables import AUDIT

__all__ = ["TellingPolicy"]

_POLICY = "policy"


class TellingPolicy(Deciding):
    """The part of the store that a server's start asks."""

    def tell_policy(self) -> None:
        """Let the audit tell from when on which rules and gates held, and what is not as it was before.

        A server's start does, and nobody else who opens the registry.
        """
        said = self.rules.model_dump(mode="json")
        rules = hashlib.sha256(self.rules.model_dump_json().encode()).hexdigest()
        gates = self.server_policy.digest
        last = (
            select(AUDIT.c.after, AUDIT.c.detail)
            .where(AUDIT.c.action == _POLICY)
            .order_by(AUDIT.c.seq.desc())
            .limit(1)
        )
        with self.ManagedSessionMaker() as session:
            if _same_policy(session.execute(last).one_or_none(), rules, gates):
                return
        with self.transactions.writing() as session:
            before = session.execute(last).one_or_none()
            if _same_policy(before, rules, gates):
                return  # another worker has told it meanwhile
            known_before = json.loads(before.detail or "{}") if before is not None else {}
            held = known_before.get("rules") or {}
            changed = [key for key in said if held and said[key] != held.get(key)]
            changed += ["gates"] if known_before.get("gates") != gates else []
            detail = {"rules": said, "gates": gates, "changed": ", ".join(changed)}
            then = None if before is None else before.after
            append(session, Entry(Actor("(server)"), _POLICY, before=then, after=rules, detail=detail))


def _same_policy(told: Any, rules: str, gates: str | None) -> bool:
    if told is None or told.after != rules:
        return False
    detail = json.loads(told.detail or "{}")
    return "gates" not in detail or detail["gates"] == gates  # it is missing where the rules were too long to keep

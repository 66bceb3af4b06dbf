"""Who is what: roles that an admin granted on the server, and those that the policy's file gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from model_governance.governed.actor import Actor
from model_governance.governed.tables import ROLES
from model_governance.rules.governance import SERVICE_ROLES, GovernanceRules, Role

__all__ = ["ALL_ROLES", "SERVICE_ROLES", "Grant", "grant", "granted", "known_role", "roles_of", "withdraw"]

ALL_ROLES: tuple[Role, ...] = get_args(Role)
"""data_scientist, reviewer, operator, auditor, admin, validator, rollout, break_glass."""

_KEPT = "governance grants"
POLICY = "(policy)"
"""Who granted a role that the policy's file gives."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One role of one log-in; `at` in ms since the epoch (UTC), 0 where the policy's file gives it."""

    user: str
    role: str
    granted_by: str
    at: int


def known_role(role: str) -> Role:
    """The role of this name.

    Raises
    ------
    ValueError
        Where there is none.

    Examples
    --------
    >>> known_role("reviewer")
    'reviewer'
    """
    for each in ALL_ROLES:
        if each == role:
            return each
    raise ValueError(f"there is no role {role!r}; there are {', '.join(ALL_ROLES)}")


def granted(session: Session, rules: GovernanceRules, user: str | None = None) -> tuple[Grant, ...]:
    """Everything that was granted, or what was granted to one log-in; sorted by log-in and role.

    Everything is read once in a session, and kept there until somebody's roles change in it.
    """
    everybody: tuple[Grant, ...] | None = session.info.get(_KEPT)
    if everybody is not None:
        return tuple(each for each in everybody if user in (None, each.user))
    query = select(ROLES) if user is None else select(ROLES).where(ROLES.c.user == user)
    found = {
        (account, role): Grant(account, role, POLICY, 0)
        for account, roles in rules.accounts.items()
        for role in roles
        if user is None or account == user
    }
    for row in session.execute(query):
        found[row.user, row.role] = Grant(row.user, row.role, row.granted_by, row.granted_at)
    grants = tuple(found[key] for key in sorted(found))
    if user is None:
        session.info[_KEPT] = grants
    return grants


def roles_of(session: Session, rules: GovernanceRules, actor: Actor) -> frozenset[str]:
    """What somebody who asks is. MLflow's mark of an admin makes an admin, and nothing else."""
    found = frozenset(each.role for each in granted(session, rules, actor.name)) if actor.name else frozenset()
    return found | {"admin"} if actor.is_admin and actor.name else found


def grant(session: Session, user: str, role: Role, by: str, at: int) -> None:
    """Write a role down; nothing changes where it stands already."""
    session.info.pop(_KEPT, None)
    present = select(ROLES.c.role).where(ROLES.c.user == user, ROLES.c.role == role)
    if session.scalar(present) is None:
        session.execute(insert(ROLES).values(user=user, role=role, granted_by=by, granted_at=at))


def withdraw(session: Session, user: str, role: Role) -> bool:
    """Take a role away; whether it stood there."""
    session.info.pop(_KEPT, None)
    gone = delete(ROLES).where(ROLES.c.user == user, ROLES.c.role == role)
    return bool(session.connection().execute(gone).rowcount)


def by_account(grants: tuple[Grant, ...]) -> Mapping[str, frozenset[str]]:
    """The roles of every log-in."""
    found: dict[str, set[str]] = {}
    for each in grants:
        found.setdefault(each.user, set()).add(each.role)
    return {user: frozenset(roles) for user, roles in found.items()}

"""Who is what: roles that an admin granted on the server, and those that the policy's file gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.orm import Session

from model_governance.governed.actor import Actor
from model_governance.governed.tables import ROLES
from model_governance.rules.governance import SERVICE_ROLES, GovernanceRules, Role

__all__ = [
    "ALL_ROLES",
    "SERVICE_ROLES",
    "Grant",
    "givers",
    "grant",
    "granted",
    "hand_over",
    "known_role",
    "password_set",
    "roles_of",
    "withdraw",
]

ALL_ROLES: tuple[Role, ...] = get_args(Role)
"""data_scientist, reviewer, operator, auditor, admin, validator, rollout, break_glass."""

_KEPT = "governance grants"
POLICY = "(policy)"
"""Who granted a role that the policy's file gives."""
_PASSWORD, _ASKED, _SUSPENDED = "(password)", "(password asked)", "(suspended)"
_MARKS = frozenset({_PASSWORD, _ASKED, _SUSPENDED})
"""Rows that are no roles: who set the password of a log-in, who last began to, and who so suspended what the
policy's file gives."""
# Built once: every call that the gate lets through pays for these.
_ALL = select(ROLES)
_OF_ONE = select(ROLES).where(ROLES.c.user == bindparam("of"))


@dataclass(frozen=True, slots=True)
class Grant:
    """One role of one log-in; `at` in ms since the epoch (UTC), 0 where the policy's file gives it.

    Attributes
    ----------
    password_by : frozenset of str
        Who else may have set the password that the log-in has.
    """

    user: str
    role: str
    granted_by: str
    at: int
    password_by: frozenset[str] = frozenset()


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
    connection = session.connection()
    rows = (connection.execute(_ALL) if user is None else connection.execute(_OF_ONE, {"of": user})).all()
    suspended = {row.user for row in rows if row.role == _SUSPENDED}
    setters: dict[str, set[str]] = {}
    for row in rows:
        if row.role in (_PASSWORD, _ASKED):
            setters.setdefault(row.user, set()).add(row.granted_by)
    password = {of: frozenset(by) for of, by in setters.items()}
    found = {
        (account, role): Grant(account, role, POLICY, 0, password.get(account, frozenset()))
        for account, roles in rules.accounts.items()
        for role in roles
        if user in (None, account) and account not in suspended
    }
    for row in rows:
        if row.role not in _MARKS:
            by = password.get(row.user, frozenset())
            found[row.user, row.role] = Grant(row.user, row.role, row.granted_by, row.granted_at, by)
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


def password_set(session: Session, user: str, by: str, at: int) -> None:
    """Write down that somebody else sets the password of a log-in: from now on they may be behind it.

    So may whoever set it before: nobody knows yet whether this will be done.
    """
    _mark(session, user, _ASKED, by, at)


def hand_over(session: Session, user: str, by: str, at: int, *, suspend: bool) -> None:
    """Take every role from a log-in that may be another person's from now on.

    Parameters
    ----------
    suspend : bool
        Whether what the policy's file gives it counts no more, too, until an admin gives it again. Not for a
        log-in that is made for the first time.
    """
    session.info.pop(_KEPT, None)
    session.connection().execute(delete(ROLES).where(ROLES.c.user == user, ROLES.c.role != _SUSPENDED))
    for mark in (_PASSWORD, _SUSPENDED) if suspend else (_PASSWORD,):
        _mark(session, user, mark, by, at)


def _mark(session: Session, user: str, mark: str, by: str, at: int) -> None:
    session.info.pop(_KEPT, None)
    session.connection().execute(delete(ROLES).where(ROLES.c.user == user, ROLES.c.role == mark))
    session.execute(insert(ROLES).values(user=user, role=mark, granted_by=by, granted_at=at))


def givers(grants: Iterable[Grant], user: str, roles: Iterable[str]) -> frozenset[str]:
    """Whoever a log-in has one of these roles from, or its password: their word and its word may be one.

    Examples
    --------
    >>> sorted(givers([Grant("rita", "reviewer", "root", 1, frozenset({"ann"}))], "rita", ["reviewer"]))
    ['ann', 'root']
    """
    mine = [each for each in grants if each.user == user and each.role in set(roles)]
    return frozenset(by for each in mine for by in (each.granted_by, *each.password_by) if by)


def by_account(grants: tuple[Grant, ...]) -> Mapping[str, frozenset[str]]:
    """The roles of every log-in."""
    found: dict[str, set[str]] = {}
    for each in grants:
        found.setdefault(each.user, set()).add(each.role)
    return {user: frozenset(roles) for user, roles in found.items()}

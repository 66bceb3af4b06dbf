"""The access review: who can do what, when they last did, and what to withdraw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from model_governance.governed.pages.history import last_acts, last_reads
from model_governance.governed.pages.sources import Account, Sources
from model_governance.governed.role_uses import last_uses
from model_governance.governed.roles import POLICY, SERVICE_ROLES, Grant
from model_governance.rules.governance import GovernanceRules

__all__ = ["Access", "RoleUse", "judge_access", "powers", "review_access"]

_READING = "read the audit"
_USES: Mapping[str, frozenset[str]] = {
    "data_scientist": frozenset({"create model", "create version", "describe", "tag", "alias", "challenge"}),
    "reviewer": frozenset({"approve", "reject", "changes", "reopen", "promote", "challenge", "archive"}),
    "operator": frozenset(
        {"promote", "rollback", "archive", "rename", "delete version", "delete model", "webhook"}
    ),
    "admin": frozenset({"grant", "withdraw role"}),
    "validator": frozenset({"create model", "create version", "describe", "tag", "challenge"}),
    "rollout": frozenset({"serve"}),
    "break_glass": frozenset({"break glass"}),
    "auditor": frozenset({_READING}),
}
"""Which acts show that a role is used: those of the audit, and reading it, which leaves no entry there."""

_DECIDING = frozenset({"reviewer", "operator", "break_glass"})
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RoleUse:
    """One role of a log-in.

    Attributes
    ----------
    granted_at : datetime or None
        None where the policy's file or MLflow gives it.
    last_used : datetime or None
        None where it never was.
    traced : bool
        Whether using it leaves an entry in the audit.
    """

    role: str
    granted_by: str
    granted_at: datetime | None
    last_used: datetime | None
    traced: bool = True


@dataclass(frozen=True, slots=True)
class Access:
    """One log-in: what it can do, when it last did anything, and what should be taken from it.

    Attributes
    ----------
    exists : bool
        False where roles are left of a log-in that is gone; whoever made it anew would have them.
    can : tuple of str
        What its roles let it do.
    permissions : tuple of str
        What MLflow lets it do beside.
    withdraw : tuple of str
        What to take away and why, one sentence each.
    """

    user: str
    exists: bool
    is_admin: bool
    roles: tuple[RoleUse, ...]
    can: tuple[str, ...]
    permissions: tuple[str, ...]
    last_act: datetime | None
    last_read: datetime | None
    withdraw: tuple[str, ...]


def review_access(sources: Sources, idle: timedelta, now: datetime | None = None) -> tuple[Access, ...]:
    """The review of everybody, those with something to withdraw first.

    Parameters
    ----------
    idle : timedelta
        How long a role may stay unused.
    """
    registry = sources.registry()
    acts, reads = last_acts(registry.engine), last_reads(registry.engine)
    for user, day in last_uses(registry.engine, "auditor").items():
        acts.setdefault(user, {})[_READING] = day
    return judge_access(
        sources.accounts.everybody(),
        registry.grants(),
        registry.rules,
        acts,
        reads,
        idle,
        now or datetime.now(UTC),
    )


def judge_access(
    accounts: Sequence[Account],
    grants: Iterable[Grant],
    rules: GovernanceRules,
    acts: Mapping[str, Mapping[str, datetime]],
    reads: Mapping[str, datetime],
    idle: timedelta,
    now: datetime,
) -> tuple[Access, ...]:
    """The same of what is given. Pure.

    Parameters
    ----------
    acts, reads : mapping
        By log-in: when it last did each action, and when it last took a model's file.
    """
    held: dict[str, list[Grant]] = {}
    for grant in grants:
        held.setdefault(grant.user, []).append(grant)
    known = {account.name: account for account in accounts}
    found = []
    for user in sorted({*known, *held}):
        account, mine = known.get(user), acts.get(user, {})
        roles = [_use(grant, mine) for grant in held.get(user, [])]
        if account is not None and account.is_admin and "admin" not in {each.role for each in roles}:
            roles.append(RoleUse("admin", "(MLflow)", None, _latest(mine, _USES["admin"])))
        names = frozenset(each.role for each in roles)
        found.append(
            Access(
                user=user,
                exists=account is not None,
                is_admin=bool(account and account.is_admin),
                roles=tuple(roles),
                can=tuple(dict.fromkeys(power for role in sorted(names) for power in powers(role, rules))),
                permissions=account.permissions if account else (),
                last_act=max((at for act, at in mine.items() if act != _READING), default=None),
                last_read=reads.get(user),
                withdraw=tuple(_withdraw(user, account is not None, roles, idle, now)),
            )
        )
    return tuple(sorted(found, key=lambda each: (not each.withdraw, each.user)))


def powers(role: str, rules: GovernanceRules) -> tuple[str, ...]:
    """What a role lets somebody do by these rules, one phrase each.

    Examples
    --------
    >>> powers("rollout", GovernanceRules())
    ('move the alias serving',)
    """
    moves = {
        "registration": "register models and versions",
        "staging": "make a version the challenger",
        "production": "move an approved version to Production",
        "archive": "archive what is not in use",
        "rollback": "roll back",
        "delete": "delete what nobody decided on",
        "rename": "rename a model that never served",
    }
    found = ["approve and reject versions"] if role in rules.approvals.roles else []
    found += ["record evidence"] if role in rules.evidence.roles else []
    found += [phrase for move, phrase in moves.items() if role in getattr(rules.moves, move)]
    beside = {
        "auditor": "read the whole audit and this review",
        "admin": "make log-ins, give and take roles, read the audit",
        "rollout": "move the alias serving",
        "break_glass": "promote past the rules, with a reason and an alarm",
    }
    return (*found, *([beside[role]] if role in beside else []))


def _use(grant: Grant, acts: Mapping[str, datetime]) -> RoleUse:
    granted = datetime.fromtimestamp(grant.at / 1000, UTC) if grant.at else None
    used = _latest(acts, _USES.get(grant.role, frozenset()))
    return RoleUse(grant.role, grant.granted_by, granted, used, grant.role in _USES)


def _latest(acts: Mapping[str, datetime], wanted: frozenset[str]) -> datetime | None:
    return max((at for action, at in acts.items() if action in wanted), default=None)


def _withdraw(user: str, exists: bool, roles: Sequence[RoleUse], idle: timedelta, now: datetime) -> Iterable[str]:
    names = {each.role for each in roles}
    if not exists and roles:
        yield (
            f"all roles ({', '.join(sorted(names))}): there is no log-in {user}, and whoever made one of that "
            "name would have them"
        )
        return
    if "admin" in names and (both := sorted(names & _DECIDING)):
        yield (
            f"admin or {', '.join(both)}: who gives roles should decide on no version; an admin can let a second "
            "log-in approve"
        )
    if (service := sorted(names & SERVICE_ROLES)) and (person := sorted(names - SERVICE_ROLES)):
        yield f"{', '.join(person)}: a log-in that is a program ({', '.join(service)}) is no person"
    for each in roles:
        if not each.traced or each.granted_by == "(MLflow)":
            continue
        since = max(each.last_used or _NEVER, each.granted_at or _NEVER)
        if since == _NEVER or now - since > idle:
            used = f"last used on {each.last_used:%Y-%m-%d}" if each.last_used else "never used"
            where = "; it stands in the policy's file" if each.granted_by == POLICY else ""
            yield f"{each.role}: {used}, {idle.days} days are allowed{where}"

"""MLflow's permissions, as far as somebody could keep out with them whoever decides on their model.

Whoever makes a model manages it in MLflow's eyes, and may so deny it to reviewers and operators: nobody could
review it or roll it back. What such a log-in may do is taken from it by an admin alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from model_governance.governed.roles import ALL_ROLES, granted
from model_governance.rules.governance import GovernanceRules

__all__ = ["keeps_out", "model_of"]

_DENYING = frozenset({"DENY", "NO_PERMISSIONS"})
_TAKING = frozenset({"revoke_user_permission", "unassign_role"})
_MODELS = frozenset({"registered_model", "registered_model_version"})


def keeps_out(
    engine: Engine,
    rules: GovernanceRules,
    endpoint: str,
    asked: Iterable[tuple[str, str]],
    who: str,
) -> str | None:
    """Why somebody who is no admin may not change a permission like this; None where they may.

    Parameters
    ----------
    asked : iterable of (str, str)
        Names and values of what is asked, wherever they stand in the request.
    who : str
        The log-in that asks.
    """
    asked = list(asked)
    if not _DENYING.isdisjoint(value for name, value in asked if name == "permission"):
        # of whoever it is about: a role may be given to them later, and the veto would still stand
        return (
            "on a governed server an admin alone denies: whoever reviews or operates a model, now or later, must "
            "not be kept out by who made it; give a permission to those who need one, or ask an admin"
        )
    if endpoint not in _TAKING:
        return None
    for user in sorted({value for name, value in asked if name == "username" and value != who}):
        with Session(engine) as session:
            held = {each.role for each in granted(session, rules, user)} & _deciding(rules)
        if held:
            return (
                f"{user} is {', '.join(sorted(held))} here, and what MLflow permits such a log-in is taken by an "
                "admin alone; ask one"
            )
    return None


def model_of(asked: Collection[tuple[str, str]]) -> str | None:
    """The registered model that a change of permissions is about; None where it is about something else, or all.

    Examples
    --------
    >>> model_of([("resource_type", "registered_model"), ("resource_id", "street"), ("permission", "DENY")])
    'street'
    """
    if _MODELS.isdisjoint(value for name, value in asked if name == "resource_type"):
        return None
    named = (value for name, value in asked if name in ("resource_id", "resource_pattern") and value != "*")
    return next(named, None)


def _deciding(rules: GovernanceRules) -> set[str]:
    """Roles without which a model would not be judged, moved or looked after."""
    also = (*rules.approvals.roles, *rules.moves.production, *rules.moves.rollback)
    return ({*ALL_ROLES} - {"data_scientist"}) | {*also}

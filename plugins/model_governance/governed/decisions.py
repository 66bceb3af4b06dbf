"""The decision: may this person do this to this version now. Pure: facts in, sentences out.

Every sentence says what is missing and, where somebody can mend it, how; a reviewer reads them in MLflow's UI.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from model_governance.governed import upkeep
from model_governance.governed.needs import (
    approves_by_asking,
    approving,
    four_eyes,
    frozen,
    judged_otherwise,
    lacks_evidence,
    lacks_reason,
    may_serve,
    objections,
    takes_role,
    too_long,
)
from model_governance.governed.questions import DECIDED, MOVING, Action, Ask, Evidence, Facts, Review
from model_governance.rules.governance import GovernanceRules
from model_governance.stages import ARCHIVED

__all__ = ["Action", "Ask", "Evidence", "Facts", "Review", "approves_by_asking", "approving", "decide"]


def decide(ask: Ask, facts: Facts, rules: GovernanceRules) -> tuple[str, ...]:
    """Why not, one sentence each; empty where it may be done.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> facts = Facts(datetime(2026, 1, 1, tzinfo=UTC))
    >>> decide(Ask("rename", "ann", frozenset({"reviewer"}), "m", subject="n"), facts, GovernanceRules())
    ('renaming a model takes the role operator; ann has reviewer',)
    """
    if not ask.who:
        return ("nobody is logged in; the registry is changed through the governed server, with a log-in",)
    if ask.action in MOVING and facts.prompt:
        return (f"{ask.model} is one of MLflow's prompts, of which nothing is judged or staged; set an alias",)
    return tuple(dict.fromkeys(_DECISIONS[ask.action](ask, facts, rules)))


def _promote(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    found = takes_role("moving a version to Production", rules.moves.production, ask)
    if ask.version == facts.standing.champion:
        return found  # nothing moves
    found += too_long(ask)
    found += may_serve(ask, facts, rules)
    found += judged_otherwise(facts)
    return found + frozen(facts, rules)


def _challenge(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    found = takes_role("moving a version to Staging", rules.moves.staging, ask)
    if ask.version == facts.standing.champion:
        found.append("it is the champion; promote another version, or roll back")
    return found + lacks_evidence(facts, rules) + objections(facts, rules)


def _withdraw(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    return takes_role("taking a challenger back", rules.moves.staging, ask)


def _archive(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    if ask.version == facts.standing.champion:
        return [
            "it is the champion and leaves Production only for another: promote one, or roll back with a reason"
        ]
    if ask.value != ARCHIVED and (facts.review in DECIDED or ask.version in facts.standing.former()):
        return ["somebody has decided on it: it stays archived"]
    if ask.version == facts.standing.challenger:
        return takes_role("taking the challenger back", (*rules.moves.staging, *rules.moves.archive), ask)
    return takes_role("archiving a version", rules.moves.archive, ask)


def _rollback(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    found = takes_role("rolling back", rules.moves.rollback, ask) + lacks_reason(ask)
    if ask.version is None:
        return [*found, "there is no earlier champion to go back to; promote another version instead"]
    if facts.files is None:
        found.append(f"the files of version {ask.version} cannot be read: {facts.files_trouble}")
    elif facts.approved_files and facts.files != facts.approved_files:
        found.append(
            f"the files of version {ask.version} have digest {facts.files[:16]}, but "
            f"{facts.approved_files[:16]} was approved; promote another version"
        )
    return found


def _adopt(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    return takes_role("saying which version is in Production", rules.moves.rollback, ask) + lacks_reason(ask)


def _break_glass(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    found = takes_role("breaking the glass", ("break_glass",), ask) + lacks_reason(ask)
    if facts.files is None:
        found.append(f"the files of version {ask.version} cannot be read: {facts.files_trouble}")
    return found


def _review(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    found = takes_role("reviewing", rules.approvals.roles, ask) + lacks_reason(ask)
    if ask.action == "approve":
        return (
            found
            + four_eyes("approve", ask, facts, rules)
            + lacks_evidence(facts, rules)
            + judged_otherwise(facts)
        )
    if ask.action == "reopen":
        found += four_eyes("reopen", ask, facts, rules)
    if ask.action in ("reject", "reopen") and ask.version in (facts.standing.champion, facts.standing.previous):
        found.append("it is or was in Production; roll back to leave it")
    if ask.action == "reopen" and not objections(facts, rules):
        found.append("nobody has said no to it; its review is open")
    return found


_DECISIONS: Mapping[Action, Callable[[Ask, Facts, GovernanceRules], list[str]]] = {
    "create model": upkeep.register,
    "create version": upkeep.register,
    "describe": upkeep.describe,
    "tag": upkeep.tag,
    "new tag": upkeep.new_tag,
    "alias": upkeep.alias,
    "delete version": upkeep.delete_version,
    "delete model": upkeep.delete_model,
    "rename": upkeep.rename,
    "challenge": _challenge,
    "withdraw": _withdraw,
    "archive": _archive,
    "promote": _promote,
    "rollback": _rollback,
    "serve": upkeep.serve,
    "adopt": _adopt,
    "break glass": _break_glass,
    "approve": _review,
    "reject": _review,
    "changes": _review,
    "reopen": _review,
    "grant": upkeep.grant,
    "withdraw role": upkeep.grant,
    "webhook": upkeep.webhook,
    "make token": upkeep.token,
    "withdraw token": upkeep.token,
}

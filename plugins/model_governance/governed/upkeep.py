"""Writing that moves no version: names, descriptions, tags, further aliases, deletion, roles."""

from __future__ import annotations

from model_governance.governed.needs import frozen, judged_otherwise, may_serve, takes_role
from model_governance.governed.protected import (
    DECISION_TAGS,
    MOVED_ALIASES,
    is_evidence_tag,
    matches,
    resembles,
)
from model_governance.governed.questions import IS_CHALLENGER, IS_PROMPT, NO_FILES, Ask, Facts
from model_governance.rules.governance import GovernanceRules
from model_governance.standing import CHALLENGER, SERVING

__all__ = [
    "alias",
    "delete_model",
    "delete_version",
    "describe",
    "grant",
    "new_tag",
    "register",
    "rename",
    "serve",
    "tag",
    "token",
    "webhook",
]


def register(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """Make a model or a version."""
    if ask.value is not None and ask.value not in NO_FILES and facts.prompt:
        # its aliases are free: whoever loads one would load what nobody judged
        return [f"{ask.model} is one of MLflow's prompts and holds no model; register it under another name"]
    return takes_role("registering", rules.moves.registration, ask)


def describe(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """Change a description; of a judged version it is what reviewers read."""
    if ask.version is not None and facts.evidence.gates is not None:
        # reviewers read the figures there
        return takes_role("changing the description of a version that was judged", rules.evidence.roles, ask)
    return takes_role("describing", (*rules.moves.registration, *rules.moves.production), ask)


def tag(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """Set or delete a tag of something that is there."""
    key = ask.subject
    if resembles(key, "governance.*"):
        return [f"the tag {key} is written by the server alone"]
    if resembles(key, IS_PROMPT) and facts.present != ask.value:
        return [f"the tag {key} is given when something is made, and not changed"]
    if ask.version is None:
        return takes_role("setting tags", (*rules.moves.registration, *rules.moves.production), ask)
    return _version_tag(ask, facts, rules)


def new_tag(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """A tag that a version is made with."""
    if resembles(ask.subject, "governance.*"):
        return [f"the tag {ask.subject} is written by the server alone"]
    if resembles(ask.subject, IS_PROMPT) and not facts.prompt:
        # MLflow's search would hide every version of the model, and its server ask less of the source
        return [f"the tag {ask.subject} is for prompts, and {ask.model} is a model"]
    return _version_tag(ask, Facts(facts.now, prompt=facts.prompt), rules)


def _version_tag(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    key = ask.subject
    if facts.prompt:
        return takes_role("setting tags", (*rules.moves.registration, *rules.moves.production), ask)
    if any(resembles(key, each) for each in DECISION_TAGS):
        if key == "review" and ask.value == "pending" and facts.review in (None, "pending"):
            return takes_role("opening a review", rules.evidence.roles, ask)
        return [f"the tag {key} is written by the server when somebody reviews or moves the version"]
    if is_evidence_tag(key, rules.protected_tags):
        found = takes_role(f"the tag {key} tells what was measured: writing it", rules.evidence.roles, ask)
        uses = [each for each in facts.uses if each != IS_CHALLENGER]
        if uses and facts.present != ask.value:
            found.append(f"the version is {', '.join(uses)}: it keeps the evidence of its approval")
        return found
    return takes_role("setting tags", (*rules.moves.registration, *rules.moves.production), ask)


def alias(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """Aliases that no move brings with it; `promote`, `challenge` and `serve` are asked for by theirs."""
    alias = ask.subject
    if facts.prompt:
        return takes_role("setting aliases", (*rules.moves.registration, *rules.moves.production), ask)
    if alias in MOVED_ALIASES:
        if facts.present == ask.value:  # nothing moves
            return takes_role("setting aliases", (*rules.moves.registration, *rules.moves.production), ask)
        how = "promote a version, or take the challenger back" if alias == CHALLENGER else "promote or roll back"
        return [f"the alias {alias} moves with the version's stage alone: {how}"]
    if like := next((each for each in MOVED_ALIASES if resembles(alias, each)), None):
        return [f"the alias {alias} looks like {like}, which is protected; choose another one"]
    if any(matches(alias, each) for each in rules.protected_aliases):
        found = takes_role(f"moving the protected alias {alias}", rules.moves.production, ask)
        if ask.value is None or ask.version == facts.standing.champion:
            return found
        return found + may_serve(ask, facts, rules) + judged_otherwise(facts) + frozen(facts, rules)
    return takes_role("setting aliases", (*rules.moves.registration, *rules.moves.production), ask)


def serve(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """Move the alias serving, which follows the champion or is the rollout's."""
    if facts.present == ask.value and ask.value is not None:
        return takes_role("moving the alias serving", (*rules.moves.production, "rollout"), ask)
    if not facts.rollout:
        if ask.value is not None and ask.version == facts.standing.champion:
            return takes_role("moving the alias serving", rules.moves.production, ask)
        return [f"the alias {SERVING} moves with the champion: promote or roll back"]
    found = takes_role(f"moving the alias {SERVING}", ("rollout",), ask)
    if ask.value is None:
        found.append("whoever loads the alias would find nothing; set it to the champion or one before it")
    elif ask.version not in (facts.standing.champion, *facts.standing.former()):
        found.append("only the champion and champions before it can serve; promote the version first")
    elif facts.files is None:
        found.append(f"its files cannot be read: {facts.files_trouble}")
    elif facts.approved_files and facts.files != facts.approved_files:
        found.append(
            f"its files have digest {facts.files[:16]}, but {facts.approved_files[:16]} was approved; somebody "
            "wrote past the server: promote another version"
        )
    return found


def delete_version(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """Only what is not in use, was decided on by nobody, and by whoever registered it."""
    found = takes_role("deleting", rules.moves.delete, ask)
    if facts.uses:
        found.append(f"the version is {', '.join(facts.uses)}")
    if facts.served:
        found.append("it was in Production: what it was must stay known, and the way back to it")
    elif facts.decided:
        found.append("somebody has decided on it, and a decision is not undone by deleting what it was about")
    return found + _own(ask, facts, rules)


def delete_model(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """Only where nothing of it served or was decided on."""
    found = takes_role("deleting", rules.moves.delete, ask)
    if facts.served or facts.standing.champion:
        found.append("a version of it is or was in Production")
    elif facts.decided:
        found.append("somebody has decided on one of its versions")
    return found + _own(ask, facts, rules)


def _own(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    if "operator" in ask.roles or facts.registrar is None:
        return [] if "operator" in ask.roles else ["nobody knows who registered it; an operator may delete it"]
    if rules.person(ask.who) == rules.person(facts.registrar):
        return []
    return [f"{facts.registrar} registered it; they or an operator may delete it"]


def rename(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """Only what nobody loads by its name and nobody decided on."""
    found = takes_role("renaming a model", rules.moves.rename, ask)
    if facts.decided:
        # a no would not be found any more by whoever takes the old name
        found.append("somebody has decided on one of its versions")
    if facts.served or facts.standing.champion or facts.uses:
        found.append(
            f"a version of {ask.model} is or was in use: whoever loads it would find nothing, or another one"
        )
    return found


def grant(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """Give or take a role."""
    found = takes_role("giving and taking roles", ("admin",), ask)
    if ask.value is not None and rules.person(ask.subject) == rules.person(ask.who):
        found.append("nobody gives a role to themselves; another admin does")
    return found


def token(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """Make a program's token, or withdraw it."""
    return takes_role("making and withdrawing tokens", ("admin",), ask)


def webhook(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """Change where MLflow tells of its own events."""
    return takes_role("webhooks", ("admin", "operator"), ask)

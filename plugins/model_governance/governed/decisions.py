"""The decision: may this person do this to this version now. Pure: facts in, sentences out.

Every sentence says what is missing and, where somebody can mend it, how; a reviewer reads them in MLflow's UI.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from model_governance.governed.protected import (
    DECISION_TAGS,
    MOVED_ALIASES,
    is_evidence_tag,
    matches,
    resembles,
)
from model_governance.rules.governance import GovernanceRules
from model_governance.stages import ARCHIVED
from model_governance.standing import CHALLENGER, SERVING, Standing

__all__ = [
    "IS_CHALLENGER",
    "Action",
    "Ask",
    "Evidence",
    "Facts",
    "Review",
    "approves_by_asking",
    "approving",
    "decide",
]

Action = Literal[
    "create model", "create version", "describe", "tag", "new tag", "alias", "delete version", "delete model",
    "rename",
    "challenge", "withdraw", "archive", "promote", "rollback", "serve", "break glass",
    "approve", "reject", "changes", "reopen", "grant", "withdraw role", "webhook",
]  # fmt: skip

_REVIEWS = {"reject": "rejected it", "changes": "asked for changes", "rolled back": "rolled it back"}
_ENDED = frozenset({"approved", "rejected", "rolled back"})
_DAY = timedelta(days=1)
IS_CHALLENGER = "the challenger"


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody wants.

    Attributes
    ----------
    who : str
        The log-in that the server authenticated; empty where nobody did.
    roles : frozenset of str
        Everything that this log-in is.
    subject : str
        The tag, alias, role or new name that it is about, where there is one.
    value : str or None
        What it should become; None where it should go.
    comment : str
        The reason that was given.
    """

    action: Action
    who: str
    roles: frozenset[str]
    model: str = ""
    version: str | None = None
    subject: str = ""
    value: str | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """What a person said of a version.

    Attributes
    ----------
    fresh : bool
        Whether it was said of this very version, and not of another one with the same files.
    counted_roles : frozenset of str
        What the reviewer is today.
    granted_by : frozenset of str
        Who gave the reviewer these roles.
    """

    reviewer: str
    verdict: str
    comment: str
    at: datetime
    artifact_digest: str
    evidence_digest: str
    fresh: bool = True
    counted_roles: frozenset[str] = frozenset()
    granted_by: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Evidence:
    """The tags of a version that tell what was measured, and who wrote them.

    Attributes
    ----------
    untrusted : tuple of str
        Tags that were not written by anybody whose evidence counts.
    written_at : datetime or None
        When the verdict was written.
    failed : tuple of str
        Sentences of the gates that failed, as far as the verdict can be read.
    """

    gates: str | None = None
    artifact_digest: str = ""
    evidence_digest: str = ""
    policy_digest: str | None = None
    judged_against: str | None = None
    untrusted: tuple[str, ...] = ()
    written_at: datetime | None = None
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server knows at the moment of asking.

    Attributes
    ----------
    authors : frozenset of str
        Log-ins that registered, logged or trained the version, apart from those that only record evidence.
    files : str or None
        Digest of the version's files now; None where they cannot be read (`files_trouble` says why).
    policy_digest : str or None
        Of today's policy, where the server has one with gates.
    reviews : tuple of Review
        What was said of these files, oldest first.
    decided, served : bool
        Whether somebody decided on the version (of a model: any of its versions), and whether it ever served.
    registrar : str or None
        Who registered the version or the model.
    uses : tuple of str
        What the version is now: ``the champion``, ``the challenger``, ``on the alias blue``, ...
    approved_files : str
        Digest of its files when it was promoted; empty where it never was.
    present : str or None
        What the tag or alias that is asked for holds now.
    granted_by : frozenset of str
        Who gave whoever asks the roles with which they approve.
    rollout : bool
        Whether anybody has the role rollout, which then alone moves the alias serving.
    """

    now: datetime
    standing: Standing = field(default_factory=Standing)
    stage: str = "None"
    review: str | None = None
    authors: frozenset[str] = frozenset()
    evidence: Evidence = field(default_factory=Evidence)
    files: str | None = None
    files_trouble: str = ""
    policy_digest: str | None = None
    reviews: tuple[Review, ...] = ()
    decided: bool = False
    served: bool = False
    uses: tuple[str, ...] = ()
    approved_files: str = ""
    registrar: str | None = None
    rollout: bool = False
    granted_by: frozenset[str] = frozenset()
    present: str | None = None


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
    return tuple(dict.fromkeys(_DECISIONS[ask.action](ask, facts, rules)))


def approving(ask: Ask, facts: Facts, rules: GovernanceRules) -> tuple[Review, ...]:
    """The reviews that count as a yes for these files and this evidence, the newest of each person."""
    authors = {rules.person(each) for each in facts.authors}
    found: dict[str, Review] = {}
    for each in facts.reviews:
        person = rules.person(each.reviewer)
        if each.verdict == "reopen":
            found.clear()
        elif each.verdict != "approve":
            found.pop(person, None)
        elif (
            each.fresh
            and each.artifact_digest == facts.files
            and each.evidence_digest == facts.evidence.evidence_digest
            and facts.now - each.at <= rules.approvals.max_age_days * _DAY
            and each.counted_roles & set(rules.approvals.roles)
            and not (rules.four_eyes and person in authors)
            and not (rules.four_eyes and authors & {rules.person(by) for by in each.granted_by})
        ):
            found[person] = each
    return tuple(found.values())


def approves_by_asking(ask: Ask, facts: Facts, rules: GovernanceRules) -> bool:
    """Whether whoever moves a version has thereby said yes to it: a reviewer who may."""
    authors = {rules.person(each) for each in facts.authors}
    made_by_author = rules.four_eyes and authors & {rules.person(by) for by in facts.granted_by}
    may = ask.roles & set(rules.approvals.roles) and not made_by_author
    return bool(may) and not _four_eyes("approve", ask, facts, rules)


def _roles(what: str, wanted: Iterable[str], ask: Ask) -> list[str]:
    if ask.roles & set(wanted):
        return []
    return [f"{what} takes the role {' or '.join(wanted)}; {ask.who} has {', '.join(sorted(ask.roles)) or 'none'}"]


def _evidence(facts: Facts, rules: GovernanceRules) -> list[str]:
    """Gates passed, by those whose word counts, not long ago, on the files that are there now."""
    evidence, found = facts.evidence, []
    if facts.files is None:
        found.append(f"its files cannot be read: {facts.files_trouble or 'nothing is there'}")
    elif evidence.artifact_digest and facts.files != evidence.artifact_digest:
        found.append(
            f"its files have digest {facts.files[:16]}, but {evidence.artifact_digest[:16]} was judged; log, "
            "evaluate and register the model again"
        )
    if not rules.evidence.required:
        return found
    writers = " or ".join(rules.evidence.roles)
    if evidence.gates is None:
        return [*found, f"nobody has judged it by the gates; an account of role {writers} registers it"]
    if evidence.gates != "passed":
        found.extend(evidence.failed or ["it did not pass its gates; its description says which"])
    missing = [
        tag
        for tag, value in (
            ("artifact_digest", evidence.artifact_digest),
            ("evidence_digest", evidence.evidence_digest),
        )
        if not value
    ]
    if missing:
        found.append(
            f"its evidence lacks {' and '.join(missing)}; an account of role {writers} registers it again"
        )
    if evidence.untrusted:
        found.append(
            f"its evidence ({', '.join(evidence.untrusted)}) was not recorded by an account of role {writers}"
        )
    elif evidence.written_at is not None and facts.now - evidence.written_at > rules.evidence.max_age_days * _DAY:
        found.append(
            f"it was judged on {evidence.written_at:%Y-%m-%d}, and evidence counts for "
            f"{rules.evidence.max_age_days:g} days; evaluate and register it again"
        )
    return found


def _judged_today(facts: Facts) -> list[str]:
    evidence, champion = facts.evidence, facts.standing.champion or "none"
    found = []
    if facts.policy_digest and evidence.policy_digest and evidence.policy_digest != facts.policy_digest:
        found.append(
            f"it was judged by a policy of digest {evidence.policy_digest[:12]}, today's has "
            f"{facts.policy_digest[:12]}; register it again"
        )
    against = evidence.judged_against
    # what was approved once keeps the evidence of its approval, which was against the champion of then
    if against is not None and against != champion and facts.review != "approved":
        found.append(
            f"it was judged against champion {evidence.judged_against}, but the champion is {champion} by now; "
            "register it again"
        )
    return found


def _objections(facts: Facts, rules: GovernanceRules) -> list[str]:
    """What somebody has against these files, and has not taken back."""
    found: dict[str, str] = {}
    for each in facts.reviews:
        person = rules.person(each.reviewer)
        if each.verdict == "reopen":
            found.clear()
        elif each.verdict == "approve":
            # who takes back their own wish for changes says so by approving; a no is reopened first
            if found.get(person, "").startswith("changes"):
                del found[person]
        elif each.verdict == "changes" and each.evidence_digest != facts.evidence.evidence_digest:
            continue  # something was changed since
        elif each.verdict in _REVIEWS:
            found[person] = f"{each.verdict}|{each.reviewer} {_REVIEWS[each.verdict]}: {each.comment}"
    return [sentence.split("|", 1)[1] for sentence in found.values()]


def _four_eyes(what: str, ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    if not rules.four_eyes:
        return []
    if not facts.authors:
        return [
            "nobody knows who made it, so nobody can be somebody else; log and register it through this server"
        ]
    if rules.person(ask.who) in {rules.person(each) for each in facts.authors}:
        return [f"you made or registered this version and cannot {what} it"]
    return []


def _promote(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    found = _roles("moving a version to Production", rules.moves.production, ask)
    if ask.version == facts.standing.champion:
        return found  # nothing moves
    found += _may_serve(ask, facts, rules)
    found += _judged_today(facts)
    found += [
        f"nothing goes to Production until {freeze.ends:%Y-%m-%d %H:%M %Z}: {freeze.reason}"
        for freeze in rules.freezes
        if freeze.holds(facts.now)
    ]
    return found


def _may_serve(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """What a version needs before anybody may load it as the one in use."""
    found = _evidence(facts, rules) + _objections(facts, rules)
    people = {rules.person(each.reviewer) for each in approving(ask, facts, rules)}
    if approves_by_asking(ask, facts, rules):
        people.add(rules.person(ask.who))
    if len(people) < rules.approvals.count:
        roles = " or ".join(rules.approvals.roles)
        found.append(
            f"{len(people)} of {rules.approvals.count} approvals by {roles} of these files and this evidence"
        )
    return found + _four_eyes("approve", ask, facts, rules)


def _challenge(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    found = _roles("moving a version to Staging", rules.moves.staging, ask)
    if ask.version == facts.standing.champion:
        found.append("it is the champion; promote another version, or roll back")
    return found + _evidence(facts, rules) + _objections(facts, rules)


def _withdraw(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    return _roles("taking a challenger back", rules.moves.staging, ask)


def _archive(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    if ask.version == facts.standing.champion:
        return [
            "it is the champion and leaves Production only for another: promote one, or roll back with a reason"
        ]
    if ask.value != ARCHIVED and (facts.review in _ENDED or ask.version in facts.standing.former()):
        return ["somebody has decided on it: it stays archived"]
    if ask.version == facts.standing.challenger:
        return _roles("taking the challenger back", (*rules.moves.staging, *rules.moves.archive), ask)
    return _roles("archiving a version", rules.moves.archive, ask)


def _rollback(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    found = _roles("rolling back", rules.moves.rollback, ask) + _reason(ask)
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


def _break_glass(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    found = _roles("breaking the glass", ("break_glass",), ask) + _reason(ask)
    if facts.files is None:
        found.append(f"the files of version {ask.version} cannot be read: {facts.files_trouble}")
    return found


def _review(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    found = _roles("reviewing", rules.approvals.roles, ask) + _reason(ask)
    if ask.action == "approve":
        return found + _four_eyes("approve", ask, facts, rules) + _evidence(facts, rules) + _judged_today(facts)
    if ask.action == "reopen":
        found += _four_eyes("reopen", ask, facts, rules)
    if ask.action in ("reject", "reopen") and ask.version in (facts.standing.champion, facts.standing.previous):
        found.append("it is or was in Production; roll back to leave it")
    if ask.action == "reopen" and not _objections(facts, rules):
        found.append("nobody has said no to it; its review is open")
    return found


def _reason(ask: Ask) -> list[str]:
    if not ask.comment.strip():
        return ["a reason is missing; say why in a sentence"]
    return [] if len(ask.comment) <= 1000 else [f"the reason has {len(ask.comment)} characters; 1000 fit"]


def _register(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    return _roles("registering", rules.moves.registration, ask)


def _describe(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    if ask.version is not None and facts.evidence.gates is not None:
        # reviewers read the figures there
        return _roles("changing the description of a version that was judged", rules.evidence.roles, ask)
    return _roles("describing", (*rules.moves.registration, *rules.moves.production), ask)


def _tag(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    key = ask.subject
    if resembles(key, "governance.*"):
        return [f"the tag {key} is written by the server alone"]
    if resembles(key, "mlflow.prompt.is_prompt") and facts.present != ask.value:
        return [f"the tag {key} is given when something is made, and not changed"]
    if ask.version is None:
        return _roles("setting tags", (*rules.moves.registration, *rules.moves.production), ask)
    return _version_tag(ask, facts, rules)


def _new_tag(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """A tag that a version is made with."""
    if resembles(ask.subject, "governance.*"):
        return [f"the tag {ask.subject} is written by the server alone"]
    return _version_tag(ask, Facts(facts.now), rules)


def _version_tag(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    key = ask.subject
    if any(resembles(key, each) for each in DECISION_TAGS):
        if key == "review" and ask.value == "pending" and facts.review in (None, "pending"):
            return _roles("opening a review", rules.evidence.roles, ask)
        return [f"the tag {key} is written by the server when somebody reviews or moves the version"]
    if is_evidence_tag(key, rules.protected_tags):
        found = _roles(f"the tag {key} tells what was measured: writing it", rules.evidence.roles, ask)
        uses = [each for each in facts.uses if each != IS_CHALLENGER]
        if uses and facts.present != ask.value:
            found.append(f"the version is {', '.join(uses)}: it keeps the evidence of its approval")
        return found
    return _roles("setting tags", (*rules.moves.registration, *rules.moves.production), ask)


def _alias(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """Aliases that no move brings with it; `promote`, `challenge` and `serve` are asked for by theirs."""
    alias = ask.subject
    if alias in MOVED_ALIASES:
        if facts.present == ask.value:
            return []
        how = "promote a version, or take the challenger back" if alias == CHALLENGER else "promote or roll back"
        return [f"the alias {alias} moves with the version's stage alone: {how}"]
    if any(resembles(alias, each) for each in MOVED_ALIASES):
        return [f"the alias {alias} looks like {alias.lower()}, which is protected; choose another one"]
    if any(matches(alias, each) for each in rules.protected_aliases):
        found = _roles(f"moving the protected alias {alias}", rules.moves.production, ask)
        if ask.value is None or ask.version == facts.standing.champion:
            return found
        return found + _may_serve(ask, facts, rules)
    return _roles("setting aliases", (*rules.moves.registration, *rules.moves.production), ask)


def _serve(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    if facts.present == ask.value and ask.value is not None:
        return _roles("moving the alias serving", (*rules.moves.production, "rollout"), ask)
    if not facts.rollout:
        if ask.value is not None and ask.version == facts.standing.champion:
            return _roles("moving the alias serving", rules.moves.production, ask)
        return [f"the alias {SERVING} moves with the champion: promote or roll back"]
    found = _roles(f"moving the alias {SERVING}", ("rollout",), ask)
    if ask.value is None:
        found.append("whoever loads the alias would find nothing; set it to the champion or one before it")
    elif ask.version not in (facts.standing.champion, *facts.standing.former()):
        found.append("only the champion and champions before it can serve; promote the version first")
    return found


def _delete_version(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    found = _roles("deleting", rules.moves.delete, ask)
    if facts.uses:
        found.append(f"the version is {', '.join(facts.uses)}")
    if facts.served:
        found.append("it was in Production: what it was must stay known, and the way back to it")
    elif facts.decided:
        found.append("somebody has decided on it, and a decision is not undone by deleting what it was about")
    return found + _own(ask, facts, rules)


def _delete_model(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    found = _roles("deleting", rules.moves.delete, ask)
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


def _rename(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    found = _roles("renaming a model", rules.moves.rename, ask)
    if facts.served or facts.standing.champion or facts.uses:
        found.append(
            f"a version of {ask.model} is or was in use: whoever loads it would find nothing, or another one"
        )
    return found


def _grant(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    found = _roles("giving and taking roles", ("admin",), ask)
    if ask.value is not None and rules.person(ask.subject) == rules.person(ask.who):
        found.append("nobody gives a role to themselves; another admin does")
    return found


def _webhook(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    return _roles("webhooks", ("admin", "operator"), ask)


_DECISIONS: Mapping[Action, Callable[[Ask, Facts, GovernanceRules], list[str]]] = {
    "create model": _register,
    "create version": _register,
    "describe": _describe,
    "tag": _tag,
    "new tag": _new_tag,
    "alias": _alias,
    "delete version": _delete_version,
    "delete model": _delete_model,
    "rename": _rename,
    "challenge": _challenge,
    "withdraw": _withdraw,
    "archive": _archive,
    "promote": _promote,
    "rollback": _rollback,
    "serve": _serve,
    "break glass": _break_glass,
    "approve": _review,
    "reject": _review,
    "changes": _review,
    "reopen": _review,
    "grant": _grant,
    "withdraw role": _grant,
    "webhook": _webhook,
}

"""What a version needs before it may serve: roles, evidence, approvals, and nobody's objection.

Every function gives what is missing, one sentence each.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from model_governance.governed.protected import matches
from model_governance.governed.questions import Ask, Facts, Review
from model_governance.rules.governance import GovernanceRules

__all__ = [
    "approves_by_asking",
    "approving",
    "counting",
    "four_eyes",
    "frozen",
    "judged_otherwise",
    "lacks_evidence",
    "lacks_reason",
    "may_serve",
    "objecting",
    "objections",
    "takes_role",
    "too_long",
]

_REVIEWS = {"reject": "rejected it", "changes": "asked for changes", "rolled back": "rolled it back"}
_DAY = timedelta(days=1)


def takes_role(what: str, wanted: Iterable[str], ask: Ask) -> list[str]:
    """One of some roles."""
    if ask.roles & set(wanted):
        return []
    return [f"{what} takes the role {' or '.join(wanted)}; {ask.who} has {', '.join(sorted(ask.roles)) or 'none'}"]


def lacks_reason(ask: Ask) -> list[str]:
    """A reason, of a length that somebody reads."""
    if not ask.comment.strip():
        return ["a reason is missing; say why in a sentence"]
    return too_long(ask)


def too_long(ask: Ask) -> list[str]:
    """A reason that nobody would read."""
    return [] if len(ask.comment) <= 1000 else [f"the reason has {len(ask.comment)} characters; 1000 fit"]


def four_eyes(what: str, ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """Somebody else than whoever made the version, who must be known."""
    if not rules.four_eyes:
        return []
    if not facts.authors:
        return [
            "nobody knows who made it, so nobody can be somebody else; whoever made it registers it again, "
            "through this server"
        ]
    if rules.person(ask.who) in {rules.person(each) for each in facts.authors}:
        return [f"you made or registered this version and cannot {what} it"]
    return []


def may_serve(ask: Ask, facts: Facts, rules: GovernanceRules) -> list[str]:
    """What a version needs before anybody may load it as the one in use."""
    found = lacks_evidence(facts, rules) + objections(facts, rules)
    people = {rules.person(each.reviewer) for each in approving(ask, facts, rules)}
    if approves_by_asking(ask, facts, rules):
        people.add(rules.person(ask.who))
    if len(people) < rules.approvals.count:
        roles = " or ".join(rules.approvals.roles)
        found.append(
            f"{len(people)} of {rules.approvals.count} approvals by {roles} of these files and this evidence"
        )
    return found + four_eyes("approve", ask, facts, rules)


def lacks_evidence(facts: Facts, rules: GovernanceRules) -> list[str]:
    """Gates passed, by those whose word counts, not long ago, on the files that are there now."""
    evidence, found = facts.evidence, []
    if facts.files is None:
        found.append(f"its files cannot be read: {facts.files_trouble or 'nothing is there'}")
    elif evidence.artifact_digest and facts.files != evidence.artifact_digest:
        found.append(
            f"its files have digest {facts.files[:16]}, but {evidence.artifact_digest[:16]} was judged; log, "
            "evaluate and register the model again"
        )
    if rules.locations:
        kept = any(matches(facts.location, each) for each in rules.locations)
    else:
        kept = facts.guarded
    if not kept:
        found.append(
            f"its files lie at {facts.location[:200]}, where this server does not guard them; log the model where "
            "the server keeps artefacts, or let the policy's governance.locations name the place"
        )
    if not rules.evidence.required:
        return found
    writers = " or ".join(rules.evidence.roles)
    if evidence.gates is None:
        return [*found, f"nobody has judged it by the gates; an account of role {writers} registers it"]
    if evidence.gates != "passed":
        found.extend(evidence.failed or ["it did not pass its gates; its description says which"])
    found.extend(_measured_by_others(facts, rules))
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


def _measured_by_others(facts: Facts, rules: GovernanceRules) -> list[str]:
    """Whoever makes a model does not measure it, where the policy says so."""
    wanted, measured = rules.evidence.measured_by, facts.evidence.measured
    if not wanted or facts.evidence.gates != "passed":
        return []
    if measured is None:
        return ["its evidence cannot be read, so nobody knows who measured it; register it again"]
    if not measured:
        return [f"nobody recorded an evaluation of it; an account of role {' or '.join(wanted)} evaluates it"]
    return [
        f"it was measured in run {run} by {by.account or 'nobody who is known'}; figures count from an account of "
        f"role {' or '.join(wanted)} alone"
        for run, by in measured.items()
        if not by.roles & set(wanted)
    ]


def judged_otherwise(facts: Facts) -> list[str]:
    """A verdict by today's policy, against today's champion."""
    evidence, champion = facts.evidence, facts.standing.champion or "none"
    found = []
    if facts.policy_digest and evidence.gates and evidence.policy_digest != facts.policy_digest:
        judged_by = (evidence.policy_digest or "none")[:12]
        found.append(
            f"it was judged by a policy of digest {judged_by}, today's has {facts.policy_digest[:12]}; "
            "register it again"
        )
    against = evidence.judged_against
    # what was approved once keeps the evidence of its approval, which was against the champion of then
    if against is not None and against != champion and facts.review != "approved":
        found.append(
            f"it was judged against champion {evidence.judged_against}, but the champion is {champion} by now; "
            "register it again"
        )
    return found


def frozen(facts: Facts, rules: GovernanceRules) -> list[str]:
    """A time in which nothing goes to Production."""
    once = [(f"{each.ends:%Y-%m-%d %H:%M %Z}", each.reason) for each in rules.freezes if each.holds(facts.now)]
    weekly = [
        (f"{each.ends} ({each.zone})", each.reason) for each in rules.weekly_freezes if each.holds(facts.now)
    ]
    return [f"nothing goes to Production until {ends}: {reason}" for ends, reason in (*once, *weekly)]


def objections(facts: Facts, rules: GovernanceRules) -> list[str]:
    """What somebody has against these files, and has not taken back."""
    return [f"{each.reviewer} {_REVIEWS[each.verdict]}: {each.comment}" for each in objecting(facts, rules)]


def objecting(facts: Facts, rules: GovernanceRules) -> tuple[Review, ...]:
    """The reviews that stand against these files, the newest of each person under each model's name."""
    found: dict[tuple[str, str], Review] = {}
    for each in facts.reviews:
        person = rules.person(each.reviewer), each.elsewhere
        if each.verdict == "reopen":
            found = {said: no for said, no in found.items() if not _reopens(each, no, facts, rules)}
        elif each.verdict == "approve":
            # who takes back their own wish for changes says so by approving; a no is reopened first
            if person in found and found[person].verdict == "changes":
                del found[person]
        elif each.verdict == "changes" and (
            each.evidence_digest != facts.evidence.evidence_digest  # something was changed since
            or (person in found and found[person].verdict != "changes")  # a wish takes no no back
        ):
            continue
        elif each.verdict in _REVIEWS:
            found[person] = each
    return tuple(found.values())


def approving(ask: Ask, facts: Facts, rules: GovernanceRules) -> tuple[Review, ...]:
    """The reviews that count as a yes for these files and this evidence, the newest of each person."""
    authors = {rules.person(each) for each in facts.authors}
    found: dict[str, Review] = {}
    for each in facts.reviews:
        person = rules.person(each.reviewer)
        if each.verdict == "reopen":
            found = {said: yes for said, yes in found.items() if not _reopens(each, yes, facts, rules)}
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


def _reopens(reopen: Review, said: Review, facts: Facts, rules: GovernanceRules) -> bool:
    """Whether opening a review again takes back what was said.

    Never where an author opened it; under another model's name only what was said under that name: anybody may
    register the same files there, and is then their author in place of whoever made them.
    """
    return not _by_author(reopen, facts, rules) and reopen.elsewhere in ("", said.elsewhere)


def _by_author(review: Review, facts: Facts, rules: GovernanceRules) -> bool:
    return rules.four_eyes and rules.person(review.reviewer) in {rules.person(each) for each in facts.authors}


def counting(ask: Ask, facts: Facts, rules: GovernanceRules) -> tuple[Review, ...]:
    """The reviews that a decision goes by now: each yes, each no, and the last that opened it again."""
    reopened = [each for each in facts.reviews if each.verdict == "reopen" and not _by_author(each, facts, rules)]
    return (*approving(ask, facts, rules), *objecting(facts, rules), *reopened[-1:])


def approves_by_asking(ask: Ask, facts: Facts, rules: GovernanceRules) -> bool:
    """Whether whoever moves a version has thereby said yes to it: a reviewer who may."""
    authors = {rules.person(each) for each in facts.authors}
    made_by_author = rules.four_eyes and authors & {rules.person(by) for by in facts.granted_by}
    may = ask.roles & set(rules.approvals.roles) and not made_by_author
    return ask.approves and bool(may) and not four_eyes("approve", ask, facts, rules)

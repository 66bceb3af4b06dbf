"""Gates on what named persons said: mitigations that they accepted, artefacts that they looked at."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from fnmatch import fnmatchcase

from model_governance.gates.judging import Case, Row, check
from model_governance.gates.wording import days_since, listed
from model_governance.rules import AcceptanceRule, Mitigation, RiskRule
from model_governance.signatures import Signature

__all__: list[str] = []


@check.register
def _(rule: RiskRule, case: Case) -> Iterator[Row]:
    if not rule.mitigations:
        yield f"risk {rule.risk_class}", "no mitigation", "none is asked for", True
    for mitigation in rule.mitigations:
        got, passed = _mitigated(mitigation, case)
        expected = f"accepted by a named person, not expired (risk class {rule.risk_class})"
        yield f"mitigation {mitigation.name}", expected, got, passed


@check.register
def _(rule: AcceptanceRule, case: Case) -> Iterator[Row]:
    last: dict[tuple[str, str], Signature] = {}
    lost: list[str] = []
    for each in case.evidence.signatures:
        if each.artifact is None or not fnmatchcase(each.artifact, rule.artifact):
            continue
        if (why := _why_lost(each, rule, case)) is not None:
            lost.append(f"{each.by}: {why}")
        else:
            # The last word of each person on each artefact; they come oldest first.
            last[each.by.casefold(), each.artifact] = each
    no = [
        f"{each.by} said no to {each.artifact}: {each.comment}"
        for each in last.values()
        if each.verdict != "accepted"
    ]
    yes = {each.by.casefold(): each for each in last.values() if each.verdict == "accepted"}
    signed = [f"{each.by} on {each.at.astimezone(UTC):%Y-%m-%d}" for each in yes.values()]
    some = f"{rule.people} persons" if rule.people > 1 else "a person"
    yield (
        f"sign-off of {rule.artifact}",
        f"signed by {some} who looked at it",
        listed([*no, *signed], listed(lost, "nobody has signed")),
        not no and len(yes) >= rule.people,
    )


def _why_lost(signature: Signature, rule: AcceptanceRule, case: Case) -> str | None:
    """Why a signature counts no longer; None where it does."""
    if signature.model_digest != case.evidence.artifact.digest:
        return "signed for other files of the model"
    found = case.evidence.looked_at.get(f"{signature.run_id}/{signature.artifact}")
    if found is None or found != signature.sha256:
        return f"{signature.artifact} is no longer what was looked at"
    age = days_since(int(signature.at.timestamp() * 1000), case.now)
    if age < -1:
        return "signed in the future: a wrong date"  # it would never grow old
    if rule.max_age_days is not None and age > rule.max_age_days:
        return f"signed {age:.0f} days ago, at most {rule.max_age_days:g} count"
    return None


def _mitigated(mitigation: Mitigation, case: Case) -> tuple[str, bool]:
    """Who accepted it until when, or why it does not count."""
    today = case.now.astimezone(UTC).date()
    given = [(each.by, each.on, each.expires) for each in ([mitigation.accepted] if mitigation.accepted else [])]
    given += [
        (each.by, each.at.astimezone(UTC).date(), each.expires)
        for each in case.evidence.signatures
        if each.mitigation == mitigation.name
        and each.expires is not None
        and each.model_digest == case.evidence.artifact.digest
    ]
    valid = [(by, expires) for by, on, expires in given if on <= today <= expires]
    if valid:
        by, expires = max(valid, key=lambda each: each[1])
        return f"{by}, until {expires}", True
    if given:
        by, _, expires = max(given, key=lambda each: each[2])
        return f"{by}, expired on {expires}" if expires < today else f"{by}, from a later day on", False
    return "nobody has accepted it", False

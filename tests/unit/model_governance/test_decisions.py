"""The decision by itself: what is missing, in sentences that a reviewer understands."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from model_governance.governed.decisions import _DECISIONS, Ask, Evidence, Facts, Review, decide
from model_governance.governed.needs import counting
from model_governance.governed.questions import Measurer
from model_governance.governed.roles import ALL_ROLES
from model_governance.rules.governance import GovernanceRules
from model_governance.standing import Standing

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)
FILES, PAPERS = "f" * 64, "e" * 64
GOOD = Facts(
    NOW,
    Standing(champion="1"),
    authors=frozenset({"ann"}),
    evidence=Evidence(
        "passed", FILES, PAPERS, written_at=NOW - DAY, measured={"r0": Measurer("ci", frozenset({"validator"}))}
    ),
    files=FILES,
)
YES = Review("rita", "approve", "fine", NOW - DAY, FILES, PAPERS, counted_roles=frozenset({"reviewer"}))
PROMOTE = Ask("promote", "otto", frozenset({"operator"}), "m", "2")
ROB = replace(PROMOTE, who="rob", roles=frozenset({"reviewer"}))


def rules(**keys: Any) -> GovernanceRules:
    return GovernanceRules.model_validate(keys)


def test_an_approved_version_may_go() -> None:
    assert decide(PROMOTE, replace(GOOD, reviews=(YES,)), rules()) == ()
    assert decide(ROB, GOOD, rules()) == ()  # who may approve does so by moving it


@pytest.mark.parametrize(
    ("review", "why"),
    [
        (replace(YES, at=NOW - 31 * DAY), "too long ago"),
        (replace(YES, artifact_digest="0" * 64), "of other files"),
        (replace(YES, evidence_digest="0" * 64), "of other evidence"),
        (replace(YES, fresh=False), "of another version"),
        (replace(YES, counted_roles=frozenset({"auditor"})), "no reviewer any more"),
        (replace(YES, reviewer="ann"), "by the author"),
        (replace(YES, reviewer="Ann "), "by the author, written otherwise"),
        (replace(YES, reviewer="ann-laptop"), "by the author's other log-in"),
        (replace(YES, granted_by=frozenset({"ann"})), "by somebody whom the author made reviewer"),
    ],
)
def test_a_yes_that_does_not_count(review: Review, why: str) -> None:
    found = decide(PROMOTE, replace(GOOD, reviews=(review,)), rules(persons={"Ann Lee": ["ann", "ann-laptop"]}))
    assert found == ("0 of 1 approvals by reviewer of these files and this evidence",), why


def test_two_approvals_are_of_two_persons() -> None:
    two = rules(approvals={"count": 2}, persons={"Rita": ["rita", "rita-2"]})
    twice = (YES, replace(YES, reviewer="rita-2"))
    assert decide(PROMOTE, replace(GOOD, reviews=twice), two) == (
        "1 of 2 approvals by reviewer of these files and this evidence",
    )
    assert decide(replace(ROB, who="rita-2"), replace(GOOD, reviews=(YES,)), two) != ()
    assert decide(ROB, replace(GOOD, reviews=(YES,)), two) == ()
    assert decide(PROMOTE, replace(GOOD, reviews=(YES, replace(YES, reviewer="rob"))), two) == ()


def test_everything_that_is_missing_is_said_at_once() -> None:
    failed = Evidence("failed", FILES, PAPERS, written_at=NOW - DAY, failed=("count MAE 1.9 is above 1.5",))
    ask = replace(PROMOTE, who="ann", roles=frozenset({"reviewer"}))
    assert decide(ask, replace(GOOD, evidence=failed), rules(approvals={"count": 2})) == (
        "count MAE 1.9 is above 1.5",
        "0 of 2 approvals by reviewer of these files and this evidence",
        "you made or registered this version and cannot approve it",
    )


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"files": None, "files_trouble": "the bucket is away"}, "its files cannot be read: the bucket is away"),
        ({"files": "0" * 64}, "its files have digest 0000000000000000, but ffffffffffffffff was judged"),
        ({"evidence": Evidence()}, "nobody has judged it by the gates"),
        ({"evidence": replace(GOOD.evidence, evidence_digest="")}, "its evidence lacks evidence_digest"),
        ({"evidence": replace(GOOD.evidence, untrusted=("gates",))}, "its evidence (gates) was not recorded by"),
        ({"evidence": replace(GOOD.evidence, written_at=NOW - 31 * DAY)}, "it was judged on 2026-10-23"),
        ({"evidence": replace(GOOD.evidence, judged_against="7")}, "it was judged against champion 7"),
        ({"policy_digest": "p" * 64}, "it was judged by a policy of digest none"),
        ({"authors": frozenset()}, "nobody knows who made it"),
    ],
)
def test_what_evidence_must_be(facts: dict[str, Any], sentence: str) -> None:
    found = decide(ROB, replace(GOOD, **facts), rules())
    assert any(each.startswith(sentence) for each in found), found


def test_nobody_measures_their_own_model() -> None:
    apart = rules(evidence={"measured_by": ["validator"]})

    def found(measured: Any) -> tuple[str, ...]:
        return decide(ROB, replace(GOOD, evidence=replace(GOOD.evidence, measured=measured)), apart)

    assert found({"r1": Measurer("ci", frozenset({"validator"}))}) == ()
    assert found({"r1": Measurer("ci", frozenset({"validator"})), "r2": Measurer("ann")}) == (
        "it was measured in run r2 by ann; figures count from an account of role validator alone",
    )
    assert found({"r1": Measurer()})[0].startswith("it was measured in run r1 by nobody who is known")
    assert found({}) == ("nobody recorded an evaluation of it; an account of role validator evaluates it",)
    assert found(None)[0].startswith("its evidence cannot be read")


def test_where_files_lie() -> None:
    kept = rules(locations=["mlflow-artifacts:/*"])
    assert decide(ROB, replace(GOOD, location="mlflow-artifacts:/1/models/m-1/artifacts"), kept) == ()
    (found,) = decide(ROB, replace(GOOD, location="s3://theirs/model"), kept)
    assert found.startswith("its files lie at s3://theirs/model, where this server does not guard them")
    # without a word of the policy, below the server's own artefacts alone
    (found,) = decide(ROB, replace(GOOD, location="/home/ann/model", guarded=False), rules())
    assert found.startswith("its files lie at /home/ann/model, where this server does not guard them")
    assert (
        decide(ROB, replace(GOOD, location="s3://theirs/x", guarded=False), rules(locations=["s3://theirs/*"]))
        == ()
    )


def test_no_means_no_until_reopened() -> None:
    no = replace(YES, reviewer="rob", verdict="reject", comment="counts rain")
    other_paper = replace(GOOD, evidence=replace(GOOD.evidence, evidence_digest="0" * 64))
    ask = replace(ROB, who="nora")
    assert decide(ask, replace(other_paper, reviews=(no,)), rules()) == ("rob rejected it: counts rain",)
    assert decide(ask, replace(GOOD, reviews=(no, replace(no, verdict="approve"))), rules()) != ()
    # whoever said no does not take it back by a wish, and a yes after it
    softer = (no, replace(no, verdict="changes"), replace(no, verdict="approve"))
    assert "rob rejected it: counts rain" in decide(ask, replace(GOOD, reviews=softer), rules())
    assert decide(ask, replace(GOOD, reviews=(no, replace(YES, verdict="reopen"))), rules()) == ()
    changes = replace(no, verdict="changes")
    assert decide(ask, replace(GOOD, reviews=(changes,)), rules()) == ("rob asked for changes: counts rain",)
    assert decide(ask, replace(other_paper, reviews=(changes,)), rules()) == ()
    assert decide(ask, replace(GOOD, reviews=(changes, replace(no, verdict="approve"))), rules()) == ()
    # a yes from before a review was opened again is of then
    again = (YES, no, replace(YES, reviewer="nora", verdict="reopen"))
    assert decide(PROMOTE, replace(GOOD, reviews=again), rules()) != ()


def test_nothing_is_promoted_while_it_is_frozen() -> None:
    frozen = rules(
        freezes=[{"begins": "2026-11-23T11:00:00+00:00", "ends": "2026-11-23T13:00:00+00:00", "reason": "fair"}]
    )
    assert decide(ROB, GOOD, frozen) == ("nothing goes to Production until 2026-11-23 13:00 UTC: fair",)
    assert decide(ROB, replace(GOOD, now=NOW + timedelta(hours=1)), frozen) == ()
    weekly = rules(
        weekly_freezes=[
            {"begins": "friday 15:00", "ends": "monday 14:00", "zone": "Europe/Berlin", "reason": "weekend"}
        ]
    )
    assert decide(ROB, GOOD, weekly) == (
        "nothing goes to Production until monday 14:00 (Europe/Berlin): weekend",
    )  # 13:00 there
    assert decide(ROB, replace(GOOD, now=NOW + timedelta(hours=1)), weekly) == ()
    back = Ask("rollback", "otto", frozenset({"operator"}), "m", "1", comment="counts rain")
    assert decide(back, GOOD, frozen) == ()


def test_a_protected_alias_goes_where_the_champion_might() -> None:
    blue = {
        "protected_aliases": ["blue"],
        "freezes": [
            {"begins": "2026-11-23T11:00:00+00:00", "ends": "2026-11-23T13:00:00+00:00", "reason": "fair"}
        ],
    }
    stale = replace(GOOD.evidence, policy_digest="0" * 64, judged_against="7")
    facts = replace(GOOD, evidence=stale, policy_digest="p" * 64, reviews=(YES,))
    move = replace(PROMOTE, action="alias", subject="blue", value="2")
    found = decide(move, facts, rules(**blue))
    assert len(found) == 3
    assert found == decide(PROMOTE, facts, rules(**blue))
    assert decide(move, replace(GOOD, reviews=(YES,)), rules(protected_aliases=["blue"])) == ()
    # what is in Production already, and taking the alias away, put nothing there
    assert decide(replace(move, version="1", value="1"), facts, rules(**blue)) == ()
    assert decide(replace(move, value=None), facts, rules(**blue)) == ()


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"persons": {"Ann": ["a"], "Bob": ["A "]}}, "belongs to two persons"),
        (
            {"freezes": [{"begins": "2026-01-02T00:00:00Z", "ends": "2026-01-01T00:00:00Z", "reason": "why not"}]},
            "not after it begins",
        ),
        ({"weekly_freezes": [{"begins": "someday", "ends": "monday 07:00", "reason": "why not"}]}, "pattern"),
        (
            {
                "weekly_freezes": [
                    {"begins": "friday 15:00", "ends": "monday 07:00", "zone": "Mars", "reason": "why"}
                ]
            },
            "there is no time zone 'Mars'",
        ),
        ({"accounts": {"ann": ["king"]}}, "king"),
        ({"accounts": {"ann": ["validator", "reviewer"]}}, "ann: one log-in is a program"),
        ({"enforced": True}, "Extra inputs"),
    ],
)
def test_rules_that_cannot_be(section: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        rules(**section)


@given(
    action=st.sampled_from(sorted(_DECISIONS)),
    subject=st.sampled_from(
        ["", "gates", "champion", "previous", "serving", "governance.standing", "colour", "reviewer"]
    ),
    value=st.sampled_from([None, "passed", "2", "3"]),
    version=st.sampled_from([None, "1", "2"]),
)
def test_whoever_has_no_role_does_nothing(
    action: Any, subject: str, value: str | None, version: str | None
) -> None:
    ask = Ask(action, "mallory", frozenset(), "m", version, subject, value, "because")
    facts = replace(GOOD, reviews=(YES,), present="3", registrar="ann")
    assert decide(ask, facts, rules()) != ()
    assert decide(replace(ask, who=""), facts, rules()) != ()


@given(
    roles=st.sets(st.sampled_from(ALL_ROLES)),
    action=st.sampled_from(["promote", "approve", "challenge"]),
    count=st.integers(0, 3),
)
def test_no_role_makes_up_for_evidence(roles: set[str], action: Any, count: int) -> None:
    ask = Ask(action, "rob", frozenset(roles), "m", "2", comment="because")
    assert decide(ask, replace(GOOD, evidence=Evidence()), rules(approvals={"count": count})) != ()


@given(roles=st.sets(st.sampled_from(ALL_ROLES)), count=st.integers(0, 3))
def test_no_role_lets_the_author_approve_or_promote(roles: set[str], count: int) -> None:
    for action in ("promote", "approve"):
        ask = Ask(action, "ANN", frozenset(roles), "m", "2", comment="because")  # type: ignore[arg-type]
        assert decide(ask, replace(GOOD, reviews=(YES,)), rules(approvals={"count": count})) != ()


def test_the_author_does_not_take_back_the_no_to_their_own_version() -> None:
    no = replace(YES, reviewer="rob", verdict="reject", comment="counts rain")
    said_no = replace(GOOD, reviews=(no,))
    ask = replace(ROB, action="reopen", comment="it was snow")
    assert decide(replace(ask, who="nora"), said_no, rules()) == ()
    for author in ("ann", "ann-laptop"):
        found = decide(replace(ask, who=author), said_no, rules(persons={"Ann Lee": ["ann", "ann-laptop"]}))
        assert found == ("you made or registered this version and cannot reopen it",)


def test_what_was_reopened_under_another_name_stays_rejected_under_this_one() -> None:
    no = replace(YES, reviewer="rob", verdict="reject", comment="counts rain")
    reopened = replace(YES, reviewer="nora", verdict="reopen", fresh=False, elsewhere="copy")
    ask = replace(ROB, who="nora")
    assert "rob rejected it: counts rain" in decide(ask, replace(GOOD, reviews=(no, reopened)), rules())
    there = replace(no, elsewhere="copy", fresh=False)
    assert decide(ask, replace(GOOD, reviews=(there, reopened)), rules()) == ()
    # said here and there: the later word there is not what stands here
    assert "rob rejected it: counts rain" in decide(ask, replace(GOOD, reviews=(no, there, reopened)), rules())
    # said elsewhere again, and opened under this name: whoever looked here saw it all
    here = replace(reopened, elsewhere="")
    assert decide(ask, replace(GOOD, reviews=(no, there, here)), rules()) == ()
    # nor does it take a yes away
    assert decide(PROMOTE, replace(GOOD, reviews=(YES, reopened)), rules()) == ()


def test_a_review_that_an_author_opened_again_stays_as_it_was() -> None:
    no = replace(YES, reviewer="rob", verdict="reject", comment="counts rain")
    for elsewhere in ("", "copy"):  # an author since, or of this version and not of that one
        said = (no, replace(YES, reviewer="Ann", verdict="reopen", fresh=False, elsewhere=elsewhere))
        ask = replace(ROB, who="nora")
        assert "rob rejected it: counts rain" in decide(ask, replace(GOOD, reviews=said), rules())
        assert counting(ask, replace(GOOD, reviews=said), rules()) == (no,)
    assert (
        decide(
            ask, replace(GOOD, reviews=(no, replace(no, verdict="reopen", reviewer="ann"))), rules(four_eyes=False)
        )
        == ()
    )


def test_what_somebody_rejected_is_no_challenger() -> None:
    ask = Ask("challenge", "ann", frozenset({"data_scientist"}), "m", "2")
    assert decide(ask, GOOD, rules()) == ()
    no = replace(YES, reviewer="rob", verdict="reject", comment="counts rain")
    assert decide(ask, replace(GOOD, reviews=(no,)), rules()) == ("rob rejected it: counts rain",)

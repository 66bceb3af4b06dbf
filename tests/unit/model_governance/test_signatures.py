"""Sign-offs and accepted mitigations in a real MLflow: what a signature holds for, and when it is lost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from click.testing import CliRunner
from mlflow import MlflowClient
from plain_policy import POLICY

from model_governance import (
    EvidenceError,
    GateError,
    Policy,
    TamperError,
    TransitionError,
    accept,
    accept_mitigation,
    collect,
    promote,
    register,
)
from model_governance.cli import main
from model_governance.signatures import SIGNATURE_TAG

MakeModel = Callable[..., str]
CLIP = "annotated/street.mp4"


def rules(**more: Any) -> Policy:
    return Policy.model_validate({**POLICY, **more})


@pytest.fixture
def signed_off() -> Policy:
    return rules(acceptance=[{"artifact": "annotated/*", "reason": "somebody has looked at the clips"}])


@pytest.fixture
def model(make_model: MakeModel) -> str:
    uri = make_model()
    MlflowClient().log_text(collect(uri).run_id, "a clip", CLIP)
    return uri


def row(policy: Policy, uri: str) -> tuple[bool, str]:
    found = next(
        each for each in register(uri, "m", policy).verdict.rows if each.section in ("acceptance", "risk")
    )
    return found.passed, found.got


def test_a_version_needs_a_named_person_who_has_looked(model: str, signed_off: Policy) -> None:
    assert row(signed_off, model) == (False, "nobody has signed")
    with pytest.raises(GateError, match=r"sign-off of annotated/\*"):
        promote("m", 1, "Ann", "please")
    signature = accept(model, " Ann ", "every car is counted", CLIP)
    assert (signature.by, signature.sha256) == ("Ann", hashlib.sha256(b"a clip").hexdigest())
    done = register(model, "m", signed_off)
    assert done.passed
    assert not done.created, "the same version, judged anew"
    text = MlflowClient().get_model_version("m", done.version).description
    assert "Ann accepted annotated/street.mp4" in text
    assert "every car is counted" in text
    assert promote("m", 1, "Bob", "fine").champion == "1"


def test_a_signature_is_lost_with_what_was_looked_at(model: str, signed_off: Policy) -> None:
    accept(model, "Ann", "looked", CLIP)
    assert row(signed_off, model)[0]
    MlflowClient().log_text(collect(model).run_id, "another clip", CLIP)
    assert row(signed_off, model) == (False, "Ann: annotated/street.mp4 is no longer what was looked at")


def test_a_signature_is_lost_with_the_models_files(
    model: str, signed_off: Policy, model_folder: Callable[[str], Path]
) -> None:
    accept(model, "Ann", "looked", CLIP)
    (model_folder(model) / "notes.txt").write_text("one more file")
    assert row(signed_off, model) == (False, "Ann: signed for other files of the model")


def test_no_is_a_word_that_stands_until_the_same_person_takes_it_back(model: str, signed_off: Policy) -> None:
    now = datetime.now(UTC)
    accept(model, "Ann", "looked", CLIP, now=now)
    accept(model, "Bob", "two cars are missed", CLIP, verdict="rejected", now=now + timedelta(seconds=1))
    passed, got = row(signed_off, model)
    assert (passed, got.startswith("Bob said no to annotated/street.mp4: two cars are missed")) == (False, True)
    accept(model, "bob", "they are parked", CLIP, now=now + timedelta(seconds=2))
    assert row(signed_off, model)[0]


def test_one_person_is_not_two(model: str) -> None:
    two = rules(acceptance=[{"artifact": "annotated/*", "people": 2, "reason": "four eyes"}])
    accept(model, "Ann", "looked", CLIP)
    accept(model, "ann", "looked again", CLIP)
    assert not row(two, model)[0]
    accept(model, "Bob", "looked too", CLIP)
    assert row(two, model)[0]


def test_an_old_signature_expires_also_between_gate_and_promotion(model: str) -> None:
    lately = rules(acceptance=[{"artifact": "annotated/*", "max_age_days": 10, "reason": "lately"}])
    now = datetime.now(UTC)
    accept(model, "Ann", "looked", CLIP, now=now - timedelta(days=9))
    assert register(model, "m", lately).passed
    with pytest.raises(GateError, match="its evidence has expired: sign-off"):
        promote("m", 1, "Bob", "late", now=now + timedelta(days=2))


def test_a_no_after_the_gates_stops_the_promotion(model: str, signed_off: Policy) -> None:
    accept(model, "Ann", "looked", CLIP)
    assert register(model, "m", signed_off).passed
    accept(model, "Ann", "two cars are missed after all", CLIP, verdict="rejected")
    with pytest.raises(GateError, match=r"Ann said no to annotated/street\.mp4: two cars are missed after all"):
        promote("m", 1, "Bob", "fine")
    accept(model, "Ann", "they are parked", CLIP)
    assert promote("m", 1, "Bob", "fine").champion == "1"


def test_what_was_looked_at_must_be_the_same_at_the_promotion(model: str, signed_off: Policy) -> None:
    accept(model, "Ann", "looked", CLIP)
    assert register(model, "m", signed_off).passed
    MlflowClient().log_text(collect(model).run_id, "another clip", CLIP)
    with pytest.raises(GateError, match="is no longer what was looked at"):
        promote("m", 1, "Bob", "fine")


def test_a_signature_of_a_later_day_counts_on_no_day_before(model: str) -> None:
    lately = rules(acceptance=[{"artifact": "annotated/*", "max_age_days": 10, "reason": "lately"}])
    accept(model, "Ann", "looked", CLIP, now=datetime.now(UTC) + timedelta(days=3650))
    assert row(lately, model) == (False, "Ann: signed in the future: a wrong date")


def test_a_signature_cannot_be_changed_or_made_up(model: str, signed_off: Policy) -> None:
    signature = accept(model, "Ann", "looked", CLIP)
    run_id = collect(model).run_id
    (tag,) = (name for name in mlflow.get_run(run_id).data.tags if name.startswith(SIGNATURE_TAG))
    forged = signature.model_copy(update={"by": "Bob"})
    MlflowClient().set_tag(run_id, tag, forged.model_dump_json())
    with pytest.raises(TamperError, match="was changed after it was signed"):
        register(model, "m", signed_off)
    MlflowClient().set_tag(run_id, tag, "{}")
    with pytest.raises(TamperError, match="is no signature"):
        register(model, "m", signed_off)
    assert MlflowClient().search_model_versions("name='m'") == []


def test_who_signs_says_a_name_and_a_reason_for_something_that_is_there(model: str) -> None:
    with pytest.raises(TransitionError, match="a comment is missing"):
        accept(model, "Ann", " ", CLIP)
    with pytest.raises(EvidenceError, match=r"'annotated/other\.mp4' is no artefact of the run"):
        accept(model, "Ann", "looked", "annotated/other.mp4")
    with pytest.raises(EvidenceError, match="which is past"):
        accept_mitigation(model, "Ann", "fine", "blur", date(2020, 1, 1))


def test_a_folder_is_looked_at_as_a_whole(model: str, signed_off: Policy) -> None:
    whole = rules(acceptance=[{"artifact": "annotated", "reason": "all of them"}])
    accept(model, "Ann", "all of them", "annotated/")
    assert row(whole, model)[0]
    MlflowClient().log_text(collect(model).run_id, "one more", "annotated/second.mp4")
    assert not row(whole, model)[0]


RISK = {"risk_class": "limited", "reason": "people are on the pictures"}
BLUR = {"name": "blur", "what": "people are blurred before a frame is kept"}


def test_a_mitigation_is_accepted_for_this_model_until_a_day(model: str) -> None:
    policy = rules(risk=[{**RISK, "mitigations": [BLUR]}])
    assert row(policy, model) == (False, "nobody has accepted it")
    today = datetime.now(UTC).date()
    accept_mitigation(model, "Ann", "enough for a street", "blur", today + timedelta(days=5))
    accept_mitigation(model, "Ann", "another one", "fence", today + timedelta(days=99))
    assert row(policy, model) == (True, f"Ann, until {today + timedelta(days=5)}")
    with pytest.raises(GateError, match="evidence has expired: mitigation blur"):
        promote("m", 1, "Bob", "late", now=datetime.now(UTC) + timedelta(days=6))


@pytest.mark.parametrize(
    ("on", "expires", "passed"), [("2026-01-01", "2999-01-01", True), ("2020-01-01", "2020-02-01", False)]
)
def test_a_policy_can_accept_a_mitigation_for_all_models(model: str, on: str, expires: str, passed: bool) -> None:
    accepted = {"by": "Ann", "on": on, "expires": expires}
    assert row(rules(risk=[{**RISK, "mitigations": [{**BLUR, "accepted": accepted}]}]), model)[0] is passed


@pytest.mark.parametrize(
    ("risk", "message"),
    [
        ({"risk_class": "limited"}, "needs at least one mitigation"),
        ({"risk_class": "high", "mitigations": [BLUR]}, "needs an acceptance rule"),
        ({"risk_class": "minimal", "mitigations": [BLUR, BLUR]}, "stands there twice"),
        ({"risk_class": "severe", "mitigations": [BLUR]}, "'minimal', 'limited' or 'high'"),
        (
            {
                "risk_class": "limited",
                "mitigations": [{**BLUR, "accepted": {"by": "Ann", "on": "2026-02-01", "expires": "2026-01-01"}}],
            },
            "before it was accepted",
        ),
    ],
)
def test_a_risk_that_makes_no_sense_is_refused(risk: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rules(risk=[{**risk, "reason": "because"}])


def test_a_person_signs_on_the_command_line(model: str, signed_off: Policy, tmp_path: Path) -> None:
    def type_in(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, list(words))
        return result.exit_code, result.output

    both = tmp_path / "policy.yaml"
    risk = [{**RISK, "mitigations": [BLUR]}]
    acceptance = [{"artifact": "annotated/*", "reason": "somebody has looked"}]
    both.write_text(yaml.safe_dump({**POLICY, "risk": risk, "acceptance": acceptance}))
    by = ("--by", "Ann", "--comment", "looked at all of it")
    code, said = type_in("accept", model, *by, "--artifact", CLIP)
    assert (code, said.startswith(f"Ann accepted {CLIP}, digest ")) == (0, True)
    assert type_in("accept", model, *by, "--mitigation", "blur", "--expires", "2999-01-01") == (
        0,
        "Ann accepted the mitigation blur until 2999-01-01\n",
    )
    code, said = type_in("register", model, "m", "--policy", str(both))
    assert code == 0, said
    assert type_in("accept", model, *by, "--artifact", CLIP, "--reject")[0] == 0
    code, said = type_in("register", model, "m", "--policy", str(both))
    assert (code, "Ann said no" in said) == (1, True)
    for wrong in ([], ["--artifact", CLIP, "--mitigation", "blur"], ["--mitigation", "blur"]):
        assert type_in("accept", model, *by, *wrong)[0] == 2
    code, said = type_in("accept", "models:/m-nowhere", *by, "--artifact", CLIP)
    assert (code, said.startswith("Error: no model at")) == (1, True)


def test_the_bundle_keeps_what_was_signed(model: str, signed_off: Policy) -> None:
    accept(model, "Ann", "looked", CLIP)
    done = register(model, "m", signed_off)
    tags = MlflowClient().get_model_version("m", done.version).tags
    kept = mlflow.artifacts.load_dict(f"runs:/{done.evidence.run_id}/{tags['evidence']}/evidence.json")
    assert [each["by"] for each in kept["signatures"]] == ["Ann"]
    assert json.dumps(kept["looked_at"]).count(kept["signatures"][0]["sha256"]) == 1

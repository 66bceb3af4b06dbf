"""`model-governance` as a person types it: exit codes, and what is said on which stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from model_governance import Policy
from model_governance.cli import main
from model_governance.policy import policy_schema


@pytest.fixture
def policy_file(policy: Policy, tmp_path: Path) -> str:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(policy.model_dump(mode="json")))
    return str(path)


def type_in(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_a_version_from_registration_to_rollback(make_model: Callable[..., str], policy_file: str) -> None:
    for value in (1, 2):
        code, said = type_in("register", make_model(value), "m", "--policy", policy_file)
        assert code == 0
        assert f"m version {value} (1.{value - 1}.0), new, gates passed" in said
        code, said = type_in("promote", "m", str(value), "--approver", "Ann", "--comment", "good")
        assert code == 0
    assert "champion is version 2, previous 1" in said
    code, said = type_in("show", "m")
    assert code == 0
    assert all(word in said for word in ("champion", "previous", "Production", "Archived", "Ann"))
    assert type_in("check", "m") == (0, "m: stages, aliases, files and records agree\n")
    code, said = type_in("rollback", "m", "--operator", "Bob", "--reason", "blind at night")
    assert (code, said) == (0, "m: champion is version 1 again\n")
    code, said = type_in("show", "m", "2", "--json")
    assert json.loads(said)["tags"]["rolled_back_reason"] == "blind at night"


def test_square_brackets_are_text(make_model: Callable[..., str], policy: Policy, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    rule = policy.quality[0].model_copy(update={"reason": "[red]x[/] see [/team]"})
    file.write_text(yaml.safe_dump(policy.model_copy(update={"quality": (rule,)}).model_dump(mode="json")))
    code, said = type_in("register", make_model(), "m", "--policy", str(file))
    assert code == 0
    assert "[red]x[/]" in said
    assert type_in("promote", "m", "1", "--approver", "Ann [/ops]", "--comment", "good")[0] == 0
    code, said = type_in("show", "m")
    assert (code, "[/ops]" in said) == (0, True)


def test_a_refused_version_is_an_exit_code_with_the_rows_that_say_why(
    make_model: Callable[..., str], policy_file: str
) -> None:
    uri = make_model(metrics={"score": 0.1, "latency_ms": 1})
    code, said = type_in("register", uri, "m", "--policy", policy_file)
    assert code == 1
    assert "score failed: expected at least 0.5, got 0.1 (worse is of no use)" in said
    code, said = type_in("promote", "m", "1", "--approver", "Ann", "--comment", "please")
    assert code == 1
    assert said.startswith("Error: ")
    assert "did not pass its gates" in said
    assert "Traceback" not in said


def test_a_rejected_version_stays_away_until_it_is_reopened(
    make_model: Callable[..., str], policy_file: str
) -> None:
    uri = make_model()
    type_in("register", uri, "m", "--policy", policy_file)
    assert type_in("reject", "m", "1", "--reviewer", "Ann", "--comment", "counts shadows")[0] == 0
    code, said = type_in("register", uri, "m", "--policy", policy_file)
    assert code == 1
    assert "version 1 of 'm' holds these files and was rejected by Ann on" in said
    assert "counts shadows" in said
    code, said = type_in("reopen", "m", "1", "--reviewer", "Eve", "--reason", "they were people")
    assert (code, said.split(";")[0]) == (0, "m: the review of version 1 is open again")
    assert type_in("register", uri, "m", "--policy", policy_file)[0] == 0
    code, said = type_in("promote", "m", "1", "--approver", "Ann", "--comment", "ok", "--policy", policy_file)
    assert code == 0


def test_what_disagrees_is_said_and_put_right(make_model: Callable[..., str], policy_file: str) -> None:
    from mlflow import MlflowClient

    type_in("register", make_model(), "m", "--policy", policy_file)
    type_in("promote", "m", "1", "--approver", "Ann", "--comment", "good")
    MlflowClient().delete_registered_model_alias("m", "champion")
    code, said = type_in("check", "m")
    assert code == 1
    assert "alias champion is on no version; it should be on version 1" in said
    assert type_in("sync", "m", "--approver", "Ann", "--comment", "repair", "--revert")[0] == 0
    assert type_in("check", "m")[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("promote", "m", "1", "--comment", "x"), 2, "Missing option '--approver'"),
        (("promote", "m", "1", "--approver", " ", "--comment", "x"), 1, "a name is missing"),
        (("show", "nowhere"), 1, "there is no registered model 'nowhere'"),
        (("register", "models:/m-none", "m", "--policy", "absent.yaml"), 2, "does not exist"),
    ],
)
def test_wrong_usage(store: str, words: tuple[str, ...], code: int, said: str) -> None:
    got, output = type_in(*words)
    assert got == code
    assert said in output


def test_the_schema_is_printed() -> None:
    code, said = type_in("schema")
    assert code == 0
    assert json.loads(said) == policy_schema()

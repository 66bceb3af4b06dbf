"""What MLflow's own client copies, and what is no model at all, on a server that governs strictly."""

from __future__ import annotations

from collections.abc import Iterator

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from model_governance import Policy, register
from tests.governed_browser import POLICY, as_somebody, registered
from tests.governed_server import MlflowServer, governed_server

pytestmark = pytest.mark.slow

NOT_JUDGED = "nobody has judged it by the gates; an account of role validator registers it"
NOT_APPROVED = "0 of 1 approvals by reviewer of these files and this evidence"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow.tracking.fluent, "_active_experiment_id", None)
        with governed_server(tmp_path_factory.mktemp("governed")) as running:
            yield running


def ask(server: MlflowServer, user: str, call: str, **body: str) -> tuple[int, str]:
    answer = server.request(user, "POST", f"/governance/api/{call}", json=body)
    return answer.status_code, str(answer.json().get("message", ""))


def missing(server: MlflowServer, name: str, number: str) -> list[str]:
    query = {"name": name, "version": number}
    return list(server.request("otto", "GET", "/governance/api/version", params=query).json()["missing"])


def promoted(server: MlflowServer, name: str, value: float) -> str:
    number = registered(server, name, value, {"score": 0.8, "latency_ms": 10})
    said = {"name": name, "version": number, "comment": "looked at"}
    assert ask(server, "rita", "review", verdict="approve", **said) == (200, "")
    assert ask(server, "otto", "promote", **said) == (200, "")
    return number


def test_a_copy_of_the_champion_starts_unjudged_and_is_judged_by_itself(server: MlflowServer) -> None:
    number = promoted(server, "street", 1.0)
    server.client("ann").set_model_version_tag("street", number, "site", "north")
    before = server.client("aud").get_model_version("street", number)
    with as_somebody(server, "ann"):
        copy = MlflowClient().copy_model_version(f"models:/street/{number}", "square")
    assert {"review", "gates", "artifact_digest", "approved_by"} <= set(before.tags)
    plain = {key: before.tags[key] for key in ("site", "change", "training_run_id", "version_reason")}
    assert (copy.tags, copy.current_stage, copy.aliases) == (plain, "None", [])

    query = {"model": "square", "action": "create version"}
    entry = server.request("aud", "GET", "/governance/api/audit/show", params=query).json()["entries"][0]
    assert entry["detail"]["tags"] == plain
    assert set(entry["detail"]["not copied"]) == set(before.tags) - set(plain)
    assert entry["detail"]["not copied"]["approved_by"] == "rita"

    # as for any version: a plain alias moves freely, and nothing serves before it was judged and reviewed
    author = server.client("ann")
    author.set_registered_model_alias("square", "try-me", "1")
    for change in (
        lambda who: who.set_registered_model_alias("square", "champion", "1"),
        lambda who: who.transition_model_version_stage("square", "1", "Production"),
        lambda who: who.transition_model_version_stage("square", "1", "Staging"),
    ):
        with pytest.raises(MlflowException, match=NOT_JUDGED):
            change(server.client("rita"))
    with pytest.raises(MlflowException, match="only the champion and champions before it can serve"):
        author.set_registered_model_alias("square", "serving", "1")
    assert missing(server, "square", "1") == [NOT_JUDGED, NOT_APPROVED]
    with pytest.raises(MlflowException, match="gates tells what was measured"):
        author.set_model_version_tag("square", "1", "gates", "passed")

    with as_somebody(server, "validator"):
        judged = register("models:/square/1", "square", Policy.model_validate(POLICY))
        assert (judged.require_passed().version, judged.created) == ("1", False)
    assert missing(server, "square", "1") == [NOT_APPROVED]
    author_says = ask(server, "ann", "promote", name="square", version="1", comment="mine")
    assert author_says[0] == 403
    assert "takes the role reviewer or operator" in author_says[1]
    assert ask(
        server, "rita", "review", name="square", version="1", verdict="approve", comment="looked again"
    ) == (200, "")
    assert ask(server, "otto", "promote", name="square", version="1", comment="go") == (200, "")
    aliases = server.client("aud").get_registered_model("square").aliases
    assert (aliases["champion"], aliases["try-me"]) == ("1", "1")
    # and what was copied is as it was
    after = server.client("aud").get_model_version("street", number)
    assert (after.tags, after.current_stage) == (before.tags, "Production")


def test_the_validators_copy_carries_no_verdict_either(server: MlflowServer) -> None:
    number = registered(server, "judged", 2.0, {"score": 0.9, "latency_ms": 10})
    with as_somebody(server, "validator"):
        copy = MlflowClient().copy_model_version(f"models:/judged/{number}", "judged-too")
    assert set(copy.tags) == {"change", "training_run_id", "version_reason"}
    assert NOT_JUDGED in missing(server, "judged-too", "1")


def test_a_no_goes_with_the_files_into_a_copy(server: MlflowServer) -> None:
    number = registered(server, "rainy", 3.0, {"score": 0.9, "latency_ms": 10})
    assert (
        ask(server, "rob", "review", name="rainy", version=number, verdict="reject", comment="counts rain")[0]
        == 200
    )
    with as_somebody(server, "ann"):
        MlflowClient().copy_model_version(f"models:/rainy/{number}", "dry")
    assert "rob rejected it: counts rain (as 'rainy')" in missing(server, "dry", "1")


def test_only_what_the_copied_version_says_stays_behind(server: MlflowServer) -> None:
    """A tag of one's own invention is refused as ever, whichever version is named as the source."""
    number = registered(server, "honest", 4.0, {"score": 0.1, "latency_ms": 10})
    assert server.post("ann", "registered-models/create", name="forged").ok
    for source in (f"models:/honest/{number}", "models:/honest/99"):
        answer = server.post(
            "ann",
            "model-versions/create",
            name="forged",
            source=source,
            tags=[{"key": "gates", "value": "passed"}],
        )
        assert answer.status_code in (400, 403, 404), answer.text
    assert server.get("ann", "model-versions/search", filter="name='forged'").json() == {}


def test_the_aliases_of_a_prompt_are_plain_aliases(server: MlflowServer) -> None:
    with as_somebody(server, "ann"):
        for text in ("Count {{things}}.", "Count all {{things}}."):
            mlflow.genai.register_prompt("ask", text, tags={"git_commit": "a" * 40})
        for alias, number in (
            ("champion", 1),
            ("challenger", 2),
            ("previous", 1),
            ("serving", 2),
            ("champion", 2),
        ):
            mlflow.genai.set_prompt_alias("ask", alias, number)
        assert mlflow.genai.load_prompt("prompts:/ask@champion").template == "Count all {{things}}."
        MlflowClient().delete_prompt_alias("ask", "challenger")
        model = server.get("ann", "registered-models/get", name="ask").json()["registered_model"]
        assert {each["alias"]: each["version"] for each in model["aliases"]} == {
            "champion": "2", "previous": "1", "serving": "2",
        }  # fmt: skip
    for number in ("1", "2"):
        version = server.get("ann", "model-versions/get", name="ask", version=number).json()["model_version"]
        assert version["current_stage"] == "None"
    moved = server.post("rita", "model-versions/transition-stage", name="ask", version="2", stage="Production")
    assert (moved.status_code, moved.json()["error_code"]) == (403, "PERMISSION_DENIED")
    assert "is one of MLflow's prompts, of which nothing is judged" in moved.json()["message"]
    pointed = server.post("aud", "registered-models/alias", name="ask", alias="champion", version="1")
    assert (pointed.status_code, "setting aliases takes the role" in pointed.json()["message"]) == (403, True)
    with as_somebody(server, "ann"):  # and it goes as it came
        for alias in ("champion", "previous", "serving"):
            MlflowClient().delete_prompt_alias("ask", alias)
        MlflowClient().delete_prompt_version("ask", "1")
    query = {"model": "ask", "action": "alias", "outcome": "done"}
    told = server.request("aud", "GET", "/governance/api/audit/show", params=query).json()["entries"]
    assert [(each["actor"], each["detail"]["alias"]) for each in told][-5:] == [
        ("ann", "champion"), ("ann", "serving"), ("ann", "previous"), ("ann", "challenger"), ("ann", "champion"),
    ]  # fmt: skip


def test_no_model_is_served_as_a_prompt(server: MlflowServer) -> None:
    """Under a prompt's name, where aliases are free, a version with files would be loaded unjudged."""
    with as_somebody(server, "ann"):
        mlflow.genai.register_prompt("looks-free", "Count {{things}}.")
    number = registered(server, "square-2", 5.0, {"score": 0.9, "latency_ms": 10})
    refused = pytest.raises(MlflowException, match="is one of MLflow's prompts and holds no model")
    with as_somebody(server, "ann"), refused:
        MlflowClient().copy_model_version(f"models:/square-2/{number}", "looks-free")
    assert server.get("ann", "model-versions/get", name="looks-free", version="1").ok
    assert server.get("ann", "model-versions/get", name="looks-free", version="2").status_code == 404

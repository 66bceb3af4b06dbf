"""A registry that is older than its gate, and models that came by every way of MLflow's own clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from model_governance import Policy, TransitionError, evaluation_of, register
from tests.governed_browser import as_somebody
from tests.governed_models import log_constant, measure
from tests.governed_server import MlflowServer, governed_server
from tests.own_store import own_store

pytestmark = pytest.mark.slow

POLICY = Policy.model_validate(
    {
        "format_version": 1,
        "quality": [{"metric": "score", "min": 0.5, "reason": "worse is of no use"}],
        "champion": [
            {
                "metric": "score",
                "better": "higher",
                "worse_by_at_most": 0.05,
                "same_data": False,
                "reason": "no step back",
            }
        ],
    }
)
NOT_APPROVED = "0 of 1 approvals by reviewer of these files and this evidence"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Over a registry that plain MLflow filled: version 1 of `old` in Production by its stage, 2 in none."""
    folder = tmp_path_factory.mktemp("governed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow.tracking.fluent, "_active_experiment_id", None)
        with own_store(folder):
            mlflow.create_experiment("before", artifact_location=(folder / "artifacts" / "before").as_uri())
            patch.setenv("MLFLOW_EXPERIMENT_NAME", "before")
            for value in (1.0, 2.0):
                mlflow.register_model(log_constant(value), "old")
            MlflowClient().transition_model_version_stage("old", "1", "Production")
        with governed_server(folder) as running:
            assert running.post("ann", "experiments/create", name="now").ok
            patch.setenv("MLFLOW_EXPERIMENT_NAME", "now")
            yield running


def decide(server: MlflowServer, user: str, call: str, name: str, **body: str) -> tuple[int, str]:
    answer = server.request(user, "POST", f"/governance/api/{call}", json={"name": name, **body})
    return answer.status_code, str(answer.json().get("message", ""))


def missing(server: MlflowServer, name: str, number: str) -> list[str]:
    """What an operator is told to be missing."""
    query = {"name": name, "version": number}
    return list(server.request("otto", "GET", "/governance/api/version", params=query).json()["missing"])


def standing(server: MlflowServer, name: str) -> dict[str, str]:
    model = server.get("aud", "registered-models/get", name=name).json()["registered_model"]
    return {each["alias"]: each["version"] for each in model.get("aliases", []) if each["alias"] != "serving"}


def test_a_registry_is_adopted_with_its_champion(server: MlflowServer) -> None:
    with as_somebody(server, "ann"):
        uri = log_constant(3.0)
        assert mlflow.register_model(uri, "old").version == "3"
    with as_somebody(server, "validator"):
        measure("models:/old/3", {"score": 0.8})
        told = register("models:/old/3", "old", POLICY).verdict.failures
        assert [row.got for row in told] == [
            "champion: not measured; evaluate the champion with this policy's metrics"
        ]
        # the champion of before is measured as it is, and stays as it is
        champion = str(MlflowClient().get_model_version("old", "1").source)
        measure(champion, {"score": 0.7})
        with pytest.raises(TransitionError, match="was in Production before anybody judged it"):
            register(champion, "old", POLICY)
        assert register("models:/old/3", "old", POLICY).require_passed().version == "3"
    assert missing(server, "old", "3") == [NOT_APPROVED]
    # a champion by its stage alone waits for nobody, and nobody is asked to review it
    waits = server.request("rita", "GET", "/governance/api/waiting").json()["waiting"]
    assert {each["version"] for each in waits if each["name"] == "old"} == {"2", "3"}
    assert decide(server, "rita", "review", "old", version="3", verdict="approve", comment="looked at") == (
        200,
        "",
    )
    assert decide(server, "otto", "promote", "old", version="3", comment="go") == (200, "")
    assert standing(server, "old") == {"champion": "3", "previous": "1"}
    assert decide(server, "otto", "rollback", "old", reason="worse at dusk") == (200, "")
    assert standing(server, "old") == {"champion": "1"}


def test_who_made_an_old_version_registers_it_again(server: MlflowServer) -> None:
    with as_somebody(server, "validator"):
        measure("models:/old/2", {"score": 0.9})
        register("models:/old/2", "old", POLICY)
    code, told = decide(server, "rita", "review", "old", version="2", verdict="approve", comment="looked at")
    assert (code, "whoever made it registers it again, through this server" in told) == (403, True)
    with as_somebody(server, "ann"):
        again = MlflowClient().copy_model_version("models:/old/2", "new").version
        source = str(MlflowClient().get_model_version("old", "2").source)
    with as_somebody(server, "validator"):
        assert register(source, "new", POLICY).version == again
    assert missing(server, "new", again) == [NOT_APPROVED]


def by_a_raw_address_of_a_run(server: MlflowServer, tmp_path: Path) -> str:
    """As MLflow 2 keeps a model, among its run's files, and as REST users register it."""
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(saved_model(tmp_path)), "model")
    source = f"runs:/{run.info.run_id}/model"
    MlflowClient().create_registered_model("raw")
    made = server.post("ann", "model-versions/create", name="raw", source=source, run_id=run.info.run_id)
    assert made.ok, made.text
    return "raw"


def by_the_address_of_its_run(server: MlflowServer, tmp_path: Path) -> str:
    """The same address, where MLflow 3 keeps the files elsewhere."""
    source = f"runs:/{MlflowClient().get_logged_model(log_constant(11.0)[8:]).source_run_id}/model"
    MlflowClient().create_registered_model("of-run")
    run_id = source.split("/")[1]
    made = server.post("ann", "model-versions/create", name="of-run", source=source, run_id=run_id)
    assert made.ok, made.text
    return "of-run"


def by_an_artifact_path_in_a_nested_run(server: MlflowServer, tmp_path: Path) -> str:
    with mlflow.start_run(), mlflow.start_run(nested=True):
        code = saved_code(tmp_path)
        mlflow.pyfunc.log_model(
            artifact_path="model", python_model=str(code), pip_requirements=[], registered_model_name="nested"
        )
    return "nested"


def by_a_copy(server: MlflowServer, tmp_path: Path) -> str:
    mlflow.register_model(log_constant(12.0), "first-home")
    MlflowClient().copy_model_version("models:/first-home/1", "copied")
    return "copied"


WAYS = (
    by_a_raw_address_of_a_run, by_the_address_of_its_run, by_an_artifact_path_in_a_nested_run, by_a_copy
)  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: str(way.__name__))
def test_every_way_to_register_leads_to_a_review(
    server: MlflowServer, tmp_path: Path, way: Callable[[MlflowServer, Path], str]
) -> None:
    with as_somebody(server, "ann"):
        name = way(server, tmp_path)
        told = missing(server, name, "1")
        assert told == [
            "nobody has judged it by the gates; an account of role validator registers it",
            NOT_APPROVED,
        ]
    with as_somebody(server, "validator"):
        version = MlflowClient().get_model_version(name, "1")
        own_run = version.run_id if name == "raw" else None  # a model of MLflow 2 has figures in its run alone
        with mlflow.start_run(own_run), evaluation_of(f"models:/{name}/1"):
            mlflow.log_metric("score", 0.8)
        if own_run is None:
            assert register(f"models:/{name}/1", name, POLICY).require_passed().version == "1"
        else:
            with pytest.raises(MlflowException, match=f"measured in run {own_run} by ann"):
                register(f"models:/{name}/1", name, POLICY)
    measured = [] if own_run is None else [
        f"it was measured in run {own_run} by ann; figures count from an account of role validator alone"
    ]  # fmt: skip
    assert missing(server, name, "1") == [*measured, NOT_APPROVED]
    # and what was judged is kept: its author can write over none of it
    place = str(
        server.get("aud", "model-versions/get-download-uri", name=name, version="1").json()["artifact_uri"]
    )
    path = place.removeprefix("mlflow-artifacts:/").lstrip("/")
    written = server.request(
        "ann", "PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}/MLmodel", data=b"flavors: {}"
    )
    assert (written.status_code, "are kept as they were registered" in written.text) == (403, True)


def test_prompts_are_made_and_pointed_at_as_ever(server: MlflowServer) -> None:
    """A prompt is no model: nobody reviews it, and aliases of its own choice move freely."""
    with as_somebody(server, "ann"):
        for text in ("Count {{things}}.", "Count all {{things}}."):
            mlflow.genai.register_prompt("ask", text)
        mlflow.genai.set_prompt_alias("ask", "latest-good", 2)
        assert mlflow.genai.load_prompt("prompts:/ask@latest-good").template == "Count all {{things}}."
    waits = server.request("rita", "GET", "/governance/api/waiting").json()["waiting"]
    assert "ask" not in {each["name"] for each in waits}


def saved_code(folder: Path) -> Path:
    code = folder / "answers.py"
    code.write_text(
        "import mlflow\nfrom mlflow.pyfunc import PythonModel\n\n\nclass One(PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n        return [1.0] * len(model_input)\n\n\n"
        "mlflow.models.set_model(One())\n"
    )
    return code


def saved_model(folder: Path) -> Path:
    mlflow.pyfunc.save_model(folder / "saved", python_model=str(saved_code(folder)), pip_requirements=[])
    return folder / "saved"

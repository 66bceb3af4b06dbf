"""The client side against a real governed server, each step with the log-in of whoever takes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
import requests
import yaml
from click.testing import CliRunner, Result
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from model_governance import TransitionError, evaluation_of, load_policy, promote, register, reject, rollback
from model_governance.cli import main
from tests.back_ends import BACK_ENDS, places
from tests.governed_models import log_constant
from tests.governed_server import MlflowServer, governed_server

POLICY = {
    "format_version": 1,
    "quality": [{"metric": "score", "min": 0.5, "reason": "worse is of no use"}],
    "governance": {"approvals": {"count": 1}},
}


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(yaml.safe_dump(POLICY))
    return path


@pytest.fixture(scope="module", params=BACK_ENDS)
def server(
    request: pytest.FixtureRequest, policy: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp(f"governed-{request.param}")
    with (
        places(request.param) as place_for,
        governed_server(folder, policy, place=place_for("governed", folder)) as running,
    ):
        yield running


@contextmanager
def logged_in(server: MlflowServer, user: str) -> Iterator[MlflowClient]:
    """MLflow and this package as somebody."""
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(server.address(user))
    mlflow.set_registry_uri(server.address(user))
    try:
        yield MlflowClient()
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])


def test_from_training_to_rollback_with_five_log_ins(
    server: MlflowServer, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    gates = load_policy(policy)
    uris = []
    with logged_in(server, "ann"):
        for value in (1.0, 2.0, 3.0):
            uris.append(log_constant(value))
        with pytest.raises(MlflowException, match="takes the role validator"):
            register(uris[0], "street", gates)
    with logged_in(server, "validator") as client:
        for uri, score in zip(uris, (0.8, 0.8, 0.4), strict=True):
            with mlflow.start_run(), evaluation_of(uri):
                mlflow.log_metric("score", score, model_id=uri.removeprefix("models:/"))
        assert [register(uri, "street", gates).version for uri in uris] == ["1", "2", "3"]
        assert {str(v.version): v.current_stage for v in client.search_model_versions("name='street'")} == {
            "1": "None", "2": "Staging", "3": "None",
        }  # fmt: skip
    with logged_in(server, "ann"), pytest.raises(TransitionError, match="you made or registered this version"):
        promote("street", 2, "Rita", "signed with another name")
    with logged_in(server, "rita") as client:
        assert promote("street", 2, "Rita", "it counts").champion == "2"
        assert client.get_model_version("street", "2").tags["approved_by"] == "rita"
        reply = server.post(
            "rita", "model-versions/transition-stage", name="street", version="3", stage="Production"
        )
        assert reply.status_code == 403
        assert "score" in reply.json()["message"]
        assert "0.4" in reply.json()["message"]
    with logged_in(server, "validator"):
        register(uris[0], "street", gates)  # is still the same version, and stands for review again
    with logged_in(server, "rob") as client:
        assert promote("street", 1, "Rob", "this one is smaller").previous == "2"
        with pytest.raises(TransitionError, match="is or was in Production"):
            reject("street", 1, "Rob", "or not")
    with logged_in(server, "otto") as client:
        assert rollback("street", "Otto", "counts rain").champion == "2"
        assert {alias: str(at) for alias, at in client.get_registered_model("street").aliases.items()} == {
            "champion": "2"
        }  # serving is the rollout's
    history = server.request("aud", "GET", "/governance/api/audit/verify").json()
    assert history["whole"] is True


def test_the_shell_asks_the_server(server: MlflowServer, tmp_path: Path) -> None:
    def typed(user: str, *words: str) -> Result:
        with logged_in(server, user):  # which the command sets, too
            return CliRunner().invoke(main, ["--tracking-uri", server.address(user), *words])

    told = typed("aud", "compliance", "street", "--json")
    assert told.exit_code == 0, told.output
    versions = json.loads(told.output)["versions"]
    assert [each["version"] for each in versions] == ["3", "2", "1"]
    assert "rolled back" not in typed("aud", "compliance", "street", "1").output
    assert typed("aud", "compliance", "nothing").exit_code == 1

    out = tmp_path / "token"
    made = typed("admin", "tokens", "make", "rollout", "--purpose", "moves serving", "--out", str(out))
    assert (made.exit_code, out.stat().st_mode & 0o777) == (0, 0o600), made.output
    assert bearing(server, out.read_text().strip(), "/governance/api/about").json()["user"] == "rollout"
    assert typed("admin", "tokens", "make", "rollout", "--purpose", "x", "--out", str(out)).exit_code == 1
    assert (
        typed("rita", "tokens", "make", "rollout", "--purpose", "x", "--out", str(tmp_path / "b")).exit_code == 1
    )
    assert not (tmp_path / "b").exists()
    (row,) = json.loads(typed("aud", "tokens", "show", "--json").output)
    assert (row["user"], row["purpose"], row["state"]) == ("rollout", "moves serving", "works")
    assert typed("admin", "tokens", "withdraw", row["id"]).exit_code == 0
    assert bearing(server, out.read_text().strip(), "/governance/api/about").status_code == 401


def test_a_program_works_with_its_token(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = server.request(
        "admin", "POST", "/governance/api/tokens/make", json={"user": "validator", "purpose": "nightly"}
    )
    token = made.json()["token"]
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
    client = MlflowClient(server.url, registry_uri=server.url)

    # registry and runs (Flask), and a file through the artifact proxy (FastAPI)
    assert client.create_registered_model("by-a-program").name == "by-a-program"
    run = client.create_run(client.create_experiment("by-a-program"))
    client.log_text(run.info.run_id, "counted", "notes.txt")
    place = run.info.artifact_uri.removeprefix("mlflow-artifacts:/")
    notes = f"/api/2.0/mlflow-artifacts/artifacts/{place}/notes.txt"
    assert bearing(server, token, notes).text == "counted"
    assert bearing(server, token[:-4] + "AAAA", notes).status_code == 401
    audit = server.request("aud", "GET", "/governance/api/audit/show?model=by-a-program").json()["entries"]
    assert {each["actor"] for each in audit} == {"validator"}

    # another password: whoever had the old one may be somebody else
    other = server.request(
        "admin",
        "PATCH",
        "/api/2.0/mlflow/users/update-password",
        json={"username": "validator", "password": "another-pa55word"},
    )
    assert other.ok, other.text
    for path in (notes, "/api/2.0/mlflow/registered-models/get?name=by-a-program", "/governance/api/about"):
        assert bearing(server, token, path).status_code == 401
    assert token not in server.log


def bearing(server: MlflowServer, token: str, path: str) -> requests.Response:
    return server.request(None, "GET", path, headers={"Authorization": f"Bearer {token}"})

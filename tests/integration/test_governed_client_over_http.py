"""The client side against a real governed server, each step with the log-in of whoever takes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from model_governance import TransitionError, evaluation_of, load_policy, promote, register, reject, rollback
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


@pytest.fixture(scope="module")
def server(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with governed_server(tmp_path_factory.mktemp("governed"), policy) as running:
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
            with mlflow.start_run(), evaluation_of(uris[-1]):
                score = 0.4 if value == 3.0 else 0.8
                mlflow.log_metric("score", score, model_id=uris[-1].removeprefix("models:/"))
        with pytest.raises(MlflowException, match="takes the role validator"):
            register(uris[0], "street", gates)
    with logged_in(server, "validator") as client:
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

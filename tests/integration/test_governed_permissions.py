"""MLflow's permissions on a governed server: what people go on doing with them, and what the audit says of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.gate_scene import Scene, build, ok, write_model
from tests.governed_server import MlflowServer, governed_server
from tests.ways_round_the_gate.way import manages

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with governed_server(tmp_path_factory.mktemp("governed")) as server:
        yield build(server, "street")


def permit(scene: Scene, who: str, what: str, user: str, permission: str = "") -> requests.Response:
    body = {"username": user, "resource_type": "registered_model", "resource_id": "street"}
    path = f"/api/3.0/mlflow/users/permissions/{what}"
    return scene.server.request(who, "POST", path, json=body | ({"permission": permission} if permission else {}))


def last(server: MlflowServer) -> dict[str, object]:
    query = "SELECT actor, action, outcome, model FROM governance_audit ORDER BY seq DESC LIMIT 1"
    return server.place.rows(query)[0]


def test_the_author_keeps_no_reviewer_out_and_the_audit_names_the_model(scene: Scene) -> None:
    refused = permit(scene, "ann", "grant", "rob", "DENY")
    assert refused.status_code == 403
    assert "an admin alone denies" in refused.json()["message"]
    told = {"actor": "ann", "action": "grant user permission", "outcome": "refused", "model": "street"}
    assert last(scene.server) == told
    page = scene.server.request("rob", "GET", "/governance/api/version?name=street&version=2")
    assert ok(page)["name"] == "street"


def test_giving_goes_on_and_an_admin_denies(scene: Scene) -> None:
    ok(permit(scene, "ann", "grant", "rob", "EDIT"))
    told = {"actor": "ann", "action": "grant user permission", "outcome": "done", "model": "street"}
    assert last(scene.server) == told
    refused = permit(scene, "ann", "revoke", "rob")
    assert refused.status_code == 403
    assert "rob is reviewer here" in refused.json()["message"]
    ok(permit(scene, "admin", "revoke", "rob"))
    ok(permit(scene, "admin", "grant", "rob", "DENY"))
    assert last(scene.server) == told | {"actor": "admin"}
    assert not scene.server.get("rob", "registered-models/get", name="street").ok
    ok(permit(scene, "admin", "revoke", "rob"))


def test_the_validator_registers_what_somebody_else_made_and_measures_on(scene: Scene) -> None:
    runs = {
        who: ok(scene.post(who, "runs/create", experiment_id=scene.experiment))["run"]["info"]["run_id"]
        for who in ("ann", "validator")
    }
    scene.runs["4"] = runs["ann"]
    write_model(scene, "4", b"fourth")
    source = {"source": f"runs:/{runs['ann']}/model", "run_id": runs["ann"]}
    ok(scene.post("validator", "model-versions/create", name="street", **source))
    folder = f"{scene.experiment}/{runs['validator']}/artifacts"
    own = {"source": f"mlflow-artifacts:/{folder}", "run_id": runs["validator"]}
    refused = scene.post("ann", "model-versions/create", name="street", **own)
    assert refused.status_code == 403
    assert f"run {runs['validator']} is validator's" in refused.json()["message"]
    ok(scene.put("validator", f"{folder}/evidence.json", b"{}"))


def test_whoever_measured_deletes_it_and_then_the_experiment_goes(scene: Scene) -> None:
    experiment = ok(scene.post("ann", "experiments/create", name="measured"))["experiment_id"]
    run = ok(scene.post("validator", "runs/create", experiment_id=experiment))["run"]["info"]["run_id"]
    refused = scene.post("ann", "experiments/delete", experiment_id=experiment)
    assert refused.status_code == 403
    assert f"run {run} in it is validator's" in refused.json()["message"]
    assert "give validator MANAGE on it and let it delete" in refused.json()["message"]
    manages(scene, "validator", "experiment", experiment)
    ok(scene.post("validator", "runs/delete", run_id=run))
    ok(scene.post("ann", "experiments/delete", experiment_id=experiment))


def test_a_copy_of_what_the_validator_trained_is_registered(scene: Scene) -> None:
    run = ok(scene.post("validator", "runs/create", experiment_id=scene.experiment))["run"]["info"]["run_id"]
    scene.runs["trained"] = run
    write_model(scene, "trained", b"trained", "validator")
    trained = {"source": f"runs:/{run}/model", "run_id": run}
    ok(scene.post("validator", "registered-models/create", name="trained"))
    ok(scene.post("validator", "model-versions/create", name="trained", **trained))
    ok(scene.post("ann", "registered-models/create", name="copied"))
    ok(scene.post("ann", "model-versions/create", name="copied", source="models:/trained/1", run_id=run))

"""MLflow's permissions on a governed server: what people go on doing with them, and what the audit says of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.gate_scene import Scene, build, ok
from tests.governed_server import MlflowServer, governed_server

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

"""The sweep: every endpoint of the MLflow that is installed is classified, and what is not changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model_governance.governed.endpoints import (
    FASTAPI,
    FLASK,
    GRAPHQL_MUTATIONS,
    SAFE_METHODS,
    Kind,
    kind_of,
    unclassified,
)
from tests.empty_store import empty_store
from tests.governed_server import ROOT

CHANGING_WORDS = (
    "add", "assign", "attach", "cancel", "complete", "create", "delete", "detach", "end", "export", "finalize",
    "generate", "grant", "install", "invoke", "link", "log", "patch", "register", "remove", "rename", "resolve",
    "restore", "revoke", "send", "set", "start", "submit", "transition", "unassign", "update", "upload", "upsert",
)  # fmt: skip

SCRIPT = """
import json, sys
import mlflow.server
flask = mlflow.server.app
flask.add_url_rule("/api/9.0/mlflow/crown", "_crown_model", lambda: "crowned", methods=["GET", "POST"])
from model_governance.governed.app import create_app
from model_governance.governed.asgi_gate import _native, fastapi_endpoints
from mlflow.server.graphql.graphql_schema_extensions import schema
app = create_app()
client = flask.test_client()

def ask(method, path, **options):
    answer = client.open(path, method=method, auth=("admin", "a-long-password"), **options)
    return [answer.status_code, answer.get_data(as_text=True)[:300]]

def graphql(query):
    return ask("POST", "/graphql", json={"query": query})

def places(endpoint, path, body):
    # where the gate sees a request write, and whether its body can still be read
    from flask import request
    options = {"json": body} if body else {"data": b"weights"}
    method = "POST" if body else "PUT"
    with flask.test_request_context(f"/api/2.0/mlflow-artifacts/{path}", method=method, **options):
        hooks = flask.before_request_funcs[None]
        gate = next(h.__self__ for h in hooks if getattr(h, "__name__", "") == "_decide")
        assert request.endpoint == endpoint
        return [gate._written(), None if body else request.stream.read().decode()]

print("\\n" + json.dumps({
    "flask": {rule.endpoint: sorted(rule.methods) for rule in flask.url_map.iter_rules()},
    "fastapi": {getattr(r.endpoint, "__name__"): sorted(r.methods) for r in _native(app)},
    "named": fastapi_endpoints(app),
    "mutations": sorted(schema.graphql_schema.mutation_type.fields),
    "crowned": ask("POST", "/api/9.0/mlflow/crown", json={}),
    "looked": ask("GET", "/api/9.0/mlflow/crown"),
    "echo": graphql('mutation { testMutation(inputString: "a") { output } }'),
    "mutation": graphql('mutation { crownModel(name: "m") { output } }'),
    "hidden": graphql('mutation { ...all } fragment all on MutationType { testMutation { output } }'),
    "parts": [
        places("_complete_multipart_upload_artifact", "mpu/complete/1/ab/model", {"path": "/x/../w.bin"}),
        places("_upload_artifact", "artifacts/1/ab/model/w.bin", None),
    ],
    "demo": ask("POST", "/ajax-api/3.0/mlflow/demo/generate", json={}),
}))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the governed application really answers on, and how."""
    folder = tmp_path_factory.mktemp("endpoints")
    (folder / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = EDIT\nadmin_username = admin\ndatabase_uri = sqlite:///{folder}/auth.db\n"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "_MLFLOW"))}
    env |= {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": "a-long-password",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a-key-for-tests-alone",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_SERVER_FILE_STORE": empty_store(folder),
        "_MLFLOW_SERVER_REGISTRY_STORE": f"governed+sqlite:///{folder}/mlflow.db",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT], cwd=folder, env=env, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_every_endpoint_of_this_mlflow_is_classified(server: dict[str, Any]) -> None:
    assert unclassified(set(server["flask"]) - {"_crown_model"}, FLASK) == []
    assert unclassified(server["named"], FASTAPI) == []
    assert set(server["mutations"]) == GRAPHQL_MUTATIONS
    assert len(server["flask"]) > 200


def test_no_endpoint_is_classified_that_this_mlflow_has_not(server: dict[str, Any]) -> None:
    assert sorted(set(FLASK) - set(server["flask"])) == []
    assert sorted(set(FASTAPI) - set(server["fastapi"])) == []


@pytest.mark.parametrize(("side", "table"), [("flask", FLASK), ("fastapi", FASTAPI)])
def test_nothing_that_changes_something_counts_as_reading(
    side: str, table: dict[str, Kind], server: dict[str, Any]
) -> None:
    for name, methods in server[side].items():
        word = name.removeprefix("_deprecated").removeprefix("serve").strip("_").split("_")[0]
        if word in CHANGING_WORDS and not set(methods) <= SAFE_METHODS:
            kinds = {kind_of(name, method, table) for method in set(methods) - SAFE_METHODS}
            allowed = {Kind.FILE_READ} if name == "_create_presigned_download_url" else set()
            assert not kinds & ({Kind.READ, Kind.FILE_READ} - allowed), name


def test_an_endpoint_that_nobody_classified_changes_nothing(server: dict[str, Any]) -> None:
    status, text = server["crowned"]
    assert (status, json.loads(text)["error_code"]) == (403, "PERMISSION_DENIED")
    assert "nobody has classified it" in text
    assert server["looked"] == [200, "crowned"]


def test_graphql_changes_nothing(server: dict[str, Any]) -> None:
    assert server["echo"][0] == 200
    for tried in ("mutation", "hidden"):
        assert server[tried][0] == 403
        assert "GraphQL changes nothing" in server[tried][1]


def test_what_acts_with_the_servers_own_rights_is_closed(server: dict[str, Any]) -> None:
    assert server["demo"][0] == 403
    assert "with the server's own rights" in server["demo"][1]


def test_the_server_does_not_start_where_it_could_not_enforce(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.server import handlers
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    from model_governance.governed.app import create_app

    monkeypatch.setenv("_MLFLOW_SGI_NAME", "gunicorn")
    with pytest.raises(MlflowException, match="runs under uvicorn"):
        create_app()
    monkeypatch.setenv("_MLFLOW_SGI_NAME", "uvicorn")
    monkeypatch.setattr(handlers, "_model_registry_store", SqlAlchemyStore(f"sqlite:///{tmp_path}/mlflow.db"))
    with pytest.raises(MlflowException, match=r"--registry-store-uri governed\+sqlite"):
        create_app()


def test_a_multipart_upload_writes_where_its_address_and_its_body_say_together(server: dict[str, Any]) -> None:
    multipart, whole = server["parts"]
    assert [place.partition("/artifacts/")[2] for place in multipart[0]] == ["1/ab/model/w.bin"]
    assert [place.partition("/artifacts/")[2] for place in whole[0]] == ["1/ab/model/w.bin"]
    assert whole[1] == "weights", "the body of an upload is the file: the gate must leave it to MLflow"

"""A governed server as it is run at work: under a prefix, with several workers, looked after by nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from model_governance.governed.audit.heads import kept_heads, make_key, read_public_key
from tests.gate_scene import last_entry, ok, refusals
from tests.governed_server import MlflowServer, governed_server, password

pytestmark = pytest.mark.slow

PREFIX = "/team/mlflow"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("governed")
    make_key(folder / "signing.pem")
    environment = {
        "MODEL_GOVERNANCE_HEADS": str(folder / "heads"),
        "MODEL_GOVERNANCE_HEADS_KEY": str(folder / "signing.pem"),
        "MODEL_GOVERNANCE_HEADS_EVERY": "60,3",
        "FORWARDED_ALLOW_IPS": "",
    }
    with governed_server(folder, workers=2, prefix=PREFIX, environment=environment) as running:
        yield running


def test_the_pages_lie_under_the_prefix(server: MlflowServer) -> None:
    root = server.url.removesuffix(PREFIX)
    about = server.request("rita", "GET", "/governance/api/about")
    assert ok(about)["roles"] == ["reviewer"]
    page = server.request("rita", "GET", "/governance/")
    assert page.ok
    assert f'href="{PREFIX}/governance/' in page.text, "links lead to where the proxy asks"
    style = page.text.split('rel="stylesheet" href="', 1)[1].split('"', 1)[0]
    assert requests.get(f"{root}{style}", auth=("rita", password("rita")), timeout=30).ok
    assert not requests.get(f"{root}/governance/", auth=("rita", password("rita")), timeout=30).ok
    assert requests.get(f"{server.url}/governance/", timeout=30).status_code == 401
    index = server.request("rita", "GET", "/")
    assert index.ok
    assert "governance/" in index.text, "the script for the Stage menu is in MLflow's own page"


def test_the_gate_stands_under_the_prefix(server: MlflowServer) -> None:
    ok(server.post("ann", "registered-models/create", name="counter"))
    entry = last_entry(server)
    refused = server.post("mallory", "registered-models/create", name="forged")
    assert refused.status_code == 403
    assert refusals(server, entry)[0][:2] == ("mallory", "create model")
    upload = server.request("ann", "PUT", "/api/2.0/mlflow-artifacts/artifacts/0/r/artifacts/model/x", data=b"1")
    assert upload.ok, "files go the FastAPI way, under the prefix too"


def test_no_worker_and_no_header_gives_a_guesser_more_than_a_guess(server: MlflowServer) -> None:
    said = []
    for number in range(30):  # a connection of its own each, so that both workers are asked
        answer = requests.get(
            f"{server.url}/api/2.0/mlflow/registered-models/search",
            auth=("rob", f"guess-{number}-of-many"),
            headers={"X-Forwarded-For": f"192.0.2.{number}", "Connection": "close"},
            timeout=60,
        )
        said.append(answer.status_code)
    assert set(said) == {401, 429}
    assert 10 <= said.count(401) <= 11, "ten of both together, and one for the worker that saw none of the last"
    assert server.get("rita", "registered-models/search").ok


def test_a_reset_by_an_admin_takes_the_roles(server: MlflowServer) -> None:
    assert ok(server.request("otto", "GET", "/governance/api/about"))["roles"] == ["operator"]
    reset = {"username": "otto", "password": "another-s3cret-w0rd"}
    assert server.request("admin", "PATCH", "/api/2.0/mlflow/users/update-password", json=reset).ok
    auth = ("otto", reset["password"])
    about = requests.get(f"{server.url}/governance/api/about", auth=auth, timeout=30)
    assert ok(about)["roles"] == []
    marks = server.place.rows("SELECT role, granted_by FROM governance_roles WHERE user = 'otto' ORDER BY role")
    assert [tuple(row.values()) for row in marks] == [("(password)", "admin"), ("(suspended)", "admin")]


def test_heads_are_kept_while_nobody_looks(server: MlflowServer) -> None:
    key = read_public_key(server.folder / "signing.pem.pub")
    for number in range(4):
        ok(server.post("ann", "registered-models/create", name=f"counter-{number}"))
    wanted, until = last_entry(server) - 3, time.monotonic() + 60
    kept = [0]
    while kept[-1] < wanted and time.monotonic() < until:
        time.sleep(0.5)
        if (server.folder / "heads").is_dir():
            kept = [each.seq for each in kept_heads(str(server.folder / "heads"), [key])]
    assert kept[-1] >= wanted
    checked = server.request("aud", "GET", f"/governance/api/audit/verify?seq={kept[-1]}").json()
    assert checked["whole"]


def test_a_request_that_says_two_things_is_done_to_nobody(server: MlflowServer) -> None:
    """MLflow reads the body for some and the query for others; what is written down is what is done."""
    own = {"username": "mallory", "password": "an0ther-s3cret-w0rd", "current_password": password("mallory")}
    run = ok(server.post("mallory", "experiments/create", name="hers"))["experiment_id"]
    mine, other = (
        ok(server.post("mallory", "runs/create", experiment_id=run))["run"]["info"]["run_id"] for _ in range(2)
    )
    asked: list[tuple[str, str, str, dict[str, Any], str]] = [
        ("mallory", "PATCH", "/api/2.0/mlflow/users/update-password?username=rita", {"json": own}, "username"),
        (
            "admin",
            "DELETE",
            "/api/2.0/mlflow/users/delete?username=aud",
            {"data": '{"username": "rita"}'},
            "username",
        ),
        ("mallory", "GET", f"/get-artifact?run_uuid={mine}&path=model/x", {"json": {"run_id": other}}, "run_id"),
        ("mallory", "GET", f"/get-artifact?run_uuid={mine}&path=x&artifact_file_path=y", {}, "path"),
    ]
    for who, method, path, more, said in asked:
        entry = last_entry(server)
        answer = server.request(who, method, path, **more)
        assert answer.status_code == 403, answer.text
        assert f"different things of {said}" in answer.json()["message"]
        assert [each[0] for each in refusals(server, entry)] == [who]
    for user, role in (("rita", "reviewer"), ("aud", "auditor")):
        assert ok(server.request(user, "GET", "/governance/api/about"))["roles"] == [role]


def test_brackets_in_brackets_end_in_a_sentence(server: MlflowServer) -> None:
    entry, path = last_entry(server), "/api/2.0/mlflow/runs/delete"
    deep = {"data": "[" * 200_000, "headers": {"Content-Type": "application/json"}}
    assert server.request(None, "POST", path, **deep).status_code == 401
    assert [reason for _, _, reason in refusals(server, entry)] == ["not logged in"]
    answer = server.request("mallory", "POST", path, **deep)
    assert answer.status_code == 400
    assert "nested too deeply" in answer.json()["message"]

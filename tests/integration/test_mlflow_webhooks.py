"""A webhook of MLflow's on an alias is called however the alias moved, once for each that did."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.governed_server import MlflowServer, governed_server

Called = tuple[str, str, str, str | None]


class Receiver:
    """A deployment that hangs on MLflow's webhooks, and keeps what it is called with."""

    def __init__(self) -> None:
        self.calls: list[Called] = []
        self.tags: list[Called] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                data: dict[str, Any] = said["data"]
                what = data.get("alias") or data["key"]
                receiver.calls.append((said["entity"], said["action"], what, data.get("version")))
                self.send_response(204)
                self.end_headers()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def since(self, last: Called) -> list[Called]:
        """The calls about aliases until the last of them came, which may be in any order; forgets them."""
        end = time.monotonic() + 60
        while last not in self.calls and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(1)  # one too many would come now
        found, self.calls[:] = list(self.calls), []
        self.tags = [each for each in found if each[0] == "model_version_tag"]
        return sorted((each for each in found if each not in self.tags), key=str)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    (tmp_path / "policy.yaml").write_text(
        "format_version: 1\nrecords: [{tag: team, reason: somebody answers for it}]\n"
        "governance: {approvals: {count: 1}, evidence: {required: false}}\n"
    )
    environment = {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "rO1KkSyPZwAGOQ2aTLVVWJ2pWwBJ1IBzpJSQK9RFf6Q=",
    }
    with governed_server(tmp_path / "server", tmp_path / "policy.yaml", environment=environment) as running:
        yield running


def alias(action: str, name: str, version: str | None = None) -> Called:
    return ("model_version_alias", action, name, version)


def test_whoever_hangs_on_an_alias_is_called_however_it_moves(server: MlflowServer, receiver: Receiver) -> None:
    made = server.client("admin").create_webhook(
        name="cd",
        url=f"http://127.0.0.1:{receiver.server.server_port}/",
        events=["model_version_alias.created", "model_version_alias.deleted", "model_version_tag.set"],
    )
    assert made.url
    ann: MlflowClient = server.client("ann")
    ann.create_registered_model("m")
    for number in (1, 2):
        info = ann.create_run("0").info
        run = info.run_id
        ann.log_text(run, f"flavors: {{}}\nrun_id: {run}\nmodel_uuid: '{number}'\n", "MLmodel")
        ann.create_model_version("m", info.artifact_uri, run)
    stage = server.post("rita", "model-versions/transition-stage", name="m", version="1", stage="Production")
    assert stage.ok, stage.text
    champion = [alias("created", "champion", "1")]
    assert receiver.since(champion[0]) == champion, "not serving: a rollout is there, which moves it"
    page = server.request(
        "otto", "POST", "/governance/api/promote", json={"name": "m", "version": "2", "comment": "better"}
    )
    assert page.status_code == 403, "nobody has approved it"
    approved = server.post("rita", "registered-models/alias", name="m", alias="champion", version="2")
    assert approved.ok, approved.text
    assert receiver.since(alias("created", "champion", "2")) == [
        alias("created", "champion", "2"),  # by MLflow's own route, and by it alone
        alias("created", "previous", "1"),  # which moved with it
    ]
    back = server.request(
        "otto", "POST", "/governance/api/rollback", json={"name": "m", "reason": "blind at dusk"}
    )
    assert back.ok, back.text
    assert receiver.since(alias("created", "champion", "1")) == [
        alias("created", "champion", "1"),
        alias("deleted", "previous"),
    ]
    assert ("model_version_tag", "set", "rolled_back_by", "2") in receiver.tags

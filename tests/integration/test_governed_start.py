"""All workers of a server go by the policy of its start, and no edit of the file stops it or splits it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import requests
from sqlalchemy import create_engine, text

from model_governance.governed.store import GovernedStore
from tests.governed_server import MlflowServer, governed_server, password

GATES = "format_version: 1\nquality: [{metric: score, min: 0.5, reason: worse is of no use}]\n"
STRICT = GATES + "governance: {approvals: {count: 2}}\n"


def workers(server: MlflowServer) -> list[psutil.Process]:
    """The processes that answer."""
    found = psutil.Process(server.process.pid).children(recursive=True)
    return [each for each in found if "spawn_main" in " ".join(each.cmdline())]


def until(reached: Callable[[], bool], server: MlflowServer) -> None:
    end = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < end, f"waited in vain:\n{server.log[-4000:]}"
        time.sleep(0.2)


def replace_worker(server: MlflowServer, which: int) -> None:
    """Kill a worker, and wait until uvicorn has put another in its place that answers."""
    before = server.log.count("Application startup complete")
    sorted(workers(server), key=lambda each: each.pid)[which].kill()
    until(lambda: server.log.count("Application startup complete") == before + 1, server)


def enforced(server: MlflowServer) -> set[bool]:
    """What a few fresh connections are told, which one worker or the other answers."""
    return {
        requests.get(f"{server.url}/governance/api/about", auth=("rita", password("rita")), timeout=60).json()[
            "enforce"
        ]
        for _ in range(12)
    }


def told_policies(server: MlflowServer) -> int:
    engine = create_engine(server.database)
    with engine.connect() as connection:
        count = connection.scalar(text("SELECT count(*) FROM governance_audit WHERE action = 'policy'"))
    engine.dispose()
    return int(count or 0)


def test_an_edited_or_broken_policy_waits_for_the_next_start(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(STRICT)
    with governed_server(tmp_path / "server", policy=policy, workers=2) as server:
        assert enforced(server) == {True}
        assert told_policies(server) == 1

        policy.write_text(GATES + "governance: {enforce: false}\n")
        until(lambda: f"{policy} is not what this server started with" in server.log, server)
        assert "to take the new one, restart the server" in server.log
        replace_worker(server, 0)
        assert enforced(server) == {True}

        policy.write_text(GATES + "governance: {enforce: tr")
        until(lambda: "the server would not start again" in server.log, server)
        replace_worker(server, 0)
        assert enforced(server) == {True}
        assert server.process.poll() is None
        assert told_policies(server) == 1
    # nothing but a server's start tells a policy
    store = GovernedStore(f"governed+{server.database}")
    assert told_policies(server) == 1
    store.tell_policy()  # of another one, the built-in
    store.tell_policy()
    assert told_policies(server) == 2
    store.engine.dispose()


def test_a_server_that_cannot_start_ends_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(STRICT)
    ended: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen
    monkeypatch.setattr("subprocess.Popen", lambda *a, **k: ended.append(popen(*a, **k)) or ended[-1])
    # no key for forms: basic-auth refuses to start, in each worker
    with (
        pytest.raises(AssertionError, match="the server ended"),
        governed_server(
            tmp_path / "server", policy, workers=2, environment={"MLFLOW_FLASK_SERVER_SECRET_KEY": ""}
        ),
    ):
        pass
    log = (tmp_path / "server" / "server.log").read_text()
    assert "A static secret key needs to be set" in log
    assert "The governed server could not start" in log
    assert ended[0].wait(60) == 1


def test_a_server_with_a_policy_that_cannot_be_read_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(GATES + "governance: {enforce: tr")
    ended: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen
    monkeypatch.setattr("subprocess.Popen", lambda *a, **k: ended.append(popen(*a, **k)) or ended[-1])
    with (
        pytest.raises(AssertionError, match=f"the policy {policy} is not YAML"),
        governed_server(tmp_path / "server", policy, workers=2),
    ):
        pass
    assert ended[0].wait(60) == 1

"""Ways round the gate. Each leads through plain basic-auth, and ends at the governed server in the audit.

A way is walked on the plain server first and must get through, so that none passes because it never worked; then
on the governed one, where nothing of the model may have changed, and the audit names whoever tried.
"""

from __future__ import annotations

import base64
import re
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import requests
from sqlalchemy import create_engine

from model_governance.governed.actor import Actor, acting
from model_governance.governed.audit.chain import verify
from model_governance.governed.store import GovernedStore
from tests.gate_scene import (
    PROXY,
    Kept,
    Scene,
    add_judged_version,
    build,
    last_entry,
    ok,
    refusals,
    rows,
)
from tests.governed_server import ROLES, MlflowServer, password, serving
from tests.ways_round_the_gate import WAYS, Way, move

pytestmark = pytest.mark.slow

POLICY = """
format_version: 1
quality:
  - {metric: mae, max: 1.5, reason: counts are read by people}
governance:
  persons: {Ann: [ann, anna]}
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MlflowServer, MlflowServer]]:
    """A plain server and a governed one, started side by side."""
    folders = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("governed")
    policy = folders[1] / "policy.yaml"
    policy.write_text(POLICY)
    keys = {"AWS_ACCESS_KEY_ID": "an-id", "AWS_SECRET_ACCESS_KEY": "a-key", "AWS_DEFAULT_REGION": "eu-central-1"}
    found: dict[bool, MlflowServer] = {}
    done = threading.Event()

    def serve(governed: bool, ready: threading.Event) -> None:
        folder = folders[governed]
        environment = {**keys, "HOME": str(folder)}
        with serving(
            folder, governed=governed, policy=policy if governed else None, environment=environment
        ) as it:
            found[governed] = it
            ready.set()
            done.wait()

    with ThreadPoolExecutor(2) as pool:
        try:
            ready = [threading.Event(), threading.Event()]
            running = [pool.submit(serve, governed, ready[governed]) for governed in (False, True)]
            for each, event in zip(running, ready, strict=True):
                while not event.wait(0.1):
                    assert not each.done(), each.result()
            for server in found.values():
                add_people(server)
            yield found[False], found[True]
        finally:
            done.set()


def add_people(server: MlflowServer) -> None:
    """Reviewers whose log-ins will be taken over, and the second one of an author."""
    for user in ("anna", "ruth", "rosa"):
        ok(server.post("admin", "users/create", username=user, password=password(user)))
    if server.governed:
        store = GovernedStore(f"governed+{server.database}", str(server.folder / "artifacts"))
        with acting(Actor("admin", is_admin=True)):
            for user in ("anna", "ruth", "rosa"):
                store.grant(user, "reviewer")
        store.engine.dispose()


@pytest.fixture(scope="module")
def governed_scene(servers: tuple[MlflowServer, MlflowServer]) -> Scene:
    return build(servers[1], "street")


@pytest.fixture(scope="module")
def kept(servers: tuple[MlflowServer, MlflowServer]) -> Kept:
    """The same scene on the plain server, to which it is put back."""
    return Kept(build(servers[0], "street"))


def test_that_there_are_enough_ways() -> None:
    assert len({each.name for each in WAYS}) == len(WAYS) >= 40


@pytest.mark.parametrize("tried", WAYS, ids=[each.name for each in WAYS])
def test_each_way_leads_through_plain_basic_auth_and_ends_here(
    tried: Way, kept: Kept, servers: tuple[MlflowServer, MlflowServer], governed_scene: Scene
) -> None:
    plain = kept.put_back()
    tried.walk(plain, tried.who)
    assert tried.won(plain), "it does not lead through plain basic-auth, so it shows nothing"

    scene = governed_scene.again()
    before, entry = scene.state(), last_entry(servers[1])
    tried.walk(scene, tried.who)
    assert not tried.won(scene)
    assert scene.state() == before
    assert tried.who in {who for who, _, _ in refusals(servers[1], entry)}


MUTATIONS = (
    ("POST", "/api/2.0/mlflow/model-versions/transition-stage"),
    ("POST", "/ajax-api/2.0/mlflow/registered-models/alias"),
    ("DELETE", "/api/2.0/mlflow/model-versions/delete"),
    ("PUT", f"{PROXY}/1/models/weights.bin"),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact"),
    ("POST", "/ajax-api/3.0/mlflow/assistant/message"),
)


@pytest.mark.parametrize(("method", "path"), MUTATIONS)
def test_who_does_not_log_in_changes_nothing_and_is_written_down(
    method: str, path: str, servers: tuple[MlflowServer, MlflowServer], governed_scene: Scene
) -> None:
    before, entry = governed_scene.state(), last_entry(servers[1])
    body = {"name": "street", "version": "2", "stage": "Production", "alias": "champion"}
    assert servers[1].request(None, method, path, json=body).status_code == 401
    assert governed_scene.state() == before
    assert [(who, why) for who, _, why in refusals(servers[1], entry)] == [("", "not logged in")]


def test_the_front_door_is_open_to_a_reviewer(servers: tuple[MlflowServer, MlflowServer]) -> None:
    scene = build(servers[1], "avenue")
    ok(move(scene, "rita", "2"))
    assert [scene.stage(number) for number in "123"] == ["Archived", "Production", "None"]
    assert scene.aliases() == {"champion": "2", "previous": "1", "serving": "1"}
    assert scene.tags("2")["approved_by"] == "rita"


def test_two_reviewers_at_once_make_one_champion(servers: tuple[MlflowServer, MlflowServer]) -> None:
    scene = build(servers[1], "crossing")
    add_judged_version(scene, "4")
    at_once = threading.Barrier(2)

    def decide(who: str, number: str) -> requests.Response:
        at_once.wait()
        return move(scene, who, number)

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(decide, who, number) for who, number in (("rita", "2"), ("rob", "4"))]
    assert sorted(answer.result().ok for answer in answers) == [False, True]
    stages = [scene.stage(number) for number in "124"]
    assert stages.count("Production") == 1
    assert scene.aliases()["champion"] == "124"[stages.index("Production")]


def test_what_leaves_of_a_registered_model_is_written_down(
    servers: tuple[MlflowServer, MlflowServer], governed_scene: Scene
) -> None:
    scene, server = governed_scene, servers[1]
    ok(server.request("aud", "GET", f"{PROXY}/{scene.files('1')}/weights.bin"))
    ok(server.request("rob", "GET", "/get-artifact", params={"run_id": scene.runs["2"], "path": "model/MLmodel"}))
    query = {"name": "street", "version": "1", "path": "MLmodel"}
    ok(server.request("otto", "GET", "/model-versions/get-artifact", params=query))
    query = {"artifact_file_path": "weights.bin"}
    path = f"/ajax-api/2.0/mlflow/logged-models/{scene.logged}/artifacts/files"
    ok(server.request("rita", "GET", path, params=query))
    told = [(row["actor"], row["what"]) for row in rows(server, "SELECT * FROM governance_reads ORDER BY id")]
    assert told[-4:] == [
        ("aud", "street/1: weights.bin"),
        ("rob", "street/2: MLmodel"),
        ("otto", "street/1: MLmodel"),
        ("rita", "street/3: weights.bin"),
    ]


def test_who_made_a_run_is_who_logged_in_and_not_who_it_says(
    servers: tuple[MlflowServer, MlflowServer], governed_scene: Scene
) -> None:
    made = {"experiment_id": governed_scene.experiment, "user_id": "rita",
            "tags": [{"key": "mlflow.user", "value": "rita"}]}  # fmt: skip
    run = ok(servers[1].post("ann", "runs/create", **made))["run"]["info"]["run_id"]
    found = rows(servers[1], "SELECT creator FROM governance_creators WHERE kind = 'run' AND id = ?", run)
    assert [row["creator"] for row in found] == ["ann"]
    found = rows(servers[1], "SELECT creator FROM governance_creators WHERE id = ?", governed_scene.logged)
    assert [row["creator"] for row in found] == ["ann"]


@pytest.mark.parametrize("path", ["/api/2.0/mlflow/registered-models/search", f"{PROXY}/0/x/y"])
def test_who_guesses_a_password_waits_though_it_is_right_at_last(
    path: str, servers: tuple[MlflowServer, MlflowServer]
) -> None:
    user = "mallory" if "search" in path else "aud"  # Flask answers one, FastAPI the other
    entry = last_entry(servers[1])

    def attempt(word: str) -> int:
        return requests.get(f"{servers[1].url}{path}", auth=(user, word), timeout=60).status_code

    assert [attempt(f"guess-{number}-of-many") for number in range(11)] == [401] * 10 + [429]
    assert attempt(password(user)) == 429
    assert servers[1].get("ann", "registered-models/search").ok
    told = [why for _, _, why in refusals(servers[1], entry)]
    assert told.count("failed log-in") == 10
    assert "too many failed log-ins" in told


def test_no_password_stands_in_any_log_or_in_the_audit(servers: tuple[MlflowServer, MlflowServer]) -> None:
    server = servers[1]
    server.request("ann", "GET", "/api/2.0/mlflow/registered-models/search?password=in-a-query&token=t0ken-here")
    server.post("admin", "users/create", username="ann", password=password("ann"))  # MLflow tells what SQL failed
    with closing(sqlite3.connect(f"file:{server.folder / 'mlflow.db'}?mode=ro", uri=True)) as database:
        written = server.log + "\n".join(database.iterdump())
    for user in (*ROLES, "admin", "ruth", "rosa", "eve", "anna"):
        assert password(user) not in written
        assert base64.b64encode(f"{user}:{password(user)}".encode()).decode() not in written
    assert "in-a-query" not in written
    assert "t0ken-here" not in written
    assert "guess-1-of-many" not in written
    assert not re.search(r"(scrypt|pbkdf2):", written)


def test_the_audit_is_whole_after_all_this(servers: tuple[MlflowServer, MlflowServer]) -> None:
    engine = create_engine(servers[1].database)
    try:
        found = verify(engine)
    finally:
        engine.dispose()
    assert found.problems == ()
    assert found.entries > 100

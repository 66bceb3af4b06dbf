"""Ways round the gate. Each leads through plain basic-auth, and ends at the governed server in the audit.

A way is walked on the plain server first and must get through, so that none passes because it never worked; then
on the governed one, where nothing of the model may have changed, and the audit names whoever tried. All are walked
over SQLite and local files; over PostgreSQL and S3 those that rows or files may matter to, and all with

    GOVERNANCE_WAYS=all pytest tests/integration/test_ways_round_the_gate.py
"""

from __future__ import annotations

import base64
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from sqlalchemy import create_engine, inspect

from model_governance.artifact import artifact_digest
from model_governance.governed.actor import Actor, acting
from model_governance.governed.audit.chain import verify
from model_governance.governed.store import GovernedStore
from tests.back_ends import BACK_ENDS, BackEnd, bucket_of, places, put_object
from tests.gate_scene import PROXY, Scene, add_judged_version, build, last_entry, ok, refusals
from tests.governed_server import ROLES, MlflowServer, password, serving
from tests.put_back import Kept
from tests.ways_round_the_gate import WAYS, Way, alias, move
from tests.ways_round_the_gate.dead_ends import DEAD_ENDS

pytestmark = pytest.mark.slow

POLICY = """
format_version: 1
quality:
  - {metric: mae, max: 1.5, reason: counts are read by people}
governance:
  persons: {Ann: [ann, anna]}
"""


AGAIN = {"files", "uploads", "lineage", "log_ins"}
"""Themes that are walked over PostgreSQL and S3 too: they lead through files, runs, and log-ins that a database
compares. Of the others the store is the same, and its own tests run on both databases."""


@dataclass(frozen=True)
class Two:
    """A plain server and a governed one over back-ends of the same kind, and a scene on each."""

    plain: MlflowServer
    governed: MlflowServer
    first: Scene
    kept: Kept
    scene: Scene

    def put_back(self) -> Scene:
        """The plain scene again, whatever became of it; the server goes on running."""
        self.kept.put_back()
        return self.first.again()


@pytest.fixture(scope="module", params=BACK_ENDS)
def two(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with places(request.param) as place_for:
        folders = {name: tmp_path_factory.mktemp(f"{name}-{request.param}") for name in ("plain", "governed")}
        (folders["governed"] / "policy.yaml").write_text(POLICY)
        at = {name: place_for(name, folder) for name, folder in folders.items()}
        found: dict[str, MlflowServer] = {}
        done = threading.Event()

        def serve(name: str, ready: threading.Event) -> None:
            policy = folders[name] / "policy.yaml" if name == "governed" else None
            with serving(folders[name], governed=name == "governed", policy=policy, place=at[name]) as it:
                found[name] = it
                ready.set()
                done.wait()

        with ThreadPoolExecutor(2) as pool:
            try:
                ready = {name: threading.Event() for name in folders}
                running = {name: pool.submit(serve, name, ready[name]) for name in folders}
                for name, each in running.items():
                    while not ready[name].wait(0.1):
                        assert not each.done(), each.result()
                for server in found.values():
                    add_people(server)
                first = build(found["plain"], "street")
                yield Two(
                    found["plain"], found["governed"], first, Kept(at["plain"]), build(found["governed"], "street")
                )
            finally:
                done.set()


REVIEWERS = ("anna", "Ann", "ruth", "rosa")


def add_people(server: MlflowServer) -> None:
    """Reviewers whose log-ins will be taken over, and further ones of an author."""
    for user in REVIEWERS:
        ok(server.post("admin", "users/create", username=user, password=password(user)))
    if server.governed:
        store = GovernedStore(f"governed+{server.database}", server.place.artifacts)
        with acting(Actor("admin", is_admin=True)):
            for user in REVIEWERS:
                store.grant(user, "reviewer")
        store.engine.dispose()


def walked() -> list[Any]:
    """Each way over each of the back-ends that it is walked on.

    The back-end stands in both parameters: pytest brings together what has an equal one, and would start other
    servers for each way.
    """
    every = os.environ.get("GOVERNANCE_WAYS") == "all"
    return [
        pytest.param(kind, (kind, each), id=f"{kind}-{each.name}")
        for kind in BACK_ENDS
        for each in WAYS
        if kind in each.over and (kind == each.over[0] or every or each.theme in AGAIN)
    ]


def test_that_there_are_enough_ways() -> None:
    assert len({each.name for each in WAYS}) == len(WAYS) >= 40


@pytest.mark.parametrize(("two", "tried"), walked(), indirect=["two"], scope="module")
def test_each_way_leads_through_plain_basic_auth_and_ends_here(tried: tuple[BackEnd, Way], two: Two) -> None:
    _, way = tried
    plain = two.put_back()
    way.walk(plain, way.who)
    assert way.won(plain), "it does not lead through plain basic-auth, so it shows nothing"

    scene = two.scene.again()
    before, entry = scene.state(), last_entry(two.governed)
    way.walk(scene, way.who)
    assert not way.won(scene)
    assert scene.state() == before
    assert way.who in {who for who, _, _ in refusals(two.governed, entry)}


@pytest.mark.parametrize("two", ["sqlite"], indirect=True, scope="module")
@pytest.mark.parametrize("name", DEAD_ENDS)
def test_what_leads_nowhere_goes_on_leading_nowhere(name: str, two: Two) -> None:
    who, walk = DEAD_ENDS[name]
    for scene in (two.put_back(), two.scene.again()):
        before = scene.state()
        walk(scene, who)
        assert scene.state() == before, "governed" if scene.server.governed else "it is a way now: make it one"


def test_files_that_somebody_writes_past_the_server_are_not_promoted(two: Two) -> None:
    """Nobody who has the disk or the bucket itself is kept from it; what was approved stays known."""
    scene = build(two.governed, "alley")
    weights, place = f"{scene.files('2')}/weights.bin", two.governed.place
    approval = {"name": "alley", "version": "2", "verdict": "approve", "comment": "counts well"}
    ok(two.governed.request("rita", "POST", "/governance/api/review", json=approval))
    place.write(weights, b"other")
    for answer in (move(scene, "otto", "2"), move(scene, "rob", "2"), alias(scene, "otto", "champion", "2")):
        assert answer.status_code == 403
        assert "log, evaluate and register the model again" in answer.json()["message"]
    place.write(weights, b"weights 2")
    ok(move(scene, "otto", "2"))
    place.write(f"{scene.files('1')}/weights.bin", b"other")
    back = {"name": "alley", "reason": "counts nobody after dusk"}
    answer = two.governed.request("otto", "POST", "/governance/api/rollback", json=back)
    assert answer.status_code == 403
    assert "was approved; promote another version" in answer.json()["message"]
    assert scene.aliases()["champion"] == "2"


MUTATIONS = (
    ("POST", "/api/2.0/mlflow/model-versions/transition-stage"),
    ("POST", "/ajax-api/2.0/mlflow/registered-models/alias"),
    ("DELETE", "/api/2.0/mlflow/model-versions/delete"),
    ("PUT", f"{PROXY}/1/models/weights.bin"),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact"),
    ("POST", "/ajax-api/3.0/mlflow/assistant/message"),
)


@pytest.mark.parametrize(("method", "path"), MUTATIONS)
def test_who_does_not_log_in_changes_nothing_and_is_written_down(method: str, path: str, two: Two) -> None:
    before, entry = two.scene.state(), last_entry(two.governed)
    body = {"name": "street", "version": "2", "stage": "Production", "alias": "champion"}
    assert two.governed.request(None, method, path, json=body).status_code == 401
    assert two.scene.state() == before
    assert [(who, why) for who, _, why in refusals(two.governed, entry)] == [("", "not logged in")]


def test_the_front_door_is_open_to_a_reviewer(two: Two) -> None:
    scene = build(two.governed, "avenue")
    ok(move(scene, "rita", "2"))
    assert [scene.stage(number) for number in "123"] == ["Archived", "Production", "None"]
    assert scene.aliases() == {"champion": "2", "previous": "1", "serving": "1"}
    assert scene.tags("2")["approved_by"] == "rita"


def test_two_reviewers_at_once_make_one_champion(two: Two) -> None:
    scene = build(two.governed, "crossing")
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


def test_what_leaves_of_a_registered_model_is_written_down(two: Two) -> None:
    scene, server = two.scene, two.governed
    ok(server.request("aud", "GET", f"{PROXY}/{scene.files('1')}/weights.bin"))
    ok(server.request("rob", "GET", "/get-artifact", params={"run_id": scene.runs["2"], "path": "model/MLmodel"}))
    query = {"name": "street", "version": "1", "path": "MLmodel"}
    ok(server.request("otto", "GET", "/model-versions/get-artifact", params=query))
    query = {"artifact_file_path": "weights.bin"}
    path = f"/ajax-api/2.0/mlflow/logged-models/{scene.logged}/artifacts/files"
    ok(server.request("rita", "GET", path, params=query))
    disguised = scene.files("1").replace("artifacts", "arti%2509facts")
    ok(server.request("rob", "GET", f"{PROXY}/{disguised}/weights.bin"))
    query = {"run_id": scene.runs["2"], "path": "mo%09del/MLmodel"}
    ok(server.request("otto", "GET", "/get-artifact", params=query))
    told = [(row["actor"], row["what"]) for row in server.place.rows("SELECT * FROM governance_reads ORDER BY id")]
    assert told[-6:] == [
        ("aud", "street/1: weights.bin"),
        ("rob", "street/2: MLmodel"),
        ("otto", "street/1: MLmodel"),
        ("rita", "street/3: weights.bin"),
        ("rob", "street/1: weights.bin"),
        ("otto", "street/2: MLmodel"),
    ]


@pytest.mark.parametrize("two", ["postgresql"], indirect=True, scope="module")
def test_a_signed_address_for_reading_is_written_down_before_it_is_given(two: Two) -> None:
    path, body = f"{two.scene.files('2')}/weights.bin", {"run_id": two.scene.runs["2"], "path": "model/MLmodel"}
    answer = ok(two.governed.request("aud", "GET", f"/api/2.0/mlflow-artifacts/presigned/{path}"))
    assert requests.get(answer["url"], timeout=30).content == b"weights 2"
    two.governed.post("rob", "artifacts/presigned-download-url", **body)  # which MLflow gives for no proxied run
    told = two.governed.place.rows("SELECT * FROM governance_reads ORDER BY id")
    assert [(row["actor"], row["what"]) for row in told[-2:]] == [
        ("aud", "street/2: weights.bin"),
        ("rob", "street/2: MLmodel"),
    ]


@pytest.mark.parametrize("two", ["postgresql"], indirect=True, scope="module")
def test_a_bucket_that_clients_write_to_themselves_serves_no_approved_version(two: Two) -> None:
    server = two.governed
    bucket, _ = bucket_of(server.place.artifacts)
    direct = {"name": "direct", "artifact_location": f"s3://{bucket}/of-ann"}
    experiment = ok(server.post("ann", "experiments/create", **direct))["experiment_id"]
    run = ok(server.post("ann", "runs/create", experiment_id=experiment))["run"]["info"]
    files = f"{run['artifact_uri']}/model"
    for name, content in (("MLmodel", b"flavors: {}\n"), ("weights.bin", b"judged")):
        put_object(f"{files}/{name}", content)
    ok(server.post("ann", "registered-models/create", name="direct"))
    ok(server.post("ann", "model-versions/create", name="direct", source=files, run_id=run["run_id"]))
    evidence = {**two.scene.tags("2"), "artifact_digest": artifact_digest(files), "judged_against": "none"}
    for key, value in evidence.items():
        ok(server.post("validator", "model-versions/set-tag", name="direct", version="1", key=key, value=value))
    wish = {"name": "direct", "version": "1", "stage": "Production"}
    answer = server.post("rita", "model-versions/transition-stage", **wish)
    assert answer.status_code == 403
    assert f"its files lie at {files}, where this server does not guard them" in answer.json()["message"]


def test_who_made_a_run_is_who_logged_in_and_not_who_it_says(two: Two) -> None:
    made = {"experiment_id": two.scene.experiment, "user_id": "rita",
            "tags": [{"key": "mlflow.user", "value": "rita"}]}  # fmt: skip
    run = ok(two.governed.post("ann", "runs/create", **made))["run"]["info"]["run_id"]
    found = two.governed.place.rows(
        "SELECT creator FROM governance_creators WHERE kind = 'run' AND id = :run", run=run
    )
    assert [row["creator"] for row in found] == ["ann"]
    found = two.governed.place.rows(
        "SELECT creator FROM governance_creators WHERE id = :model", model=two.scene.logged
    )
    assert [row["creator"] for row in found] == ["ann"]


@pytest.mark.parametrize("path", ["/api/2.0/mlflow/registered-models/search", f"{PROXY}/0/x/y"])
def test_who_guesses_a_password_waits_though_it_is_right_at_last(path: str, two: Two) -> None:
    user = "mallory" if "search" in path else "aud"  # Flask answers one, FastAPI the other
    entry = last_entry(two.governed)

    def attempt(word: str) -> int:
        return requests.get(f"{two.governed.url}{path}", auth=(user, word), timeout=60).status_code

    assert [attempt(f"guess-{number}-of-many") for number in range(11)] == [401] * 10 + [429]
    assert attempt(password(user)) == 429
    assert two.governed.get("ann", "registered-models/search").ok
    told = [why for _, _, why in refusals(two.governed, entry)]
    assert told.count("failed log-in") == 10
    assert "too many failed log-ins" in told


def test_no_password_stands_in_any_log_or_in_the_audit(two: Two) -> None:
    server = two.governed
    server.request("ann", "GET", "/api/2.0/mlflow/registered-models/search?password=in-a-query&token=t0ken-here")
    server.post("admin", "users/create", username="ann", password=password("ann"))  # MLflow tells what SQL failed
    tables = inspect(server.place.engine).get_table_names()
    written = server.log + "\n".join(str(server.place.rows(f'SELECT * FROM "{each}"')) for each in tables)  # noqa: S608
    for user in (*ROLES, "admin", *REVIEWERS, "eve"):
        assert password(user) not in written
        assert base64.b64encode(f"{user}:{password(user)}".encode()).decode() not in written
    assert "in-a-query" not in written
    assert "t0ken-here" not in written
    assert "guess-1-of-many" not in written
    assert not re.search(r"(scrypt|pbkdf2):", written)


def test_the_audit_is_whole_after_all_this(two: Two) -> None:
    engine = create_engine(two.governed.database)
    try:
        found = verify(engine)
    finally:
        engine.dispose()
    assert found.problems == ()
    assert found.entries > 100

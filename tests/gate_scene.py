"""A model in use and versions that would like to be, on a server that governs or on one that does not.

Version 1 is in Production, on `champion` and `serving`. Version 2 passed its gates and waits for a review. Version
3 was only registered. Ann made all of them, each from what she logged: 1 and 2 from runs, 3 as a logged model.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import requests

from model_governance.artifact import read_artifact
from model_governance.evidence import Evaluated, Evidence, Measured
from model_governance.policy import load_policy
from tests.governed_server import MlflowServer

BUNDLE = "governance/0123456789abcdef"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass
class Scene:
    """A registered model on a server, by name, and where its files come from."""

    server: MlflowServer
    model: str
    experiment: str = ""
    runs: dict[str, str] = field(default_factory=dict)
    logged: str = ""
    elsewhere: str = ""
    answer: requests.Response | None = None

    def again(self) -> Scene:
        """The same, for whoever adds runs to it."""
        return replace(self, runs=dict(self.runs), answer=None)

    def post(self, user: str | None, call: str, /, **body: Any) -> requests.Response:
        return self.server.post(user, call, **body)

    def ask(self, user: str | None, method: str, call: str, /, **body: Any) -> requests.Response:
        return self.server.request(user, method, f"/api/2.0/mlflow/{call}", json=body)

    def put(self, user: str, path: str, content: bytes, prefix: str = PROXY) -> requests.Response:
        """Write a file through the artifact proxy."""
        return self.server.request(user, "PUT", f"{prefix}/{path}", data=content)

    def files(self, version: str) -> str:
        """Folder of a version's files below the artifact proxy."""
        if version == "3":
            return f"{self.experiment}/models/{self.logged}/artifacts"
        return f"{self.experiment}/{self.runs[version]}/artifacts/model"

    def bundle(self, version: str) -> str:
        """Folder of a version's evidence below the artifact proxy."""
        return f"{self.experiment}/{self.runs[version]}/artifacts/{BUNDLE}"

    def content(self, path: str) -> dict[str, bytes]:
        """The files below a folder of the artifact proxy, as the server keeps them."""
        return self.server.place.content(path)

    def rows(self, query: str, **values: object) -> list[dict[str, Any]]:
        """What the server's database answers about this model, `:name` in the query."""
        return self.server.place.rows(query, **({"name": self.model} if ":name" in query else {}), **values)

    def version(self, number: str) -> dict[str, Any] | None:
        """A version as the registry holds it; None where there is none."""
        query = (
            "SELECT * FROM model_versions WHERE name = :name AND version = :version "
            "AND current_stage != 'Deleted_Internal'"
        )
        found = self.rows(query, version=int(number))
        return found[0] if found else None

    def stage(self, number: str) -> str | None:
        found = self.version(number)
        return found["current_stage"] if found else None

    def tags(self, number: str) -> dict[str, str]:
        query = "SELECT key, value FROM model_version_tags WHERE name = :name AND version = :version"
        return {row["key"]: row["value"] for row in self.rows(query, version=int(number))}

    def exists(self) -> bool:
        return bool(self.rows("SELECT name FROM registered_models WHERE name = :name"))

    def aliases(self) -> dict[str, str]:
        query = "SELECT alias, version FROM registered_model_aliases WHERE name = :name"
        return {row["alias"]: str(row["version"]) for row in self.rows(query)}

    def model_tags(self) -> dict[str, str]:
        query = "SELECT key, value FROM registered_model_tags WHERE name = :name"
        return {row["key"]: row["value"] for row in self.rows(query)}

    def run_state(self, number: str) -> str:
        query = "SELECT lifecycle_stage FROM runs WHERE run_uuid = :run"
        return str(self.rows(query, run=self.runs[number])[0]["lifecycle_stage"])

    def logged_state(self) -> str:
        query = "SELECT lifecycle_stage FROM logged_models WHERE model_id = :model"
        return str(self.rows(query, model=self.logged)[0]["lifecycle_stage"])

    def state(self) -> dict[str, Any]:
        """Everything that a way round the gate could change, without the times."""
        folders = [self.files(number) for number in "123"] + [self.bundle("1"), self.bundle("2")]
        return {
            "aliases": self.aliases(),
            "model": self.model_tags(),
            "versions": {
                number: {key: of for key, of in (self.version(number) or {}).items() if key != "last_updated_time"}
                for number in "1234"
            },
            "tags": {number: self.tags(number) for number in "123"},
            "runs": {number: self.run_state(number) for number in "12"},
            "logged": self.logged_state(),
            "files": {folder: self.content(folder) for folder in folders},
        }


def build(server: MlflowServer, name: str) -> Scene:
    """Make the scene as a team would."""
    scene = Scene(server, name)
    post = scene.post
    scene.experiment = ok(post("ann", "experiments/create", name=f"{name}-runs"))["experiment_id"]
    ok(post("ann", "registered-models/create", name=name))
    for number in ("1", "2"):
        add_judged_version(scene, number)
    logged = ok(post("ann", "logged-models", experiment_id=scene.experiment, name="net"))["model"]["info"]
    scene.logged = logged["model_id"]
    write_model(scene, "3", b"third")
    ok(post("ann", "model-versions/create", name=name, source=f"models:/{scene.logged}", model_id=scene.logged))
    stage = {"name": name, "version": "1", "stage": "Production", "archive_existing_versions": False}
    ok(post("rita", "model-versions/transition-stage", **stage))
    if not server.governed:
        ok(post("rita", "registered-models/alias", name=name, alias="champion", version="1"))
    ok(post("rollout", "registered-models/alias", name=name, alias="serving", version="1"))
    assert scene.stage("1") == "Production"
    assert scene.aliases() == {"champion": "1", "serving": "1"}
    return scene


def add_judged_version(scene: Scene, number: str, author: str = "ann") -> None:
    """Log a model in a run and register it as `author`, and let the validator say that it passed.

    It passed the policy in the server's ``policy.yaml``, where there is one.
    """
    policy = scene.server.folder / "policy.yaml"
    run, measuring = (
        ok(scene.post(who, "runs/create", experiment_id=scene.experiment))["run"]["info"]["run_id"]
        for who in (author, "validator")
    )
    scene.runs[number] = run
    write_model(scene, number, f"weights {number}".encode(), author)
    shown = evidence_of(scene, number, measuring)
    ok(scene.put("validator", f"{scene.bundle(number)}/evidence.json", shown.model_dump_json().encode()))
    evidence = {
        "gates": "passed",
        "artifact_digest": shown.artifact.digest,
        "evidence_digest": shown.digest,
        "evidence": BUNDLE,
        "source_run_id": run,
        "judged_against": "none" if number == "1" else "1",
        "review": "pending",
        **({"policy_digest": load_policy(policy).digest} if policy.exists() else {}),
    }
    tags = [{"key": key, "value": value} for key, value in evidence.items()]
    version = {"name": scene.model, "run_id": run, "source": f"mlflow-artifacts:/{scene.files(number)}"}
    if scene.server.governed:
        made = ok(scene.post(author, "model-versions/create", **version))
        for tag in tags:
            ok(scene.post("validator", "model-versions/set-tag", name=scene.model, version=number, **tag))
    else:
        made = ok(scene.post(author, "model-versions/create", **version, tags=tags))
    assert str(made["model_version"]["version"]) == number


def evidence_of(scene: Scene, number: str, measuring: str) -> Evidence:
    """What the validator says of a version's files, measured in a run of its own."""
    artifact, _ = read_artifact(f"{scene.server.place.artifacts}/{scene.files(number)}")
    return Evidence(
        model_uri=f"mlflow-artifacts:/{scene.files(number)}",
        run_id=scene.runs[number],
        artifact=artifact,
        evaluated_digest=artifact.digest,
        metrics={"mae": Measured(value=1.0, timestamp=1)},
        params={},
        tags={},
        datasets=(),
        git_commit=None,
        interface={},
        evaluations=(Evaluated(kind="quality", run_id=measuring, began=1, digest=artifact.digest),),
    )


def write_model(scene: Scene, number: str, weights: bytes, author: str = "ann") -> None:
    ok(scene.put(author, f"{scene.files(number)}/MLmodel", b"flavors: {}\n"))
    ok(scene.put(author, f"{scene.files(number)}/weights.bin", weights))


def ok(answer: requests.Response) -> dict[str, Any]:
    """What the server answered, where it did as it was asked."""
    assert answer.ok, f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:500]}"
    return answer.json() if answer.headers.get("Content-Type", "").startswith("application/json") else {}


def refusals(server: MlflowServer, after: int = 0) -> list[tuple[str, str, str]]:
    """Refusals in the audit behind an entry: who, action, reason."""
    query = "SELECT * FROM governance_audit WHERE seq > :after AND outcome = 'refused' ORDER BY seq"
    return [(row["actor"], row["action"], row["comment"]) for row in server.place.rows(query, after=after)]


def last_entry(server: MlflowServer) -> int:
    """Number of the audit's last entry."""
    return int(server.place.rows("SELECT coalesce(max(seq), 0) AS latest FROM governance_audit")[0]["latest"])

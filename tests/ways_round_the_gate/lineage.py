"""Taking away what a version comes from."""

from __future__ import annotations

import json
from typing import Any

import mlflow
from click.testing import CliRunner
from mlflow.cli import gc

from tests.gate_scene import Scene, ok
from tests.ways_round_the_gate.way import AJAX, file_is, way


def run_is_gone(scene: Scene) -> bool:
    return scene.run_state("2") == "deleted"


@way("ann", run_is_gone)
def deleting_the_run(scene: Scene, who: str) -> Any:
    return scene.post(who, "runs/delete", run_id=scene.runs["2"])


@way("admin", run_is_gone)
def deleting_the_run_in_json_encoded_twice(scene: Scene, who: str) -> Any:
    body = json.dumps({"run_id": scene.runs["2"]})
    return scene.server.request(who, "POST", f"{AJAX}runs/delete", json=body)


@way("admin", run_is_gone)
def deleting_the_experiment(scene: Scene, who: str) -> Any:
    return scene.post(who, "experiments/delete", experiment_id=scene.experiment)


@way("ann", lambda scene: scene.run_state("measuring") == "deleted")
def deleting_the_experiment_in_which_the_validator_measures(scene: Scene, who: str) -> Any:
    made = ok(scene.post(who, "experiments/create", name=f"{scene.model}-measured"))
    run = ok(scene.post("validator", "runs/create", experiment_id=made["experiment_id"]))["run"]
    scene.runs["measuring"] = run["info"]["run_id"]
    return scene.post(who, "experiments/delete", experiment_id=made["experiment_id"])


@way("ann", lambda scene: scene.run_state("copied") == "deleted")
def deleting_the_experiment_of_a_copy_that_names_no_run(scene: Scene, who: str) -> Any:
    experiment = ok(scene.post(who, "experiments/create", name=f"{scene.model}-copied"))["experiment_id"]
    run = ok(scene.post(who, "runs/create", experiment_id=experiment))["run"]["info"]["run_id"]
    scene.runs["copied"] = run
    first, copy = f"{scene.model}-first", f"{scene.model}-copy"
    ok(scene.put(who, f"{experiment}/{run}/artifacts/model/MLmodel", b"flavors: {}\n"))
    for name, source in ((first, {"source": f"runs:/{run}/model", "run_id": run}),
                         (copy, {"source": f"models:/{first}/1"})):  # fmt: skip
        ok(scene.post(who, "registered-models/create", name=name))
        ok(scene.post(who, "model-versions/create", name=name, **source))
    ok(scene.ask(who, "DELETE", "model-versions/delete", name=first, version="1"))
    return scene.post(who, "experiments/delete", experiment_id=experiment)


@way("ann", lambda scene: scene.logged_state() == "deleted")
def deleting_the_logged_model(scene: Scene, who: str) -> Any:
    return scene.ask(who, "DELETE", f"logged-models/{scene.logged}")


@way("ann", file_is("2", "weights.bin", None))
def deleting_the_run_and_waiting_for_the_garbage_collector(scene: Scene, who: str) -> Any:
    scene.post(who, "runs/delete", run_id=scene.runs["2"])
    before = mlflow.get_tracking_uri()
    try:
        collect = ["--backend-store-uri", scene.server.database, "--tracking-uri", scene.server.address("admin")]
        CliRunner().invoke(gc, collect, catch_exceptions=False)
    finally:
        mlflow.set_tracking_uri(before)

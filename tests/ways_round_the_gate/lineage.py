"""Taking away what a version comes from."""

from __future__ import annotations

import json
from typing import Any

import mlflow
from click.testing import CliRunner
from mlflow.cli import gc

from tests.gate_scene import Scene
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

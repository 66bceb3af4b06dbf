"""Deleting, renaming, and registering again."""

from __future__ import annotations

from typing import Any

from tests.gate_scene import Scene, ok
from tests.ways_round_the_gate.way import manages, way


@way("ann", lambda scene: scene.version("1") is None)
def deleting_the_champion(scene: Scene, who: str) -> Any:
    return scene.ask(who, "DELETE", "model-versions/delete", name=scene.model, version="1")


@way("otto", lambda scene: not scene.exists())
def an_operator_deletes_the_model(scene: Scene, who: str) -> Any:
    manages(scene, who, "registered_model", scene.model)
    return scene.ask(who, "DELETE", "registered-models/delete", name=scene.model)


@way("ann", lambda scene: "models:/" in (scene.version("1") or {}).get("source", ""))
def deleting_the_model_and_registering_other_files_as_version_1(scene: Scene, who: str) -> Any:
    scene.ask(who, "DELETE", "registered-models/delete", name=scene.model)
    scene.post(who, "registered-models/create", name=scene.model)
    scene.post(who, "model-versions/create", name=scene.model, source=f"models:/{scene.logged}",
               model_id=scene.logged) if scene.version("1") is None else None  # fmt: skip


@way("ann", lambda scene: not scene.exists())
def renaming_the_model(scene: Scene, who: str) -> Any:
    return scene.post(who, "registered-models/rename", name=scene.model, new_name=f"{scene.model}-old")


@way("ann", lambda scene: "models:/" in (scene.version("1") or {}).get("source", ""))
def swapping_two_models_by_their_names(scene: Scene, who: str) -> Any:
    other = f"{scene.model}-other"
    ok(scene.post(who, "registered-models/create", name=other))
    source = {"source": f"models:/{scene.logged}", "model_id": scene.logged}
    ok(scene.post(who, "model-versions/create", name=other, **source))
    scene.post(who, "registered-models/rename", name=scene.model, new_name=f"{scene.model}-old")
    return scene.post(who, "registered-models/rename", name=other, new_name=scene.model)


@way("ann", lambda scene: scene.version("4") is not None)
def registering_files_that_lie_elsewhere(scene: Scene, who: str) -> Any:
    return scene.post(who, "model-versions/create", name=scene.model, source="s3://anybodys-bucket/model")


@way("ann", lambda scene: scene.version("4") is not None)
def registering_files_under_a_disguised_address(scene: Scene, who: str) -> Any:
    folder = scene.files("2").replace(scene.runs["2"][0], f"%{ord(scene.runs['2'][0]):02x}", 1)
    source = {"source": f"mlflow-artifacts:/{folder}", "run_id": scene.runs["2"]}
    if scene.runs["2"][0] == scene.experiment[0]:  # the first such letter is the experiment's
        source["source"] = f"mlflow-artifacts:/{scene.files('2')[:-1]}%6c"
    return scene.post(who, "model-versions/create", name=scene.model, **source)


@way("ann", lambda scene: scene.version("4") is not None)
def registering_the_run_in_which_the_validator_measures(scene: Scene, who: str) -> Any:
    """From then on its uploads would be refused there, the evidence among them."""
    run = ok(scene.post("validator", "runs/create", experiment_id=scene.experiment))["run"]["info"]["run_id"]
    source = {"source": f"mlflow-artifacts:/{scene.experiment}/{run}/artifacts", "run_id": run}
    return scene.post(who, "model-versions/create", name=scene.model, **source)


@way("ann", lambda scene: scene.version("4") is not None)
def registering_a_folder_of_the_run_in_which_the_validator_measures(scene: Scene, who: str) -> Any:
    run = ok(scene.post("validator", "runs/create", experiment_id=scene.experiment))["run"]["info"]["run_id"]
    return scene.post(who, "model-versions/create", name=scene.model, source=f"runs:/{run}/plots", run_id=run)


@way("ann", lambda scene: scene.version("4") is not None)
def registering_a_run_that_lies_among_the_files_of_the_validators(scene: Scene, who: str) -> Any:
    run = ok(scene.post("validator", "runs/create", experiment_id=scene.experiment))["run"]["info"]["run_id"]
    inside = f"mlflow-artifacts:/{scene.experiment}/{run}/artifacts/evidence.json"
    laid = ok(scene.post(who, "experiments/create", name=f"{scene.model}-among", artifact_location=inside))
    own = ok(scene.post(who, "runs/create", experiment_id=laid["experiment_id"]))["run"]["info"]["run_id"]
    return scene.post(who, "model-versions/create", name=scene.model, source=f"runs:/{own}/model", run_id=own)

"""Other files than those that were judged."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.gate_scene import PROXY, Scene, ok
from tests.governed_server import password
from tests.ways_round_the_gate.way import AJAX, file_is, manages, way


@way("ann", file_is("2", "weights.bin", b"other"))
def writing_over_the_weights(scene: Scene, who: str) -> Any:
    return scene.put(who, f"{scene.files('2')}/weights.bin", b"other")


@way("admin", file_is("1", "weights.bin", b"other"))
def an_admin_writes_over_the_champions_weights(scene: Scene, who: str) -> Any:
    return scene.put(who, f"{scene.files('1')}/weights.bin", b"other")


@way("validator", file_is("2", "weights.bin", b"other"))
def the_validator_writes_over_the_weights(scene: Scene, who: str) -> Any:
    return scene.put(who, f"{scene.files('2')}/weights.bin", b"other")


@way("ann", file_is("2", "weights.bin", b"other"))
def writing_under_the_address_of_the_ui(scene: Scene, who: str) -> Any:
    return scene.put(who, f"{scene.files('2')}/weights.bin", b"other", "/ajax-api/2.0/mlflow-artifacts/artifacts")


@way("ann", file_is("2", "weights.bin", b"other"))
def writing_to_a_path_encoded_twice(scene: Scene, who: str) -> Any:
    return scene.put(who, f"{scene.files('2').replace('model', '%256dodel')}/weights%252ebin", b"other")


@way("ann", file_is("2", "weights.bin", b"other"))
def writing_to_a_path_with_doubled_slashes(scene: Scene, who: str) -> Any:
    return scene.put(who, f"{scene.files('2')}//weights.bin", b"other")


@way("ann", file_is("2", "loader.py", b"import os"))
def adding_a_file_beside_the_weights(scene: Scene, who: str) -> Any:
    return scene.put(who, f"{scene.files('2')}/loader.py", b"import os")


@way("ann", file_is("3", "weights.bin", b"other"))
def writing_over_a_logged_model(scene: Scene, who: str) -> Any:
    return scene.put(who, f"{scene.files('3')}/weights.bin", b"other")


@way("ann", file_is("2", "weights.bin", b"other"))
def through_the_uis_upload(scene: Scene, who: str) -> Any:
    query = {"run_uuid": scene.runs["2"], "path": "model/weights.bin"}
    return scene.server.request(who, "POST", f"{AJAX}upload-artifact", params=query, data=b"other")


@way("ann", file_is("2", "weights.bin", None))
def deleting_the_weights(scene: Scene, who: str) -> Any:
    return scene.server.request(who, "DELETE", f"{PROXY}/{scene.files('2')}/weights.bin")


@way("ann", file_is("2", "weights.bin", None))
def deleting_the_folder_around_the_weights(scene: Scene, who: str) -> Any:
    return scene.server.request(who, "DELETE", f"{PROXY}/{scene.experiment}/{scene.runs['2']}")


@way("admin", file_is("2", "weights.bin", None))
def deleting_a_whole_experiments_files(scene: Scene, who: str) -> Any:
    return scene.server.request(who, "DELETE", f"{PROXY}/{scene.experiment}")


@way("ann", lambda scene: scene.content(scene.bundle("2"))["evidence.json"] == b'{"mae": 0.0}')
def writing_over_the_evidence(scene: Scene, who: str) -> Any:
    return scene.put(who, f"{scene.bundle('2')}/evidence.json", b'{"mae": 0.0}')


@way("validator", lambda scene: not scene.content(scene.bundle("1")))
def deleting_the_champions_evidence(scene: Scene, who: str) -> Any:
    manages(scene, who, "experiment", scene.experiment)
    return scene.server.request(who, "DELETE", f"{PROXY}/{scene.bundle('1')}")


def a_file_of_another_run_lies_within(scene: Scene) -> bool:
    return any("inside.bin" in name for name in scene.content(scene.files("2")))


@way("ann", a_file_of_another_run_lies_within)
def an_experiment_that_keeps_its_files_inside_the_model(scene: Scene, who: str) -> Any:
    inside = {"name": f"{scene.model}-inside", "artifact_location": f"mlflow-artifacts:/{scene.files('2')}"}
    experiment = ok(scene.post(who, "experiments/create", **inside))["experiment_id"]
    run = ok(scene.post(who, "runs/create", experiment_id=experiment))["run"]["info"]
    return scene.put(who, f"{urlsplit(run['artifact_uri']).path.lstrip('/')}/inside.bin", b"other")


def slow_upload_won(scene: Scene) -> bool:
    asked = "SELECT version FROM model_versions WHERE name = :name"
    registered = scene.server.place.rows(asked, name=f"{scene.model}-slow")
    files = scene.content(f"{scene.experiment}/{scene.runs['slow']}/artifacts/model")
    return bool(registered) and files == {"weights.bin": b"other"}


@way("ann", slow_upload_won)
def an_upload_that_ends_after_the_registration(scene: Scene, who: str) -> Any:
    run = ok(scene.post(who, "runs/create", experiment_id=scene.experiment))["run"]["info"]["run_id"]
    scene.runs["slow"] = run
    folder = f"{scene.experiment}/{run}/artifacts/model"
    ok(scene.put(who, f"{folder}/weights.bin", b"reviewed"))
    at = urlsplit(scene.server.url)
    request = requests.Request("PUT", f"{scene.server.url}{PROXY}/{folder}/weights.bin", auth=(who, password(who)))
    login = request.prepare().headers["Authorization"]
    with socket.create_connection((at.hostname, at.port), timeout=30) as upload:
        head = f"PUT {PROXY}/{folder}/weights.bin HTTP/1.1\r\nHost: {at.netloc}\r\nAuthorization: {login}\r\n"
        upload.sendall(f"{head}Content-Length: 5\r\nConnection: close\r\n\r\not".encode())
        name = f"{scene.model}-slow"
        ok(scene.post(who, "registered-models/create", name=name))
        source = {"source": f"mlflow-artifacts:/{folder}", "run_id": run}
        scene.post(who, "model-versions/create", name=name, **source)
        upload.sendall(b"her")
        while upload.recv(4096):
            pass


@way("ann", lambda scene: scene.answer.ok)
def an_address_for_writing_past_the_server(scene: Scene, who: str) -> Any:
    bucket = {"name": f"{scene.model}-bucket", "artifact_location": "s3://models/of-ann"}
    experiment = ok(scene.post(who, "experiments/create", **bucket))["experiment_id"]
    run = ok(scene.post(who, "runs/create", experiment_id=experiment))["run"]["info"]["run_id"]
    body = {"run_id": run, "path": "model/weights.bin", "expiration": 604800}
    scene.answer = scene.post(who, "artifacts/presigned-upload-url", **body)


def a_prompt_lies_within(scene: Scene) -> bool:
    return any("eval_results_table" in name for name in scene.content(scene.files("2")))


def log_a_prompt(scene: Scene, who: str, experiment: Any) -> Any:
    """Let the server itself log it, as the UI does."""
    prompt = {
        "experiment_id": experiment, "prompt_template": "{{ x }}", "model_route": "none",
        "prompt_parameters": [{"key": "x", "value": "1"}], "model_input": "1",
        "model_output": "1", "mlflow_version": "3.0.0",
    }  # fmt: skip
    return scene.server.request(who, "POST", f"{AJAX}runs/create-promptlab-run", json=prompt)


def inside(scene: Scene, who: str, name: str) -> str:
    """An experiment that keeps its files inside version 2."""
    place = f"mlflow-artifacts:/{scene.files('2')}/{name}"
    made = ok(scene.post(who, "experiments/create", name=f"{scene.model}-{name}", artifact_location=place))
    return str(made["experiment_id"])


@way("ann", a_prompt_lies_within)
def a_prompt_that_the_server_itself_writes_inside_the_model(scene: Scene, who: str) -> Any:
    return log_a_prompt(scene, who, inside(scene, who, "prompts"))


@way("ann", a_prompt_lies_within)
def a_prompt_whose_experiment_has_a_fraction_of_nought(scene: Scene, who: str) -> Any:
    return log_a_prompt(scene, who, float(inside(scene, who, "fractions")))

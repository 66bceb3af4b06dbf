"""Uploads that S3 takes past the server: in parts, and at addresses that were signed before."""

from __future__ import annotations

from typing import Any

import requests

from tests.back_ends import BackEnd, bucket_of, objects, put_object
from tests.gate_scene import Scene, ok
from tests.ways_round_the_gate.way import file_is, way

S3: tuple[BackEnd, ...] = ("postgresql",)
MULTIPART = "/api/2.0/mlflow-artifacts/mpu"


def begin(scene: Scene, who: str, folder: str, name: str) -> requests.Response:
    """Ask for an upload in one part."""
    body = {"path": name, "num_parts": 1}
    return scene.server.request(who, "POST", f"{MULTIPART}/create/{folder}", json=body)


def send(begun: dict[str, Any], content: bytes) -> dict[str, Any]:
    """Give S3 the part, at the address that the server signed; what completes the upload."""
    answer = requests.put(begun["credentials"][0]["url"], data=content, timeout=30)
    answer.raise_for_status()
    part = {"part_number": 1, "etag": answer.headers["ETag"]}
    return {"upload_id": begun["upload_id"], "parts": [part]}


def complete(scene: Scene, who: str, folder: str, name: str, sent: dict[str, Any]) -> requests.Response:
    return scene.server.request(who, "POST", f"{MULTIPART}/complete/{folder}", json={"path": name, **sent})


def upload(scene: Scene, who: str, folder: str, name: str, content: bytes) -> Any:
    """Everything, as MLflow's client does it with a large file."""
    begun = begin(scene, who, folder, name)
    if begun.ok:
        complete(scene, who, folder, name, send(begun.json(), content))


@way("ann", file_is("2", "weights.bin", b"other"), over=S3)
def an_upload_in_parts(scene: Scene, who: str) -> Any:
    upload(scene, who, scene.files("2"), "weights.bin", b"other")


@way("admin", file_is("1", "weights.bin", b"other"), over=S3)
def an_admin_uploads_the_champions_weights_in_parts(scene: Scene, who: str) -> Any:
    upload(scene, who, scene.files("1"), "weights.bin", b"other")


@way("ann", file_is("3", "weights.bin", b"other"), over=S3)
def an_upload_in_parts_over_a_logged_model(scene: Scene, who: str) -> Any:
    upload(scene, who, scene.files("3"), "/tmp/weights.bin", b"other")  # noqa: S108


@way("rita", lambda scene: scene.content(scene.bundle("2"))["evidence.json"] == b'{"mae": 0.0}', over=S3)
def an_upload_in_parts_over_the_evidence(scene: Scene, who: str) -> Any:
    upload(scene, who, scene.bundle("2"), "evidence.json", b'{"mae": 0.0}')


def a_file_with_a_strange_name_lies_there(scene: Scene) -> bool:
    return len(scene.content(scene.files("2"))) == 3


@way("ann", a_file_with_a_strange_name_lies_there, over=S3)
def an_upload_in_parts_under_a_name_that_seems_to_lead_elsewhere(scene: Scene, who: str) -> Any:
    upload(scene, who, scene.files("2"), "%2e%2e%2f" * 9 + "loader.py", b"import os")


@way("ann", a_file_with_a_strange_name_lies_there, over=S3)
def an_upload_in_parts_with_a_name_that_looks_like_an_address(scene: Scene, who: str) -> Any:
    upload(scene, who, scene.files("2"), "x?y#z", b"import os")


@way("ann", file_is("2", "weights.bin", b"other"), over=S3)
def an_upload_in_parts_to_a_path_with_a_tab_in_it(scene: Scene, who: str) -> Any:
    folder = scene.files("2").replace("artifacts", "arti%2509facts")
    begun = begin(scene, who, folder, "weights.bin")
    if begun.ok:
        complete(scene, who, folder, "weights.bin", send(begun.json(), b"other"))


def late_file_is(content: bytes) -> Any:
    return lambda scene: (
        scene.content(f"{scene.experiment}/{scene.runs['late']}/artifacts/model") == {"weights.bin": content}
    )


def registered(scene: Scene, who: str) -> str:
    """Log a model, as somebody may; gives its folder."""
    run = ok(scene.post(who, "runs/create", experiment_id=scene.experiment))["run"]["info"]["run_id"]
    scene.runs["late"] = run
    folder = f"{scene.experiment}/{run}/artifacts/model"
    ok(scene.put(who, f"{folder}/weights.bin", b"reviewed"))
    return folder


def register(scene: Scene, who: str, folder: str) -> None:
    name = f"{scene.model}-late-{scene.runs['late'][:8]}"
    ok(scene.post(who, "registered-models/create", name=name))
    source = {"source": f"mlflow-artifacts:/{folder}", "run_id": scene.runs["late"]}
    ok(scene.post(who, "model-versions/create", name=name, **source))


@way("ann", late_file_is(b"other"), over=S3)
def parts_that_lie_ready_when_the_folder_is_registered(scene: Scene, who: str) -> Any:
    folder = registered(scene, who)
    sent = send(ok(begin(scene, who, folder, "weights.bin")), b"other")
    register(scene, who, folder)
    return complete(scene, who, folder, "weights.bin", sent)


@way("ann", late_file_is(b"other"), over=S3)
def parts_that_are_sent_after_the_registration(scene: Scene, who: str) -> Any:
    folder = registered(scene, who)
    begun = ok(begin(scene, who, folder, "weights.bin"))
    register(scene, who, folder)
    return complete(scene, who, folder, "weights.bin", send(begun, b"other"))


def signed_before_won(scene: Scene) -> bool:
    return objects(f"{scene.elsewhere}/model/") == {"weights.bin": b"other"}


@way("ann", signed_before_won, over=S3)
def an_address_that_was_signed_before_the_registration(scene: Scene, who: str) -> Any:
    bucket, _ = bucket_of(scene.server.place.artifacts)
    kept = {"name": f"{scene.model}-direct", "artifact_location": f"s3://{bucket}/of-ann"}
    experiment = ok(scene.post(who, "experiments/create", **kept))["experiment_id"]
    run = ok(scene.post(who, "runs/create", experiment_id=experiment))["run"]["info"]
    scene.elsewhere = str(run["artifact_uri"])
    put_object(f"{scene.elsewhere}/model/weights.bin", b"reviewed")
    wanted = {"run_id": run["run_id"], "path": "model/weights.bin", "expiration": 604800}
    signed = scene.post(who, "artifacts/presigned-upload-url", **wanted)
    name = f"{scene.model}-direct"
    ok(scene.post(who, "registered-models/create", name=name))
    source = {"source": f"{scene.elsewhere}/model", "run_id": run["run_id"]}
    ok(scene.post(who, "model-versions/create", name=name, **source))
    if signed.ok:
        address = signed.json()
        written = requests.put(address["presigned_url"], b"other", headers=address["headers"], timeout=30)
        written.raise_for_status()

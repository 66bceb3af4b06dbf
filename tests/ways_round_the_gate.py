"""Ways round the gate: what somebody may try, each with how one sees that it worked.

Everybody here may edit everything in MLflow's eyes. `tests/integration/test_ways_round_the_gate.py` walks them.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import mlflow
import requests
from click.testing import CliRunner
from mlflow.cli import gc

from tests.gate_scene import PROXY, Scene, ok
from tests.governed_server import password

AJAX = "/ajax-api/2.0/mlflow/"
STANDING = json.dumps({"champion": "3", "previous": "1"})
Won = Callable[[Scene], bool]


@dataclass(frozen=True)
class Way:
    """What somebody tries, and how one sees that it worked."""

    name: str
    who: str
    walk: Callable[[Scene, str], Any]
    won: Won


WAYS: list[Way] = []


def way(who: str, won: Won) -> Callable[[Callable[[Scene, str], Any]], Callable[[Scene, str], Any]]:
    """Add a function to the ways, walked as `who`."""

    def add(walk: Callable[[Scene, str], Any]) -> Callable[[Scene, str], Any]:
        WAYS.append(Way(walk.__name__, who, walk, won))
        return walk

    return add


def in_production(number: str) -> Won:
    return lambda scene: scene.stage(number) == "Production"


def on_alias(alias: str, number: str | None) -> Won:
    return lambda scene: scene.aliases().get(alias) == number


def tagged(number: str, key: str, value: str | None) -> Won:
    return lambda scene: scene.tags(number).get(key) == value


def file_is(number: str, name: str, content: bytes | None) -> Won:
    return lambda scene: scene.content(scene.files(number)).get(name) == content


def move(scene: Scene, who: str, number: str, stage: str = "Production", archive: bool = False) -> Any:
    body = {"name": scene.model, "version": number, "stage": stage, "archive_existing_versions": archive}
    return scene.post(who, "model-versions/transition-stage", **body)


def alias(scene: Scene, who: str, name: str, number: str) -> Any:
    return scene.post(who, "registered-models/alias", name=scene.model, alias=name, version=number)


def tag(scene: Scene, who: str, number: str, key: str, value: str) -> Any:
    return scene.post(who, "model-versions/set-tag", name=scene.model, version=number, key=key, value=value)


def manages(scene: Scene, who: str, kind: str, what: str) -> None:
    """Let somebody delete in MLflow's eyes too, as ann may who made everything here."""
    granted = {"username": who, "resource_type": kind, "resource_id": what, "permission": "MANAGE"}
    ok(scene.server.request("ann", "POST", "/api/3.0/mlflow/users/permissions/grant", json=granted))


# --- straight to Production -------------------------------------------------------------------------------------


@way("ann", in_production("2"))
def the_author_moves_it(scene: Scene, who: str) -> Any:
    return move(scene, who, "2")


@way("admin", in_production("2"))
def an_admin_moves_it(scene: Scene, who: str) -> Any:
    return move(scene, who, "2")


@way("validator", in_production("2"))
def the_validator_moves_what_it_judged(scene: Scene, who: str) -> Any:
    return move(scene, who, "2")


@way("rollout", in_production("2"))
def the_rollout_moves_it(scene: Scene, who: str) -> Any:
    return move(scene, who, "2")


@way("otto", in_production("2"))
def an_operator_moves_it_without_approvals(scene: Scene, who: str) -> Any:
    return move(scene, who, "2")


@way("aud", in_production("2"))
def an_auditor_moves_it(scene: Scene, who: str) -> Any:
    return move(scene, who, "2")


@way("mallory", in_production("2"))
def somebody_without_a_role_moves_it(scene: Scene, who: str) -> Any:
    return move(scene, who, "2")


@way("rita", in_production("3"))
def a_reviewer_moves_what_nobody_judged(scene: Scene, who: str) -> Any:
    return move(scene, who, "3")


@way("anna", in_production("2"))
def the_authors_second_log_in_moves_it(scene: Scene, who: str) -> Any:
    return move(scene, who, "2")


@way("ann", in_production("2"))
def under_the_address_of_the_ui(scene: Scene, who: str) -> Any:
    body = {"name": scene.model, "version": "2", "stage": "Production"}
    return scene.server.request(who, "POST", f"{AJAX}model-versions/transition-stage", json=body)


@way("ann", lambda scene: scene.stage("1") == "Archived")
def in_camel_case_with_archiving(scene: Scene, who: str) -> Any:
    body = {"name": scene.model, "version": "2", "stage": "Production", "archiveExistingVersions": True}
    return scene.post(who, "model-versions/transition-stage", **body)


# MLflow's own checks of permissions choke on it, and an admin passes them by
@way("admin", in_production("2"))
def as_json_encoded_twice(scene: Scene, who: str) -> Any:
    body = json.dumps({"name": scene.model, "version": "2", "stage": "Production"})
    return scene.server.request(who, "POST", "/api/2.0/mlflow/model-versions/transition-stage", json=body)


@way("ann", in_production("2"))
def with_the_stage_in_capitals(scene: Scene, who: str) -> Any:
    return move(scene, who, "2", "PRODUCTION")


@way("ann", in_production("3"))
def staging_first_then_production(scene: Scene, who: str) -> Any:
    move(scene, who, "3", "Staging")
    return move(scene, who, "3")


@way("ann", lambda scene: scene.stage("1") == "Archived")
def putting_the_champion_away(scene: Scene, who: str) -> Any:
    return move(scene, who, "1", "Archived")


@way("admin", lambda scene: scene.stage("1") == "None")
def taking_the_champions_stage(scene: Scene, who: str) -> Any:
    return move(scene, who, "1", "None")


# --- aliases instead of stages ----------------------------------------------------------------------------------


@way("ann", on_alias("champion", "2"))
def an_alias_instead_of_the_stage(scene: Scene, who: str) -> Any:
    return alias(scene, who, "champion", "2")


@way("admin", on_alias("champion", "2"))
def an_alias_by_an_admin(scene: Scene, who: str) -> Any:
    return alias(scene, who, "champion", "2")


@way("rollout", on_alias("champion", "2"))
def an_alias_by_the_rollout(scene: Scene, who: str) -> Any:
    return alias(scene, who, "champion", "2")


@way("ann", on_alias("serving", "2"))
def the_alias_that_servers_follow(scene: Scene, who: str) -> Any:
    return alias(scene, who, "serving", "2")


@way("rollout", on_alias("serving", "2"))
def serving_what_was_not_promoted(scene: Scene, who: str) -> Any:
    return alias(scene, who, "serving", "2")


@way("ann", on_alias("Champion", "2"))
def an_alias_that_looks_alike(scene: Scene, who: str) -> Any:
    return alias(scene, who, "Champion", "2")


@way("ann", on_alias("champion", None))
def taking_the_champions_alias(scene: Scene, who: str) -> Any:
    return scene.ask(who, "DELETE", "registered-models/alias", name=scene.model, alias="champion")


@way("admin", on_alias("serving", None))
def taking_the_alias_that_servers_follow(scene: Scene, who: str) -> Any:
    return scene.ask(who, "DELETE", "registered-models/alias", name=scene.model, alias="serving")


@way("rita", on_alias("previous", "3"))
def laying_a_way_back_to_another_version(scene: Scene, who: str) -> Any:
    return alias(scene, who, "previous", "3")


# --- forged tags ------------------------------------------------------------------------------------------------


@way("ann", tagged("3", "gates", "passed"))
def forging_that_the_gates_passed(scene: Scene, who: str) -> Any:
    return tag(scene, who, "3", "gates", "passed")


@way("rita", tagged("3", "gates", "passed"))
def a_reviewer_forges_that_the_gates_passed(scene: Scene, who: str) -> Any:
    return tag(scene, who, "3", "gates", "passed")


@way("admin", tagged("2", "evidence_digest", "0" * 64))
def an_admin_swaps_the_evidence(scene: Scene, who: str) -> Any:
    return tag(scene, who, "2", "evidence_digest", "0" * 64)


@way("ann", tagged("2", "artifact_digest", "0" * 64))
def forging_the_digest_of_the_files(scene: Scene, who: str) -> Any:
    body = {"name": scene.model, "version": "2", "key": "artifact_digest", "value": "0" * 64}
    return scene.server.request(who, "POST", f"{AJAX}model-versions/set-tag", json=body)


@way("ann", tagged("2", "review", "approved"))
def forging_an_approval(scene: Scene, who: str) -> Any:
    return tag(scene, who, "2", "review", "approved")


@way("validator", tagged("2", "approved_by", "rita"))
def the_validator_forges_an_approvers_name(scene: Scene, who: str) -> Any:
    return tag(scene, who, "2", "approved_by", "rita")


@way("ann", tagged("3", " Gates", "passed"))
def a_tag_that_looks_alike(scene: Scene, who: str) -> Any:
    return tag(scene, who, "3", " Gates", "passed")


@way("ann", tagged("1", "gates", None))
def taking_the_champions_evidence(scene: Scene, who: str) -> Any:
    return scene.ask(who, "DELETE", "model-versions/delete-tag", name=scene.model, version="1", key="gates")


@way("ann", lambda scene: scene.model_tags().get("governance.standing") == STANDING)
def forging_the_standing(scene: Scene, who: str) -> Any:
    body = {"name": scene.model, "key": "governance.standing", "value": STANDING}
    return scene.post(who, "registered-models/set-tag", **body)


@way("ann", lambda scene: scene.tags("4").get("gates") == "passed")
def making_a_version_with_forged_tags(scene: Scene, who: str) -> Any:
    return scene.post(
        who, "model-versions/create", name=scene.model, source=f"models:/{scene.logged}", model_id=scene.logged,
        tags=[{"key": "gates", "value": "passed"}],
    )  # fmt: skip


@way("ann", lambda scene: scene.tags("4").get("approved_by") == "rita")
def replaying_an_approval_for_other_files(scene: Scene, who: str) -> Any:
    copied = {**scene.tags("1"), "approved_by": "rita"}
    tags = [{"key": key, "value": value} for key, value in copied.items()]
    return scene.post(
        who, "model-versions/create", name=scene.model, source=f"models:/{scene.logged}", model_id=scene.logged,
        tags=tags,
    )  # fmt: skip


@way("ann", lambda scene: (scene.version("1") or {}).get("description") == "MAE 0.1, approved by everybody")
def rewriting_what_the_reviewer_reads(scene: Scene, who: str) -> Any:
    body = {"name": scene.model, "version": "1", "description": "MAE 0.1, approved by everybody"}
    return scene.ask(who, "PATCH", "model-versions/update", **body)


# --- deleting, renaming, registering again ----------------------------------------------------------------------


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


# --- files ------------------------------------------------------------------------------------------------------


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
    return scene.content(f"{scene.experiment}/{scene.runs['slow']}/artifacts/model") == {"weights.bin": b"other"}


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
        ok(scene.post(who, "model-versions/create", name=name, **source))
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


# --- where a version comes from ---------------------------------------------------------------------------------


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


# --- log-ins ----------------------------------------------------------------------------------------------------


@way("eve", in_production("2"))
def an_account_that_an_admin_makes_for_it(scene: Scene, who: str) -> Any:
    ok(scene.post("admin", "users/create", username=who, password=password(who)))
    return move(scene, who, "2")


@way("ann", in_production("2"))
def the_author_becomes_admin(scene: Scene, who: str) -> Any:
    promoted = {"username": who, "is_admin": True}
    ok(scene.ask("admin", "PATCH", "users/update-admin", **promoted))
    try:
        return move(scene, who, "2")
    finally:
        ok(scene.ask("admin", "PATCH", "users/update-admin", username=who, is_admin=False))


@way("ruth", in_production("2"))
def an_admin_sets_a_reviewers_password_and_is_her(scene: Scene, who: str) -> Any:
    ok(scene.ask("admin", "PATCH", "users/update-password", username=who, password=password(who)))
    return move(scene, who, "2")


@way("rosa", in_production("2"))
def an_admin_makes_a_reviewers_account_anew_and_is_her(scene: Scene, who: str) -> Any:
    ok(scene.ask("admin", "DELETE", "users/delete", username=who))
    ok(scene.post("admin", "users/create", username=who, password=password(who)))
    return move(scene, who, "2")


# --- the server's own rights ------------------------------------------------------------------------------------


@way("ann", lambda scene: scene.answer.ok)
def setting_up_the_assistant_that_runs_a_shell(scene: Scene, who: str) -> Any:
    path = "/ajax-api/3.0/mlflow/assistant/config"
    scene.answer = scene.server.request(who, "PUT", path, json={"providers": {}})

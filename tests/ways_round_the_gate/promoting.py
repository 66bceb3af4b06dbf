"""Straight to Production, by whoever may edit."""

from __future__ import annotations

import json
from typing import Any

from tests.gate_scene import Scene
from tests.ways_round_the_gate.way import AJAX, in_production, move, way


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


# over psycopg MLflow 3.17 cannot archive others: it compares their numbers with a text
@way("ann", lambda scene: scene.stage("1") == "Archived", over=("sqlite",))
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

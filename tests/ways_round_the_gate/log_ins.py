"""Other people's log-ins, and new ones."""

from __future__ import annotations

from typing import Any

from tests.gate_scene import Scene, ok
from tests.governed_server import password
from tests.ways_round_the_gate.way import Won, in_production, manages, move, way


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


@way("Ann", in_production("2"))
def the_authors_log_in_in_capitals_moves_it(scene: Scene, who: str) -> Any:
    """A log-in of its own in both databases, and a reviewer's: the same person all the same."""
    return move(scene, who, "2")


def cannot_read(user: str) -> Won:
    return lambda scene: not scene.server.get(user, "registered-models/get", name=scene.model).ok


@way("ann", cannot_read("rob"))
def the_author_denies_a_reviewer_the_model(scene: Scene, who: str) -> Any:
    return permit(scene, who, "grant", username="rob", permission="DENY")


@way("ann", cannot_read("mallory"))
def the_author_denies_the_model_to_whoever_may_become_a_reviewer(scene: Scene, who: str) -> Any:
    return permit(scene, who, "grant", username="mallory", permission="DENY")


@way("ann", lambda scene: "MANAGE" not in permitted(scene, "rollout"))
def the_author_takes_a_permission_from_the_rollout(scene: Scene, who: str) -> Any:
    manages(scene, "rollout", "registered_model", scene.model)
    return permit(scene, who, "revoke", username="rollout")


def permit(scene: Scene, who: str, what: str, **body: str) -> Any:
    about = {"resource_type": "registered_model", "resource_id": scene.model}
    path = f"/api/3.0/mlflow/users/permissions/{what}"
    return scene.server.request(who, "POST", path, json=about | body)


def permitted(scene: Scene, user: str) -> str:
    query = {"username": user, "resource_type": "registered_model", "resource_id": scene.model}
    path = "/api/3.0/mlflow/users/permissions/get"
    return scene.server.request("admin", "GET", path, params=query).text

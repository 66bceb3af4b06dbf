"""Forged tags and descriptions: evidence and approvals that nobody gave."""

from __future__ import annotations

from typing import Any

from tests.gate_scene import Scene
from tests.ways_round_the_gate.way import AJAX, STANDING, tag, tagged, way


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

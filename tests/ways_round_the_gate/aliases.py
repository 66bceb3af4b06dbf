"""Aliases instead of stages."""

from __future__ import annotations

from typing import Any

from tests.gate_scene import Scene
from tests.ways_round_the_gate.way import alias, on_alias, way


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

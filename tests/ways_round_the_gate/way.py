"""What a way is, and the steps that many of them share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.back_ends import BACK_ENDS, BackEnd
from tests.gate_scene import Scene, ok

AJAX = "/ajax-api/2.0/mlflow/"
STANDING = json.dumps({"champion": "3", "previous": "1"})
Won = Callable[[Scene], bool]
Walk = Callable[[Scene, str], Any]


@dataclass(frozen=True)
class Way:
    """What somebody tries, and how one sees that it worked.

    Attributes
    ----------
    theme : str
        The module that it stands in.
    over : tuple of BackEnd
        Where it leads anywhere: some lead through S3 alone.
    """

    name: str
    theme: str
    who: str
    walk: Walk
    won: Won
    over: tuple[BackEnd, ...] = BACK_ENDS


WAYS: list[Way] = []


def way(who: str, won: Won, *, over: tuple[BackEnd, ...] = BACK_ENDS) -> Callable[[Walk], Walk]:
    """Add a function to the ways, walked as `who`."""

    def add(walk: Walk) -> Walk:
        theme = walk.__module__.rpartition(".")[2]
        WAYS.append(Way(walk.__name__, theme, who, walk, won, over))
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

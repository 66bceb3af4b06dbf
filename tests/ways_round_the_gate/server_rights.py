"""What acts with the server's own rights."""

from __future__ import annotations

from typing import Any

from tests.gate_scene import Scene
from tests.ways_round_the_gate.way import way


@way("ann", lambda scene: scene.answer.ok)
def setting_up_the_assistant_that_runs_a_shell(scene: Scene, who: str) -> Any:
    path = "/ajax-api/3.0/mlflow/assistant/config"
    scene.answer = scene.server.request(who, "PUT", path, json={"providers": {}})

"""The settings that the demo leaves for the camera worker of `make up`."""

from __future__ import annotations

from pathlib import Path

from pipelines.demo.camera_worker import write_camera_settings
from serving.camera.config import read_config


def test_the_worker_takes_what_the_demo_writes_and_what_a_user_writes_stays(tmp_path: Path) -> None:
    workspace = tmp_path / "a #workspace: 1"
    (workspace / "clips").mkdir(parents=True)
    video, scene = workspace / "clips" / "cam-2 'x'.mp4", tmp_path / "scene.yaml"
    video.touch()
    scene.write_text("lines: [{name: gate, from: [0, 0.5], to: [1, 0.5]}]")
    path = write_camera_settings(workspace, video, scene, "camera-counter")
    config = read_config(path)
    (camera,) = config.cameras
    assert (camera.name, Path(camera.source), config.model) == (
        "cam-2 'x'",
        video,
        "models:/camera-counter@serving",
    )
    assert (camera.clip.pace, camera.clip.repeat) == ("real-time", True)
    assert camera.scene is not None
    assert config.web is not None
    assert config.web.port == 5002
    path.write_text("model: m\n")
    write_camera_settings(workspace, video, scene, "camera-counter")
    assert path.read_text() == "model: m\n"

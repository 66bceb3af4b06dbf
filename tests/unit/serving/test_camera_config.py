"""The settings of the camera worker: what is taken, and what is refused in which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from camera_counting.scene import scene_schema
from serving.camera.config import ConfigError, config_schema, read_camera, read_config

SCENE = "lines: [{name: gate, from: [0, 0.5], to: [1, 0.5]}]"
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "cameras.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def test_the_example_is_taken_and_fits_its_schema(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE_PASSWORD", "pass#word")
    monkeypatch.setenv("WEBHOOK_SECRET", "secret")
    path = root / "serving" / "cameras.example.yaml"
    config = read_config(path)
    assert [camera.name for camera in config.cameras] == ["gate", "yard recording"]
    assert config.cameras[0].source == "rtsp://viewer:pass#word@10.0.0.7:554/stream1"
    assert config.state == path.parent / "state"
    assert config.pictures is None
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    said["cameras"][1]["clip"]["start"] = "2026-05-01T08:00:00+02:00"  # YAML made a datetime of it
    jsonschema.validate(said, config_schema())
    # the example shows every key that there is, or says so in a comment
    text = path.read_text(encoding="utf-8")
    of_scenes = {*scene_schema()["$defs"], "Scene"}
    for name, part in [("WorkerConfig", config_schema()), *config_schema()["$defs"].items()]:
        if name in of_scenes:
            continue
        for key in part.get("properties", {}):
            assert f"{key}:" in text, f"{name}.{key} is not in the example"


def test_paths_begin_at_the_folder_of_the_file(write: Write, tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text(SCENE)
    config = read_config(
        write("model: counter\ncameras: [{name: gate, source: clip.mp4, scene: gate.yaml}]\nstate: /var/s\n")
    )
    assert config.model == str(tmp_path / "counter")
    assert config.cameras[0].source == str(tmp_path / "clip.mp4")
    assert config.cameras[0].scene is not None
    assert config.state == Path("/var/s")
    # one that is not written down, too
    config = read_config(write("model: m\nweb: {}\n"))
    assert config.state == tmp_path / "state"
    assert config.web is not None
    assert config.web.token_file == tmp_path / "token"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model: m\ncameras: [{name: gate, source: a.mp4, scen: x}]", "cameras[0].scen: unknown key"),
        ("model: m\ncamera: []", "camera: unknown key"),
        ("cameras: []", "model: expected this key, found none"),
        ("", "expected the keys model and cameras; got nothing"),
        ("- 1", "expected the keys model and cameras; got list"),
        ("model: [", "no valid YAML"),
        ("model: m\nmodel: n", "the key 'model' stands twice"),
        (
            "model: m\ncameras: [{name: gate, source: a.mp4}, {name: gate, source: b.mp4}]",
            "cameras[1].name: expected a name of its own; cameras[0] has 'gate' already",
        ),
        ("model: m\ncameras: [{name: a/b, source: a.mp4}]", "cameras[0].name: "),
        ("model: m\ncameras: [{name: g, source: a.mp4, scene: none.yaml}]", "expected a scene file, found none"),
        (
            "model: m\ncameras: [{name: g, source: a.mp4, scene: {lines: [{name: l, from: [1, 1], to: [1, 1]}]}}]",
            "cameras[0].scene: scene: lines[0]",
        ),
        ("model: m\ncameras: [{name: g, source: a.mp4, time_zone: Mars}]", "expected a time zone's IANA name"),
        ("model: m\ncameras: [{name: g, source: a.mp4, confidence: 2}]", "cameras[0].confidence: "),
        ("model: m\ncameras: [{name: g, source: a.mp4, economy: most}]", "'exact', 'default' or 'fast'"),
        (
            "model: m\ncameras: [{name: g, source: a.mp4, clip: {start: 2026-05-01 08:00:00}}]",
            "cameras[0].clip.start: expected a time with its offset from UTC",
        ),
        (
            "model: m\ncameras: [{name: g, source: 'rtsp://h/1', clip: {repeat: true}}]",
            "clip: expected a file as source, this one is live",
        ),
        (
            "model: m\ncameras: [{name: g, source: 'rtsp://u:${NOWHERE}@h/1'}]",
            "cameras[0].source: expected the environment to hold NOWHERE",
        ),
        ("model: m\nsinks: [{kind: email}]", "sinks[0]: "),
        ("model: m\nsinks: [{kind: json-lines, file: a}, {kind: json-lines, file: b}]", "sinks[1].name: "),
        (
            "model: m\nsinks: [{kind: json-lines, file: ~nobody-here/a}]",
            "sinks[0].json-lines.file: expected a path",
        ),
        (
            "model: m\ncameras: [{name: g, source: ~nobody-here/a.mp4}]",
            "source: expected a path, or one from the home",
        ),
        ("model: m\nstaleness: 0", "staleness: "),
        ("model: m\nweb: {port: 99999}", "web.port: "),
    ],
)
def test_what_makes_no_sense_is_told_with_file_and_key(
    write: Write, text: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    path = write(text)
    with pytest.raises(ConfigError) as told:
        read_config(path)
    assert str(told.value).startswith(f"{path}: ")
    assert reason in str(told.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found none; serving/cameras\.example\.yaml"):
        read_config(tmp_path / "cameras.yaml")


def test_no_password_is_shown(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "hunter2")
    config = read_config(
        write(
            "model: m\ncameras: [{name: g, source: 'rtsp://u:${PW}@h/1'}]\n"
            "sinks: [{kind: sql, url: 'postgresql://u:${PW}@h/d'}]"
        )
    )
    assert "hunter2" in config.cameras[0].source
    assert "hunter2" not in repr(config)
    for settings in (
        {"name": "g", "source": "rtsp://u:hunter2@h/1", "clip": {}},
        {"name": "g", "source": ["rtsp://u:hunter2@h/1"]},
        {"name": "g", "source": "x", "transport": "rtsp://u:hunter2@h/1"},
    ):
        with pytest.raises(ConfigError) as told:
            read_camera(settings, Path())
        assert "hunter2" not in str(told.value)

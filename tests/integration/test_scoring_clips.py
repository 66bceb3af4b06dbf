"""Clips through MLflow's own scoring application: counted, logged, held to limits, refused where damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import camera_counting
from tests.request_formats import text
from tests.scoring_questions import JPEG, PNG, ask, clip


def test_a_clip_is_counted(client: Any, tmp_path: Path, model_folder: Path) -> None:
    data = clip(tmp_path / "clip.mp4")
    scene = {"lines": [{"name": "gate", "from": [0, 150], "to": [320, 150]}]}
    body = {"inputs": {"video": [text(data)], "camera_id": ["gate-7"]}, "params": {"scene": json.dumps(scene)}}
    answer = ask(client, body)
    assert answer.status_code == 200, answer.text
    (row,) = answer.json()["predictions"]
    assert (row["kind"], row["frames"], row["camera_id"]) == ("video", 30, "gate-7")
    assert (row["lines"]["gate"]["in"], row["lines"]["gate"]["out"]) == (1, 0)
    assert (row["counts"]["person"], row["width"], row["height"]) == (1, 320, 240)
    assert row["seconds"] == pytest.approx(3.0, abs=0.11)


def test_a_clip_is_logged_and_its_events_can_be_streamed(
    client: Any, tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from camera_counting.scene import Scene

    data = clip(tmp_path / "clip.mp4")
    monkeypatch.setenv("CAMERA_COUNTING_PREDICTION_LOG", str(tmp_path / "log"))
    body = {"inputs": {"video": [text(data)], "camera_id": ["gate-7"], "timestamp": [1772366400]}}
    assert ask(client, body).status_code == 200
    (row,) = camera_counting.read_predictions(str(tmp_path / "log")).to_dict("records")
    assert (row["kind"], row["camera_id"], row["total"]) == ("video", "gate-7", 1)
    assert row["time"] == pd.Timestamp("2026-03-01T12:00:00Z")
    assert row["counts"] == {"person": 1, "car": 0}
    assert row["brightness"] == pytest.approx(113, abs=5)

    scene = Scene.from_dict({"lines": [{"name": "gate", "from": [0, 150], "to": [320, 150]}]})
    model = camera_counting.load_model(model_folder)
    events = list(model.stream(tmp_path / "clip.mp4", scene))
    assert [(event.kind, event.name, event.direction, event.class_name) for event in events] == [
        ("crossing", "gate", "in", "person")
    ]
    # its feet, at 70 + 5 pixels a frame, reach the line in frame 16; ten frames are a second
    assert events[0].seconds == pytest.approx(1.6, abs=0.4)


@pytest.mark.parametrize(
    ("name", "limit", "reason"),
    [
        ("CAMERA_COUNTING_MAX_CLIP_SECONDS", "1", "longer than the 1 seconds"),
        ("CAMERA_COUNTING_MAX_CLIP_MB", "0.001", "more than the 0.001 MB"),
    ],
)
def test_a_clip_has_limits(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: str, reason: str
) -> None:
    monkeypatch.setenv(name, limit)
    answer = ask(client, {"inputs": {"video": [text(clip(tmp_path / "clip.mp4"))]}})
    assert (answer.status_code, reason in answer.json()["message"]) == (400, True), answer.text


def test_frames_are_limited_whatever_their_rate(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMERA_COUNTING_MAX_CLIP_SECONDS", "1")
    answer = ask(client, {"inputs": {"video": [text(clip(tmp_path / "clip.mp4", frames=70, rate=100))]}})
    assert (answer.status_code, "more than the 60 frames" in answer.json()["message"]) == (400, True), answer.text
    assert ask(client, {"inputs": {"video": [text(clip(tmp_path / "clip.mp4", 59, 100))]}}).status_code == 200


def test_a_clip_of_one_frame_is_refused(client: Any, tmp_path: Path) -> None:
    answer = ask(client, {"inputs": {"video": [text(clip(tmp_path / "clip.mp4", frames=1))]}})
    assert (answer.status_code, "a single frame" in answer.json()["message"]) == (400, True), answer.text


def test_a_broken_clip_is_refused(client: Any, tmp_path: Path) -> None:
    data = clip(tmp_path / "clip.mp4")
    for broken in (PNG, JPEG, data[:200], data[:-300], data[: len(data) // 2], b"x" * 500):
        answer = ask(client, {"inputs": {"video": [text(broken)]}})
        assert answer.status_code == 400, answer.text
        assert answer.json()["message"].startswith("row 0: "), answer.text
        assert ".mp4" not in answer.text
        assert "camera-counting-" not in answer.text

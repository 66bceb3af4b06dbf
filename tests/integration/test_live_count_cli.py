"""`camera-counting count` on a live camera: for some seconds, until Ctrl-C, and where there is none."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from click.testing import CliRunner

import camera_counting
from camera_counting.cli import main
from camera_counting.detections import Detections
from camera_counting.detectors import Detector
from camera_counting.model import CountingModel

USER, PASSWORD = "ad@min", "p:w/x%"
LOGIN = "ad%40min:p%3Aw%2Fx%25@"


class Ball(Detector):
    """Detects the white ball of GStreamer's test picture."""

    names = ("person", "car")
    confidence = 0.25

    def detect(self, pictures, confidence=None):
        found = []
        for picture in pictures:
            bright = (picture > 200).all(axis=2)
            bright[:60] = False  # the time that is written there
            rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
            boxes = [[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]] if len(rows) else []
            found.append(Detections.of(boxes, [0.9] * len(boxes), [1] * len(boxes), self.names))
        return found


@pytest.fixture
def count(monkeypatch, tmp_path):
    """`camera-counting count`, in this process."""
    monkeypatch.setattr(camera_counting, "load_model", lambda uri: CountingModel(Ball()))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["count", *arguments, "--model", "m"])


def test_counting_for_some_seconds_from_the_command_line(own, count, tmp_path):
    server = own("--user", USER, "--password", PASSWORD)

    def lose() -> None:
        while not server.tell("clients")["clients"]:
            time.sleep(0.1)
        time.sleep(2.0)
        server.tell("drop")

    threading.Thread(target=lose, daemon=True).start()
    done = count(server.url(user=LOGIN), "--seconds", "7", "--json", "o.json")
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "o.json").read_text())
    assert told["source"] == f"rtsp://***@127.0.0.1:{server.port}/cam"
    assert told["classes"]["car"] >= 1
    assert told["frames"] > 20
    assert "warning: rtsp://***@127.0.0.1" in done.output
    assert "frames come again" in done.output
    assert "w%2Fx" not in done.output + (tmp_path / "o.json").read_text()


def test_intervals_of_a_live_camera_begin_now(camera, count, tmp_path):
    """The ball swings from one side to the other in five seconds."""
    kathmandu = ZoneInfo("Asia/Kathmandu")
    lines = [f"{{name: at {x}, from: [{x}, 1], to: [{x}, 0]}}" for x in (0.3, 0.5, 0.7)]
    (tmp_path / "scene.yaml").write_text(f"time_zone: {kathmandu}\nlines: [{', '.join(lines)}]\n")
    before = datetime.now(kathmandu)
    done = count(camera.url(), "--seconds", "7", "--interval", "1min", "--scene", "scene.yaml", "--json", "o.json")
    after = datetime.now(kathmandu)
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "o.json").read_text())
    assert told["intervals"]["time_zone"] == "Asia/Kathmandu"
    rows = told["intervals"]["rows"]
    crossed = sum(line["in"] + line["out"] for line in told["lines"].values())
    assert sum(row["in"] + row["out"] for row in rows) == crossed >= 1
    for row in rows:
        assert before.replace(second=0, microsecond=0) <= datetime.fromisoformat(row["start"]) <= after


def test_ctrl_c_ends_the_counting_and_prints_the_counts(camera, count):
    def interrupt() -> None:
        time.sleep(3.0)
        os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    threading.Thread(target=interrupt, daemon=True).start()
    done = count(camera.url())
    assert done.exit_code == 0, done.output
    assert re.search(r"objects seen: \d+ car", done.output)
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize(
    ("path", "arguments", "reason"),
    [
        ("/nothing", [], "no stream under /nothing"),
        ("/cam", ["--fps", "5"], "--fps is the rate of a folder of pictures; rtsp://***@"),
    ],
)
def test_a_camera_that_cannot_be_opened_ends_the_command_with_a_sentence(camera, count, path, arguments, reason):
    done = count(camera.url(path, user="admin:secret@"), *arguments)
    assert done.exit_code == 2
    assert reason in done.output
    assert "secret" not in done.output
    assert "Traceback" not in done.output

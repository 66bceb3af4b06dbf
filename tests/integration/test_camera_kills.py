"""Kill -9 at random moments: nothing is lost, nothing is told twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from camera_counting import read_predictions
from serving.camera.config import read_config
from serving.camera.worker import Worker
from tests.street import SCENE, save_toy, write_config, write_street

ROUNDS = 6
_STARTER = multiprocessing.get_context("forkserver")


def count_until_ended(config: str) -> int:
    """What the killed process does; gives how many frames needed no detection."""
    worker = Worker(read_config(config))
    worker.start()
    while any(camera.state != "ended" for camera in worker.status().cameras):
        time.sleep(0.02)
    rested = worker.status().cameras[0].rested
    worker.stop()
    return rested


def told(folder: Path) -> dict[str, Any]:
    """All that sinks and state say at the end, but for the ids, which are of this state folder alone."""
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    ids = [line.pop("id") for line in lines]
    assert len(set(ids)) == len(ids)
    with sqlite3.connect(folder / "events.db") as database:
        database.row_factory = sqlite3.Row
        rows = [dict(row) for row in database.execute("SELECT * FROM camera_events ORDER BY time, id")]
    assert sorted(row.pop("id") for row in rows) == sorted(ids)
    samples = read_predictions(str(folder / "predictions"))
    assert samples["id"].is_unique
    samples = samples.drop(columns=["id", "latency_ms"])
    return {
        "lines": lines,
        "rows": sorted(json.dumps(row, sort_keys=True, default=str) for row in rows),
        "samples": samples.to_json(orient="records", date_format="iso"),
    }


def settings(folder: Path, shared: Path, economy: str) -> Path:
    return write_config(
        folder / "cameras.yaml",
        model=str(shared / "model"),
        cameras=[
            {
                "name": "street",
                "source": str(shared / "street.mp4"),
                "scene": SCENE,
                "economy": economy,
                "clip": {"start": "2026-05-01T21:59:54+00:00"},
                "time_zone": "Europe/Berlin",
            }
        ],
        sinks=[
            {"kind": "json-lines", "file": "events.jsonl"},
            {"kind": "sql", "url": f"sqlite:///{folder}/events.db"},
        ],
        samples={"log": "predictions", "every": 2},
    )


@pytest.mark.slow
def test_killed_at_random_it_tells_what_it_would_have_told(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    save_toy(shared / "model")
    # so many frames per second that some need no detection: the same ones must be left out after a kill
    write_street(shared / "street.mp4", ROUNDS, fps=30)
    whole = settings(tmp_path / "whole", shared, "default")
    began = time.monotonic()
    assert count_until_ended(str(whole)) > 50
    elapsed = time.monotonic() - began
    expected = told(whole.parent)
    crossings = [line for line in expected["lines"] if line["kind"] == "crossing"]
    # the truth of the street, counted by hand
    assert sorted((c["direction"], c["class_name"]) for c in crossings) == (
        [("in", "person")] * ROUNDS + [("out", "car")] * ROUNDS
    )

    _STARTER.set_forkserver_preload(["serving.camera.worker", "tests.integration.test_camera_kills"])
    killed = settings(tmp_path / "killed", shared, "default")
    kills, moments = 0, random.Random(os.environ.get("CAMERA_COUNTING_KILLS"))  # noqa: S311
    while True:
        process = _STARTER.Process(target=count_until_ended, args=(str(killed),))
        process.start()
        process.join(None if kills >= 4 else moments.uniform(0.1, 0.4 * elapsed))
        if process.exitcode is None:
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            kills += 1
            continue
        assert process.exitcode == 0
        break
    assert kills >= 1
    assert told(killed.parent) == expected
    worker = Worker(read_config(killed))
    try:
        # 22:00 UTC is midnight in Berlin: today has what came after it
        after = [c for c in crossings if c["time"] >= "2026-05-01T22:00:00"]
        assert 0 < len(after) < len(crossings)
        worker.start()
        (street,) = (worker.status().cameras,)
        deadline = time.monotonic() + 10
        while street[0].state != "ended" and time.monotonic() < deadline:
            time.sleep(0.05)
            street = worker.status().cameras
        today = street[0].today["lines"]["middle"]
        assert today["in"] + today["out"] == len(after)
    finally:
        worker.stop()

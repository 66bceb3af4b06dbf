"""Sinks that are really away for more than a minute: counting goes on, and everything arrives once afterwards."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from serving.camera.config import read_config
from serving.camera.sinks import Delivery
from serving.camera.status import SinkStatus
from serving.camera.worker import Worker
from tests.postgres import Postgres, postgres
from tests.street import SCENE, save_toy, write_config, write_street
from tests.webhook_receiver import Receiver

pytestmark = pytest.mark.slow

AWAY = 62.0  # seconds


@pytest.fixture
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


def until(condition: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.2)


def written(folder: Path) -> list[str]:
    """The ids in the sink that is never away."""
    path = folder / "events.jsonl"
    return [json.loads(line)["id"] for line in path.read_text().splitlines()] if path.exists() else []


def test_a_minute_without_receiver_and_database(
    tmp_path: Path, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as it is, but that it comes back within seconds of theirs rather than within a minute
    monkeypatch.setattr("serving.camera.worker.Delivery", partial(Delivery, backoff=(0.5, 4.0)))
    save_toy(tmp_path / "model")
    write_street(tmp_path / "street.mp4", 1)
    receiver = Receiver()
    config = write_config(
        tmp_path / "cameras.yaml",
        model=str(tmp_path / "model"),
        cameras=[
            {
                "name": "street",
                "source": "street.mp4",
                "scene": SCENE,
                "clip": {"pace": "real-time", "repeat": True},
            }
        ],
        sinks=[
            {"kind": "json-lines", "file": "events.jsonl"},
            {"kind": "webhook", "url": receiver.url},
            {"kind": "sql", "url": server.url},
        ],
    )
    worker = Worker(read_config(config), tmp_path)

    def sinks() -> dict[str, SinkStatus]:
        return {sink.name: sink for sink in worker.status().sinks}

    def crossed() -> int:
        (camera,) = worker.status().cameras
        return sum(camera.today.get("lines", {}).get("middle", {}).values())

    worker.start()
    try:
        until(lambda: len(written(tmp_path)) >= 3 and len(receiver.taken()) >= 3, 60)
        receiver.stop()
        server.stop()
        away = time.monotonic()
        with socket.socket() as held:  # nobody else is to listen at this port meanwhile
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", receiver.port))
            seen = [crossed()]
            while time.monotonic() - away < AWAY:
                time.sleep(AWAY / 4)
                seen.append(crossed())
            assert seen == sorted(set(seen)), "it went on counting all the while"
            told = sinks()
            for name in ("webhook", "sql"):
                assert not told[name].up
                assert told[name].waiting >= 10
                assert told[name].lost == 0
            assert "cannot be reached" in told["webhook"].error
            assert told["json-lines"].up
        # in between a worker may be restarted, too: what waits, waits on the disk
        worker.stop()
        worker = Worker(read_config(config), tmp_path)
        worker.start()
        before = receiver.taken()
        receiver = Receiver(receiver.port)
        server.start()
        until(lambda: all(sink.up and not sink.waiting for sink in sinks().values()), 60)
    finally:
        worker.stop()
    expected = written(tmp_path)
    assert len(expected) == len(set(expected)) >= 20
    assert [told["id"] for told in before + receiver.taken()] == expected
    engine = sa.create_engine(server.url)
    with engine.connect() as connection:
        rows = list(connection.scalars(sa.text("SELECT id FROM camera_events")))
    engine.dispose()
    assert sorted(rows) == sorted(expected)
    receiver.stop()

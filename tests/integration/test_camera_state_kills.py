"""`kill -9` at any moment: every record that was counted is in every sink, once."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from camera_counting.prediction_log import EVENT_KINDS, read_predictions
from serving.camera.state import StateStore
from tests.camera_records import NOON, record
from tests.dying_worker import SINKS, work
from tests.postgres import Postgres, postgres

# A process that has imported everything, from which each one that is to die is forked at once.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.dying_worker", "pandas", "pyarrow.parquet", "sqlalchemy.dialects.sqlite"])


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


def killed_until_done(folder: Path, url: str, number: int, seed: int, *, least: int) -> int:
    """Let workers count up to the number, and kill them at random; gives how many were killed."""
    chance, killed = random.Random(seed), 0  # noqa: S311
    end = time.monotonic() + 240
    while True:
        assert time.monotonic() < end
        # by the parent at any moment, or by itself at the worst ones
        by_itself = killed % 2 == 1
        risk = 0.15 if by_itself and killed < least else 0.0
        worker = _FORKS.Process(target=work, args=(folder, url, number, seed + killed, risk))
        worker.start()
        worker.join(None if killed >= least or by_itself else 0.02 + 0.6 * chance.random())
        if worker.is_alive():
            worker.kill()
            worker.join()
        if worker.exitcode == 0:
            return killed
        assert worker.exitcode == -9, worker.exitcode
        killed += 1


def assert_each_once(folder: Path, url: str, number: int) -> None:
    store = StateStore(folder / "state", sinks=SINKS)
    assert store.today("gate", "UTC", NOON)["lines"] == {"entrance": {"in": number, "out": 0}}
    assert [(store.backlog(name), store.taken(name), store.lost(name)) for name in SINKS] == [(0, number, 0)] * 3
    expected = [record(n, epoch=store.epoch).id for n in range(number)]
    assert [json.loads(line)["id"] for line in (folder / "events.jsonl").read_text().splitlines()] == expected
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        assert list(connection.scalars(sa.text("SELECT id FROM camera_events ORDER BY frame"))) == expected
    engine.dispose()
    # as the reader tells it, and as somebody sees it who reads the files by themselves
    assert read_predictions(str(folder / "log"), kinds=EVENT_KINDS)["id"].tolist() == expected
    files = sorted((folder / "log").rglob("*.parquet"))
    ids = [id_ for file in files for id_ in pq.ParquetFile(file).read(["id"])["id"].to_pylist()]
    assert sorted(ids) == sorted(expected)
    assert len(read_predictions(str(folder / "log"))) == 0  # no counts of pictures among them
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_or_repeated(tmp_path: Path, seed: int) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    assert killed_until_done(tmp_path, url, 250, 100 * seed, least=12) >= 6
    assert_each_once(tmp_path, url, 250)


@pytest.mark.slow
def test_nothing_is_lost_or_repeated_in_postgresql(tmp_path: Path, server: Postgres) -> None:
    assert killed_until_done(tmp_path, server.url, 200, 1000, least=8) >= 4
    assert_each_once(tmp_path, server.url, 200)

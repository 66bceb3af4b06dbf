"""What waits for the sinks in the worker's state: batches, bounds, and sinks that come and go."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from serving.camera.state import StateStore
from tests.camera_records import NOON, checkpoint, numbers, record


def test_a_sink_gets_the_same_batch_until_it_has_taken_it(tmp_path: Path) -> None:
    store = StateStore(tmp_path, sinks=["file"])
    assert store.batch("file", 2) is None
    store.commit("gate", checkpoint(), [record(n) for n in range(3)])
    first = store.batch("file", 2)
    store.close()
    again = StateStore(tmp_path, sinks=["file"])
    again.commit("gate", checkpoint(), [record(3)])
    assert first is not None
    assert again.batch("file", 100) == first
    assert [r.track for r in first.records] == [0, 1]
    assert again.backlog("file") == 4
    again.delivered("file", first.up_to)
    assert (again.backlog("file"), again.taken("file"), numbers(again, "file")) == (2, 2, [2, 3])
    second = again.batch("file", 100)
    assert second is not None
    assert second.name != first.name
    assert [r.track for r in second.records] == [2, 3]
    again.close()


def test_the_oldest_are_given_up_where_too_many_wait(tmp_path: Path) -> None:
    store = StateStore(tmp_path, sinks=["slow", "down", "quick"], max_waiting=5)
    for n in range(4):
        store.commit("gate", checkpoint(n), [record(n)])
    store.delivered("quick", store.waiting("quick", 4)[-1][0])
    batch = store.batch("slow", 2)
    store.commit("gate", checkpoint(12), [record(n) for n in range(4, 12)])
    # what is under way to a sink is not given up: nobody knows whether it is there already
    assert numbers(store, "slow") == [0, 1, 9, 10, 11]
    assert numbers(store, "down") == [7, 8, 9, 10, 11]
    assert numbers(store, "quick") == [7, 8, 9, 10, 11]
    assert [store.lost(name) for name in ("slow", "down", "quick")] == [7, 7, 3]
    assert store.today("gate", "UTC", NOON)["lines"] == {"entrance": {"in": 12, "out": 0}}
    store.close()
    again = StateStore(tmp_path, sinks=["slow", "down", "quick"], max_waiting=5)
    assert again.batch("slow", 100) == batch
    assert batch is not None
    again.delivered("slow", batch.up_to)
    assert (numbers(again, "slow"), again.lost("slow"), again.taken("slow")) == ([9, 10, 11], 7, 2)
    again.close()


def test_sinks_come_and_go(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = StateStore(tmp_path, sinks=["file"])
    store.commit("gate", checkpoint(1), [record(1)])
    store.close()
    store = StateStore(tmp_path, sinks=["new"])
    assert (
        "1 records wait for the sink file, which is no longer configured: they are kept for a week" in caplog.text
    )
    assert numbers(store, "new") == []  # it begins with what comes next
    store.commit("gate", checkpoint(2), [record(2)])
    store.close()
    store = StateStore(tmp_path, sinks=["file", "new"])
    assert (numbers(store, "file"), numbers(store, "new")) == ([1, 2], [2])
    store.close()
    with sqlite3.connect(tmp_path / "state.db") as database:
        database.execute("UPDATE sinks SET absent_since = 1000 WHERE name = 'file'")
    database.close()
    StateStore(tmp_path, sinks=["new"]).close()
    assert "the sink file was not configured for a week: 2 records for it are dropped" in caplog.text
    store = StateStore(tmp_path, sinks=["file", "new"])
    assert (numbers(store, "file"), numbers(store, "new")) == ([], [2])
    store.close()


def test_the_file_does_not_grow_with_what_was_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.camera.state.outbox._KEPT_RECORDS", 300)  # in place of 20,000
    monkeypatch.setattr("serving.camera.state.outbox._PRUNED_AT_ONCE", 40)
    store = StateStore(tmp_path, sinks=["quick", "slow"])

    def kept() -> tuple[int, int]:
        with sqlite3.connect(tmp_path / "state.db") as database:
            lowest, number = database.execute("SELECT min(number), count(*) FROM records").fetchone()
        database.close()
        return lowest, number

    def commit(rounds: range) -> None:
        for n in rounds:
            store.commit("gate", checkpoint(n), [record(100 * n + m) for m in range(100)])
            store.delivered("quick", 100 * (n + 1))

    commit(range(8))
    assert kept() == (1, 800)  # for the slow one
    assert numbers(store, "slow") == list(range(800))
    store.delivered("slow", 750)
    commit(range(8, 20))
    assert kept()[0] == 751
    assert numbers(store, "slow")[:2] == [750, 751]
    store.delivered("slow", 2_000)
    commit(range(20, 40))
    store.delivered("slow", 4_000)
    commit(range(40, 60))
    assert 2_000 <= kept()[1] <= 2_100  # what waits for the slow one
    store.delivered("slow", 6_000)
    commit(range(60, 75))
    assert kept()[1] <= 1_600
    store.commit("gate", checkpoint(75), [record(7_499)])  # known by its id still
    assert store.backlog("quick") == 0
    store.close()

"""A worker of one camera that is killed: it counts on from its state, and brings records to three sinks."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from serving.camera.records import CountRecord
from serving.camera.sinks import Delivery, JsonLinesSink, Sink
from serving.camera.sinks.prediction_log import PredictionLogSink
from serving.camera.sinks.sql import SqlSink
from serving.camera.state import StateStore
from tests.camera_records import checkpoint, record

SINKS = ("file", "database", "log")


class Deadly(Sink):
    """Brings records to another sink, and kills its process now and then at the worst moments."""

    def __init__(self, sink: Sink, chance: random.Random, risk: float) -> None:
        super().__init__(sink.name)
        self.sink, self._chance, self._risk = sink, chance, risk
        self.batch_size, self.linger = chance.randint(1, 12), 0.0

    def deliver(self, records: Sequence[CountRecord], batch: str) -> None:
        if self._chance.random() < self._risk:  # some of it is there, and nobody knows
            self.sink.deliver(records[: self._chance.randint(0, len(records))], batch)
            os.kill(os.getpid(), signal.SIGKILL)
        self.sink.deliver(records, batch)
        if self._chance.random() < self._risk:  # it is there, and not acknowledged
            os.kill(os.getpid(), signal.SIGKILL)


def work(folder: Path, url: str, number: int, seed: int, risk: float) -> None:
    """Count from where the state stands up to this number of events; ends when all sinks have them."""
    chance = random.Random(seed)  # noqa: S311
    store = StateStore(folder / "state", sinks=SINKS)
    sinks = (
        JsonLinesSink("file", folder / "events.jsonl"),
        SqlSink("database", url),
        PredictionLogSink("log", str(folder / "log"), seconds=0.0),
    )
    deliveries = [Delivery(store, Deadly(sink, chance, risk), backoff=(0.01, 0.1)) for sink in sinks]
    known = store.load("gate")
    done = 0 if known is None else known.sequence
    while done < number:
        last = min(number, done + chance.randint(0, 4))
        store.commit("gate", checkpoint(last), [record(n, epoch=store.epoch) for n in range(done, last)])
        done = last
        time.sleep(chance.random() * 0.01)
    while any(map(store.backlog, SINKS)):
        time.sleep(0.01)
    for delivery in deliveries:
        delivery.close()
    store.close()

"""Webhooks: sent until a real server has taken them, signed, and nowhere else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import socket
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from serving.camera.sinks import Delivery
from serving.camera.sinks.refusals import Refusals
from serving.camera.sinks.webhook import WebhookSink
from serving.camera.state import StateStore
from serving.errors import SinkError
from tests.camera_records import checkpoint, record
from tests.webhook_receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


def test_a_message_holds_the_records_and_is_signed(receiver: Receiver) -> None:
    key = b"0123456789abcdef01234567"
    sink = WebhookSink("hook", receiver.url, secret="whsec_" + base64.b64encode(key).decode())
    before = int(time.time())
    sink.deliver([record(1, name="Süd"), record(2)], "batch-7")
    ((headers,), (body,)) = receiver.seen, receiver.bodies
    assert json.loads(body) == {
        "batch": "batch-7",
        "records": [record(1, name="Süd").to_dict(), record(2).to_dict()],
    }
    assert headers["webhook-id"] == "batch-7"
    assert before <= int(headers["webhook-timestamp"]) <= time.time()
    signed = f"batch-7.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    sink.close()


def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    WebhookSink("hook", receiver.url).deliver([record(1)], "b")
    assert "webhook-signature" not in receiver.seen[0]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_2xx_is_taken(receiver: Receiver, status: int) -> None:
    receiver.status = status
    WebhookSink("hook", receiver.url).deliver([record(1)], "b")


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(400, True), (401, True), (404, True), (410, True), (408, False), (429, False), (500, False), (503, False)],
)
def test_other_answers_are_not(receiver: Receiver, status: int, permanent: bool) -> None:
    receiver.status = status
    with pytest.raises(SinkError, match=f"expected an answer of 2xx, got {status}") as told:
        WebhookSink("hook", receiver.url).deliver([record(1)], "b")
    assert told.value.permanent is permanent
    assert "t0ken" not in str(told.value)
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize("value", ["7", None])
def test_retry_after(receiver: Receiver, value: str | None) -> None:
    receiver.status = 503
    receiver.headers = {"Retry-After": value or formatdate(time.time() + 7, usegmt=True)}
    with pytest.raises(SinkError) as told:
        WebhookSink("hook", receiver.url).deliver([record(1)], "b")
    assert told.value.retry_after is not None
    assert 4 <= told.value.retry_after <= 7


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    elsewhere = Receiver()
    receiver.status, receiver.headers = 307, {"Location": elsewhere.url}
    with pytest.raises(SinkError, match="redirects are not followed, write the address that it names into url"):
        WebhookSink("hook", receiver.url).deliver([record(1)], "b")
    assert elsewhere.seen == []
    elsewhere.stop()


def test_a_server_that_hangs(receiver: Receiver) -> None:
    receiver.hang = 1.0
    with pytest.raises(SinkError, match=r"127\.0\.0\.1:\d+: no answer within 0.2 s"):
        WebhookSink("hook", receiver.url, timeout=0.2).deliver([record(1)], "b")


def test_nobody_is_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/t0ken"
        with pytest.raises(SinkError, match="it cannot be reached, or broke off") as told:
            WebhookSink("hook", url).deliver([record(1)], "b")
    assert "t0ken" not in str(told.value)


def test_what_is_too_large_is_sent_in_halves(receiver: Receiver) -> None:
    receiver.largest = 1_000
    WebhookSink("hook", receiver.url).deliver([record(n) for n in range(8)], "b")
    assert [told["track"] for told in receiver.taken()] == list(range(8))
    ids = [headers["webhook-id"] for headers, body in zip(receiver.seen, receiver.bodies, strict=True) if body]
    assert len(set(ids)) == len(ids)
    receiver.largest = 10
    with pytest.raises(SinkError, match="got 413"):  # one record alone
        WebhookSink("hook", receiver.url).deliver([record(1)], "b")


def test_a_receiver_that_fails_restarts_and_comes_back_gets_everything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = StateStore(tmp_path, sinks=["hook"])
    receiver = Receiver()
    sink = WebhookSink("hook", receiver.url, timeout=0.5)
    delivery = Delivery(store, sink, backoff=(0.02, 0.1))

    def commit(*numbers: int) -> None:
        store.commit("gate", checkpoint(), [record(n) for n in numbers])

    def until_taken(last: int) -> None:
        end = time.monotonic() + 20
        while store.backlog("hook"):
            assert time.monotonic() < end
            time.sleep(0.01)
        assert [told["track"] for told in bodies.taken()][-1] == last

    bodies = receiver
    commit(0, 1)
    until_taken(1)
    receiver.status = 500
    commit(2)
    time.sleep(0.2)
    receiver.stop()
    commit(3)
    time.sleep(0.2)
    first = receiver.taken()
    again = bodies = Receiver(receiver.port)
    until_taken(3)
    again.hang = 1.0  # it takes them, and answers too late: they come twice, under the same ids
    commit(4)
    time.sleep(0.7)
    again.hang = 0.0
    until_taken(4)
    tracks = [told["track"] for told in first + again.taken()]
    assert list(dict.fromkeys(tracks)) == [0, 1, 2, 3, 4]
    twice = [told["id"] for told in again.taken() if told["track"] == 4]
    assert len(twice) >= 1
    assert set(twice) == {record(4).id}
    assert delivery.close()
    store.close()
    again.stop()
    told = caplog.text + "".join(r.getMessage() for r in caplog.records if r.levelno >= logging.INFO)
    assert "t0ken" not in told
    assert "s3cret" not in told


class Waiting:
    """A webhook with its delivery, over a state of its own."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        self.folder, self.receiver, self.last = folder, receiver, 0
        self.store = StateStore(folder, sinks=["hook"])
        self.delivery: Delivery | None = None

    def commit(self, *numbers: int) -> None:
        self.store.commit("gate", checkpoint(), [record(n) for n in numbers])

    def begin(self) -> None:
        self.delivery = Delivery(self.store, WebhookSink("hook", self.receiver.url), backoff=(0.02, 0.05))

    def until_nothing_waits(self) -> None:
        end = time.monotonic() + 20
        while self.store.backlog("hook"):
            assert time.monotonic() < end, self.delivery and self.delivery.status()
            time.sleep(0.01)

    def set_aside(self) -> list[dict[str, Any]]:
        path = self.folder / "refused-hook.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def close(self) -> None:
        if self.delivery is not None:
            self.delivery.close()
        self.store.close()


@pytest.fixture
def waiting(tmp_path: Path, receiver: Receiver) -> Iterator[Waiting]:
    waiting = Waiting(tmp_path / "state", receiver)
    yield waiting
    waiting.close()


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_one_record_that_is_refused_holds_up_no_other(waiting: Waiting, receiver: Receiver, status: int) -> None:
    receiver.refused, receiver.refusal = {3, 70}, status
    waiting.commit(*range(120))
    waiting.begin()
    waiting.until_nothing_waits()
    assert {told["track"] for told in receiver.taken()} == set(range(120)) - {3, 70}
    told = waiting.set_aside()
    assert [one["id"] for one in told] == [record(3).id, record(70).id]
    assert f"got {status}" in told[0]["refused"]
    assert {key: told[0][key] for key in record(3).to_dict()} == record(3).to_dict()
    assert waiting.delivery is not None
    status_now = waiting.delivery.status()
    assert (status_now.up, status_now.refused, status_now.lost, status_now.waiting) == (True, 2, 0, 0)
    # what was set aside is still known after a restart
    waiting.close()
    waiting.store = StateStore(waiting.folder, sinks=["hook"])
    waiting.begin()
    assert waiting.delivery.status().refused == 2


def test_a_record_alone_in_its_batch_is_set_aside_once_a_later_one_is_taken(
    waiting: Waiting, receiver: Receiver
) -> None:
    receiver.refused = {1}
    waiting.commit(1)
    waiting.begin()
    time.sleep(0.3)
    assert waiting.store.backlog("hook") == 1  # nothing tells yet whether it is the record or the receiver
    assert waiting.set_aside() == []
    waiting.commit(2)
    waiting.until_nothing_waits()
    assert [one["track"] for one in waiting.set_aside()] == [1]
    assert {told["track"] for told in receiver.taken()} == {2}


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_where_everything_is_refused_nothing_is_set_aside(
    waiting: Waiting, receiver: Receiver, status: int
) -> None:
    receiver.status = status
    waiting.commit(*range(150))
    waiting.begin()
    time.sleep(0.4)
    assert waiting.delivery is not None
    assert not waiting.delivery.status().up
    assert waiting.store.backlog("hook") == 150
    # an address that is wrong is not hammered: a few tries a time, not one for each record
    assert len(receiver.seen) < 150
    receiver.status = 204
    waiting.until_nothing_waits()
    assert {told["track"] for told in receiver.taken()} == set(range(150))
    assert waiting.set_aside() == []


def test_what_was_set_aside_before_a_kill_is_set_aside_once(waiting: Waiting, receiver: Receiver) -> None:
    receiver.refused = {1}
    waiting.commit(0, 1, 2)
    batch = waiting.store.batch("hook", 100)
    assert batch is not None
    sink = WebhookSink("hook", receiver.url)
    for _ in range(2):  # the second time is that of the next worker: nobody had written down that it was done
        refusals = Refusals(sink, waiting.folder)
        with pytest.raises(SinkError) as told:
            sink.deliver(batch.records, batch.name)
        refusals.sift(batch, None, told.value)
    assert [one["track"] for one in waiting.set_aside()] == [1]
    assert refusals.number == 1


def test_a_file_of_refused_records_does_not_grow_without_end(waiting: Waiting, receiver: Receiver) -> None:
    sink = WebhookSink("hook", receiver.url)
    refusals = Refusals(sink, waiting.folder, largest=100)
    receiver.refused = {1, 3}
    for first in (0, 2):
        waiting.commit(first, first + 1)
        batch = waiting.store.batch("hook", 2)
        assert batch is not None
        with pytest.raises(SinkError, match="422") as told:
            sink.deliver(batch.records, batch.name)
        if first == 0:
            refusals.sift(batch, None, told.value)
            waiting.store.delivered("hook", batch.up_to)
        else:
            with pytest.raises(SinkError, match=r"refused-hook\.jsonl holds all .* move the file away"):
                refusals.sift(batch, None, told.value)
    assert [one["track"] for one in waiting.set_aside()] == [1]


@pytest.mark.parametrize(
    ("url", "secret", "reason"),
    [
        ("ftp://host/s3cret", None, "url: expected one that begins with https:// or http://"),
        ("host/s3cret", None, "url: expected one that begins with"),
        ("https://host:s3cret/", None, "url: expected one that begins with"),
        ("https://host/", "", "secret: expected a text, got an empty one"),
        ("https://host/", "whsec_", "secret: expected a text, got an empty one"),
        ("https://host/", "whsec_s3cret", "secret: expected base64 after whsec_"),
    ],
)
def test_settings_that_make_no_sense(url: str, secret: str | None, reason: str) -> None:
    with pytest.raises(SinkError, match=f"sink hook: {reason}") as told:
        WebhookSink("hook", url, secret=secret)
    assert "s3cret" not in str(told.value)

"""A receiver that answers byte by byte for ever holds up no notifications but its own, and those not for long."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from notify_scene import PROMOTION, RITA, Hook, Inbox, send, waiting, write
from sqlalchemy import Engine

from model_governance.governed.audit import Entry
from model_governance.governed.notify.sender import start_sender

GLASS = Entry(RITA, "break glass", model="counter", version="4", comment="nobody can approve at night")
GREETINGS = {
    "http": b"HTTP/1.1 ",
    "smtp": b"220-",
    "https": b"\x16\x03\x03\x3f\xff",  # a record of TLS that never ends
    "smtps": b"\x16\x03\x03\x3f\xff",
}


class Drip:
    """A server that says how it begins at once, and then a byte now and then until it is left."""

    def __init__(self) -> None:
        self.greeting, self.left = b"", threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._drip, args=(caller,), daemon=True).start()

    def _drip(self, caller: socket.socket) -> None:
        try:
            with caller:
                caller.sendall(self.greeting)
                while True:
                    caller.sendall(b"a")
                    time.sleep(0.1)
        except OSError:
            self.left.set()

    def stop(self) -> None:
        self._socket.close()


@pytest.fixture
def drip() -> Iterator[Drip]:
    made = Drip()
    yield made
    made.stop()


def dripping(drip: Drip, scheme: str) -> dict[str, Any]:
    """Settings of the channel "reviewers" that lead to it."""
    drip.greeting = GREETINGS[scheme]
    url = f"{scheme}://127.0.0.1:{drip.port}"
    if scheme.startswith("http"):
        return {"mail": None, "webhook": {"url": url, "secret_env": "CHAT_SECRET"}}
    return {"mail": {"server": url, "sender": "mlflow@example.org", "to": ["rita@example.org"]}}


@pytest.mark.parametrize("scheme", ["http", "smtp"])
def test_others_are_told_while_one_receiver_drips(
    engine: Engine, hook: Hook, drip: Drip, configure: Callable[..., Path], scheme: str
) -> None:
    configure(mail=dripping(drip, scheme), every_s=0.1)
    stop = threading.Event()
    write(engine, PROMOTION)
    thread = start_sender(engine, stop)
    assert thread is not None
    assert hook.asked.wait(20), "nobody was told of the promotion"
    hook.asked.clear()
    write(engine, GLASS)
    assert hook.asked.wait(20), "nobody was told of the broken glass"
    assert [told["event"] for told in hook.told()] == ["promoted", "broke_glass"]
    assert not drip.left.is_set(), "the receiver that drips was still being waited for"
    stop.set()


@pytest.mark.parametrize("scheme", list(GREETINGS))
def test_a_delivery_ends_as_a_whole_before_somebody_else_takes_the_message(
    engine: Engine, hook: Hook, drip: Drip, configure: Callable[..., Path], scheme: str
) -> None:
    settings = configure(mail=dripping(drip, scheme), lease_s=2)
    write(engine, PROMOTION, GLASS)
    delivered, (trouble,) = send(engine, settings)
    assert delivered == 2, "both to the receiver that answers"
    assert "longer than 1 s" in trouble
    assert drip.left.wait(20)
    assert waiting(engine) == ["reviewers", "reviewers"], "nothing is lost"


def test_an_alarm_goes_before_whatever_waits_longer(
    engine: Engine, hook: Hook, inbox: Inbox, configure: Callable[..., Path]
) -> None:
    settings = configure()
    write(engine, PROMOTION, PROMOTION, GLASS, PROMOTION)
    send(engine, settings)
    assert [told["seq"] for told in hook.told()] == [3, 1, 2, 4]
    assert inbox.mails[0]["Subject"] == "[governance] counter version 4: GLASS BROKEN (rita)"


def test_an_alarm_does_not_wait_for_all_that_were_there_before_it(
    engine: Engine, hook: Hook, inbox: Inbox, configure: Callable[..., Path]
) -> None:
    settings = configure(mail={"events": ["broke_glass"]})
    write(engine, *[PROMOTION] * 12)
    hook.hang = 0.2  # a slow receiver, and a long queue before it
    sending = threading.Thread(target=send, args=(engine, settings))
    sending.start()
    assert hook.asked.wait(20)
    write(engine, GLASS)
    sending.join(60)
    order = [told["event"] for told in hook.told()]
    assert len(order) == 13
    assert order[-1] == "promoted", "the alarm overtook those that waited"

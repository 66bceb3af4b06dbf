"""Empties the outbox: takes a message, delivers it, notes it; what fails is tried again, later and later."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from model_governance.governed.notify import outbox
from model_governance.governed.notify.channels import Carrier, CarryError
from model_governance.governed.notify.mail import MailCarrier
from model_governance.governed.notify.outbox import Waiting
from model_governance.governed.notify.settings import Channel, Notify, current_notify
from model_governance.governed.notify.webhook import WebhookCarrier

__all__ = ["Sender", "Sent", "carrier", "start_sender"]

_logger = logging.getLogger(__name__)
_DAY_MS = 24 * 3600 * 1000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 10.0, 3600.0
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Sent:
    """What one look into the outbox came to: messages delivered, and sentences of those that were not."""

    delivered: int = 0
    troubles: tuple[str, ...] = ()


def carrier(channel: Channel) -> Carrier:
    """What carries messages on a channel; `CarryError` where its variables are not set."""
    if channel.mail is not None:
        return MailCarrier(channel.mail)
    if channel.webhook is not None:
        return WebhookCarrier(channel.webhook)
    raise CarryError(f"channel {channel.name} has neither mail nor webhook")


@dataclass
class Sender:
    """Delivers what waits, each message at least once, however many senders there are.

    A message is taken for a while before it is sent (`Notify.lease_s`): a sender that is killed leaves it taken,
    and when the while is over another one sends it, under the same id.

    Attributes
    ----------
    engine : Engine
        Of the registry's database.
    """

    engine: Engine
    notify: Notify
    _forgot: float = field(default=0.0, init=False)

    def send_due(self) -> Sent:
        """Deliver everything that is due, and remove what was delivered long ago."""
        delivered, troubles, down = 0, list[str](), frozenset[str]()
        while True:
            with self._connected() as connection:
                waiting = outbox.due(connection, _now(), down, _AT_ONCE)
            for message in waiting:
                if message.channel in down:
                    continue
                try:
                    delivered += self._send(message)
                except CarryError as error:
                    troubles.append(f"{message.channel}, message {message.message.id}: {error}")
                    if error.unreachable:
                        down |= {message.channel}
            if not waiting:
                break
        self._forget()
        return Sent(delivered, tuple(troubles))

    def run(self, over: threading.Event) -> None:
        """Send until then, through every outage of the database and of whoever is told."""
        while not over.wait(self.notify.every_s):
            try:
                for trouble in self.send_due().troubles:
                    _logger.warning("a notification waits: %s", trouble)
            except SQLAlchemyError as error:  # the messages are in the database, and wait with it
                _logger.warning("the outbox cannot be read: %s", type(error).__name__)
            except Exception:
                _logger.exception("a notification could not be sent")

    def _send(self, waiting: Waiting) -> bool:
        """Whether it was delivered; False where somebody else is at it."""
        with self._connected() as connection:
            if not outbox.claim(connection, waiting, _now() + round(self.notify.lease_s * 1000)):
                return False
        channel = next((each for each in self.notify.channels if each.name == waiting.channel), None)
        try:
            if channel is None:
                raise CarryError("the settings have no channel of this name any more")
            carrier(channel).carry(waiting.message, frozenset(waiting.had))
        except CarryError as error:
            self._note(waiting, error)
            raise
        except Exception as error:
            self._note(waiting, CarryError(f"{type(error).__name__}"))
            raise
        with self._connected() as connection:
            outbox.settle(connection, waiting, _now())
        return True

    def _note(self, waiting: Waiting, error: CarryError) -> None:
        now = _now()
        with self._connected() as connection:
            if error.final:
                outbox.settle(connection, waiting, now, str(error))
            elif now - waiting.since > self.notify.give_up_days * _DAY_MS:
                outbox.postpone(connection, waiting, outbox.NEVER, str(error), error.had)
            else:
                pause = min(_FIRST_PAUSE_S * 2 ** min(waiting.tries, 20), _LONGEST_PAUSE_S)
                pause *= random.uniform(0.8, 1.2)  # noqa: S311  # so that not all come back at once
                outbox.postpone(connection, waiting, now + round(pause * 1000), str(error), error.had)

    def _forget(self) -> None:
        if time.monotonic() - self._forgot > 3600 or not self._forgot:
            self._forgot = time.monotonic()
            with self._connected() as connection:
                outbox.forget(connection, _now() - round(self.notify.keep_days * _DAY_MS))

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A transaction of its own: nobody waits for a mail server while a row is held."""
        with self.engine.connect() as connection:
            if self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA busy_timeout = 20000")
                connection.commit()
            with connection.begin():
                yield connection


def start_sender(engine: Engine, stop: threading.Event | None = None) -> threading.Thread | None:
    """Send beside the server until `stop`, in a thread that ends with the process.

    None, and nothing is sent, where MODEL_GOVERNANCE_NOTIFY is not set. Several processes may do so.

    Raises
    ------
    PolicyError
        Where the settings cannot be read.
    """
    notify = current_notify()
    if notify is None:
        return None
    thread = threading.Thread(
        target=Sender(engine, notify).run,
        args=(stop or threading.Event(),),
        name="governance-notifications",
        daemon=True,
    )
    thread.start()
    return thread


def _now() -> int:
    return round(time.time() * 1000)

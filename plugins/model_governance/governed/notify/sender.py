"""Empties the outbox: takes a message, delivers it, notes it; what fails is tried again, later and later.

Each channel has a thread of its own while something waits in it, so that none waits for another one, and each
delivery ends after `Notify.deadline_s`, whatever the receiver does.
"""

from __future__ import annotations

import logging
import multiprocessing
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from model_governance.deadline import Deadline
from model_governance.governed.notify import outbox
from model_governance.governed.notify.channels import Carrier, CarryError
from model_governance.governed.notify.mail import MailCarrier
from model_governance.governed.notify.outbox import Message, Waiting
from model_governance.governed.notify.settings import NOTIFY_FILE, Channel, Notify, current_notify
from model_governance.governed.notify.webhook import WebhookCarrier

__all__ = ["Sender", "Sent", "carrier", "deliver", "start_sender"]

_logger = logging.getLogger(__name__)
_DAY_MS = 24 * 3600 * 1000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 10.0, 3600.0


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


def deliver(channel: Channel, message: Message, seconds: float, without: frozenset[str] = frozenset()) -> None:
    """Deliver a message on a channel, or raise `CarryError` after `seconds` at the latest."""
    with Deadline(seconds) as deadline:
        try:
            carrier(channel).carry(message, without)
        except CarryError as error:
            if not deadline.over:
                raise
            told = f"{error}; broken off, for it takes longer than {seconds:g} s"
            raise CarryError(told, unreachable=True, had=error.had, never=error.never) from error


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
    _busy: dict[str, threading.Thread] = field(default_factory=dict, init=False)

    def send_due(self) -> Sent:
        """Deliver everything that is due in any channel, and remove what was delivered long ago."""
        channels = self._due_channels()
        with ThreadPoolExecutor(max_workers=max(len(channels), 1)) as at_once:
            sent = list(at_once.map(self._send_due_in, channels))
        self._forget()
        return Sent(sum(each.delivered for each in sent), tuple(said for each in sent for said in each.troubles))

    def run(self, over: threading.Event) -> None:
        """Send until then, through every outage of the database and of whoever is told."""
        while not over.wait(self.notify.every_s):
            with _outliving_outages():
                for channel in self._due_channels():
                    if channel not in self._busy or not self._busy[channel].is_alive():
                        self._busy[channel] = threading.Thread(
                            target=self._empty, args=(channel,), name=f"governance-notify-{channel}", daemon=True
                        )
                        self._busy[channel].start()
                self._forget()
        for each in self._busy.values():
            each.join(self.notify.deadline_s)

    def _due_channels(self) -> list[str]:
        """At most as many as the settings name, and those whose messages wait for one that they named before."""
        with self._connected() as connection:
            return outbox.due_channels(connection, _now())

    def _empty(self, channel: str) -> None:
        with _outliving_outages():
            for trouble in self._send_due_in(channel).troubles:
                _logger.warning("a notification is not with everybody: %s", trouble)

    def _send_due_in(self, channel: str) -> Sent:
        delivered, troubles, reachable = 0, list[str](), True
        while reachable and (message := self._next(channel)) is not None:
            try:
                delivered += self._send(message)
            except CarryError as error:
                troubles.append(f"{channel}, message {message.message.id}: {error}")
                reachable = not error.unreachable
        return Sent(delivered, tuple(troubles))

    def _next(self, channel: str) -> Waiting | None:
        # one by one: an alarm that comes in between goes first
        with self._connected() as connection:
            return outbox.due(connection, _now(), channel)

    def _send(self, waiting: Waiting) -> bool:
        """Whether it was delivered; False where somebody else is at it."""
        with self._connected() as connection:
            if not outbox.claim(connection, waiting, _now() + round(self.notify.lease_s * 1000)):
                return False
        channel = next((each for each in self.notify.channels if each.name == waiting.channel), None)
        try:
            if channel is None:
                raise CarryError("the settings have no channel of this name any more")
            deliver(channel, waiting.message, self.notify.deadline_s, waiting.done_with)
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
            if error.final and (waiting.had or error.had):
                never = "; ".join(f"{each}: {words}" for each, words in {**waiting.never, **error.never}.items())
                outbox.settle(connection, waiting, now, never)
            elif error.final or now - waiting.since > self.notify.give_up_days * _DAY_MS:
                # it is kept, and `notify retry` sends it when the address is mended
                outbox.postpone(connection, waiting, outbox.NEVER, str(error), error.had, error.never)
            else:
                pause = min(_FIRST_PAUSE_S * 2 ** min(waiting.tries, 20), _LONGEST_PAUSE_S)
                pause *= random.uniform(0.8, 1.2)  # noqa: S311  # so that not all come back at once
                until = now + round(pause * 1000)
                outbox.postpone(connection, waiting, until, str(error), error.had, error.never)

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
    if trouble := _untold(notify):
        _logger.warning("%s", trouble)
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


def _untold(notify: Notify | None) -> str | None:
    """What nobody is told of by these settings; of several workers of one server only the first says so."""
    if multiprocessing.current_process().name not in ("MainProcess", "SpawnProcess-1"):
        return None
    if notify is None:
        return (
            f"nobody is told of a promotion, of broken glass or of a new role: {NOTIFY_FILE} names no settings; "
            "broken glass stands in this log and on the pages of /governance/"
        )
    if not any(channel.tells("access") for channel in notify.channels):
        return "no channel tells of access: nobody is told when a log-in, a role, a token or the policy changes"
    return None


@contextmanager
def _outliving_outages() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:  # the messages are in the database, and wait with it
        _logger.warning("the outbox cannot be read: %s", type(error).__name__)
    except Exception:
        _logger.exception("a notification could not be sent")


def _now() -> int:
    return round(time.time() * 1000)

"""Several senders, killed senders, and what they leave in the outbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from notify_scene import PROMOTION, RITA, Hook, Inbox, send, waiting, write
from sqlalchemy import Engine, create_engine, select

from model_governance.governed.audit import Entry
from model_governance.governed.notify import outbox
from model_governance.governed.notify.outbox import NEVER
from model_governance.governed.notify.sender import Sender, start_sender
from model_governance.governed.notify.settings import load_notify
from model_governance.governed.tables import OUTBOX, create_tables
from tests.postgres import postgres


class TestSenders:
    def test_two_at_once_send_everything_once(
        self, engine: Engine, hook: Hook, inbox: Inbox, configure: Callable[..., Path]
    ) -> None:
        settings = load_notify(configure())
        write(engine, *(Entry(RITA, "approve", model="m", version=str(n)) for n in range(20)))
        hook.hang = 0.01
        with ThreadPoolExecutor(3) as pool:
            sent = [pool.submit(Sender(engine, settings).send_due) for _ in range(3)]
        assert sum(each.result().delivered for each in sent) == 40
        assert sorted(told["seq"] for told in hook.told()) == list(range(1, 21))
        assert len(inbox.mails) == 20

    @pytest.mark.slow
    def test_the_outbox_is_the_same_on_postgresql(self, hook: Hook, configure: Callable[..., Path]) -> None:
        settings = load_notify(configure())
        with postgres() as server:
            engine = create_engine(server.url)
            create_tables(engine)
            write(engine, *(Entry(RITA, "approve", model="m", version=str(n)) for n in range(20)))
            hook.status = 503
            with ThreadPoolExecutor(3) as pool:
                sent = [pool.submit(Sender(engine, settings).send_due) for _ in range(3)]
            assert sum(each.result().delivered for each in sent) == 20
            with engine.begin() as connection:
                (chat, mail) = outbox.queues(connection)
                assert (chat.waiting, chat.delivered, mail.waiting, mail.delivered) == (20, 0, 0, 20)
                assert "got 503" in chat.trouble
                assert outbox.retry(connection, 0) == 20
            hook.status = 200
            assert Sender(engine, settings).send_due().delivered == 20
            with engine.begin() as connection:
                assert outbox.forget(connection, NEVER) == 40
            assert sorted({told["seq"] for told in hook.told()}) == list(range(1, 21))
            engine.dispose()

    def test_the_server_sends_beside_its_work(
        self, engine: Engine, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        configure(every_s=0.1)
        stop = threading.Event()
        thread = start_sender(engine, stop)
        assert thread is not None
        write(engine, PROMOTION)
        assert hook.asked.wait(20)
        stop.set()
        thread.join(20)
        assert not thread.is_alive()

    @pytest.mark.slow
    def test_a_sender_killed_between_sending_and_noting_sends_again_under_the_same_id(
        self, engine: Engine, hook: Hook, inbox: Inbox, configure: Callable[..., Path]
    ) -> None:
        settings = configure(lease_s=1)
        write(engine, PROMOTION)
        hook.hang = 60
        command = [
            sys.executable, "-c", "from model_governance.cli import main; main()",
            "notify", "--database", str(engine.url), "--settings", str(settings), "send",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        assert hook.asked.wait(60)
        os.kill(process.pid, signal.SIGKILL)  # it has arrived, and nobody noted so
        process.wait()
        assert "chat" in waiting(engine)
        time.sleep(1.1)
        hook.hang = 0
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert waiting(engine) == []
        first, second = hook.told()
        assert first == second
        assert len(inbox.mails) == 1

    def test_what_was_delivered_long_ago_is_removed(self, engine: Engine, configure: Callable[..., Path]) -> None:
        settings = configure(keep_days=0.00001)
        write(engine, PROMOTION)
        send(engine, settings)
        time.sleep(1)
        send(engine, settings)
        with engine.connect() as connection:
            assert connection.execute(select(OUTBOX)).all() == []

"""What becomes of a message that does not get through, and of recipients who are refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from notify_scene import PROMOTION, RITA, Hook, Inbox, ask, due_now, send, waiting, write
from sqlalchemy import Engine, select, text

from model_governance.governed.audit import Entry
from model_governance.governed.notify.outbox import NEVER
from model_governance.governed.tables import OUTBOX


class TestTroubles:
    def test_what_cannot_be_delivered_waits_and_the_other_channel_goes_on(
        self, engine: Engine, inbox: Inbox, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        hook.status = 503
        write(engine, PROMOTION)
        delivered, troubles = send(engine, settings)
        assert delivered == 1
        assert "expected an answer of 2xx, got 503" in troubles[0]
        assert "t0ken" not in troubles[0]
        assert waiting(engine) == ["chat"]
        assert send(engine, settings) == (0, ())  # not at once again
        hook.status = 200
        due_now(engine)
        assert send(engine, settings) == (1, ())
        assert len({headers["webhook-id"] for headers, _ in hook.posts}) == 1
        assert len(inbox.mails) == 1

    def test_a_server_that_is_away_is_asked_once_a_turn(
        self, engine: Engine, inbox: Inbox, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        inbox.stop()
        write(engine, *(Entry(RITA, "approve", model="m", version=str(n)) for n in range(5)))
        delivered, troubles = send(engine, settings)
        assert (delivered, len(troubles)) == (5, 1)
        assert "did not take the mail" in troubles[0]

    def test_a_redirect_is_not_followed(self, engine: Engine, hook: Hook, configure: Callable[..., Path]) -> None:
        settings = configure()
        hook.status, hook.headers = 307, {"Location": hook.url.replace("t0ken", "elsewhere")}
        write(engine, PROMOTION)
        assert "got 307" in send(engine, settings)[1][0]
        assert len(hook.posts) == 1

    def test_who_got_a_mail_does_not_get_it_again(
        self, engine: Engine, inbox: Inbox, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        inbox.refuse = {"rob@example.org": "451 try later"}
        write(engine, PROMOTION)
        assert "rob@example.org: 451" in send(engine, settings)[1][0]
        inbox.refuse = {}
        due_now(engine)
        assert send(engine, settings) == (1, ())
        assert inbox.recipients == [["rita@example.org"], ["rob@example.org"]]
        assert inbox.mails[0]["Message-ID"] == inbox.mails[1]["Message-ID"]

    def test_an_address_that_does_not_exist_keeps_nobody_else_waiting(
        self, engine: Engine, inbox: Inbox, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        inbox.refuse = {"rob@example.org": "550 no such user"}
        write(engine, PROMOTION)
        assert "rob@example.org: 550 no such user" in send(engine, settings)[1][0]
        due_now(engine)
        assert send(engine, settings) == (0, ())
        assert inbox.recipients == [["rita@example.org"]]

    def test_each_recipient_is_served_refused_or_tried_again_by_itself(
        self, engine: Engine, inbox: Inbox, configure: Callable[..., Path]
    ) -> None:
        server = f"smtp://127.0.0.1:{inbox.port}"
        to = ["rita@example.org", "gone@example.org", "slow@example.org"]
        settings = configure(mail={"mail": {"server": server, "sender": "mlflow@example.org", "to": to}})
        inbox.refuse = {"gone@example.org": "550 no such user", "slow@example.org": "451 greylisted"}
        write(engine, PROMOTION)
        (told,) = send(engine, settings)[1]
        assert told.endswith("slow@example.org: 451 greylisted; it is not tried again for gone@example.org")
        inbox.refuse = {}
        due_now(engine)
        assert send(engine, settings) == (1, ())
        assert inbox.recipients == [["rita@example.org"], ["slow@example.org"]]
        assert waiting(engine) == []
        assert ask(engine, settings, "status").stdout.splitlines()[1] == (
            "reviewers: 0 waiting, 0 set aside, 1 delivered, 1 of them not to everybody; "
            "gone@example.org: 550 no such user"
        )

    def test_a_single_recipient_who_is_refused_for_good_is_told_at_once_and_kept(
        self, engine: Engine, inbox: Inbox, configure: Callable[..., Path]
    ) -> None:
        server = f"smtp://127.0.0.1:{inbox.port}"
        mail = {"server": server, "sender": "mlflow@example.org", "to": ["gone@example.org"]}
        settings = configure(mail={"mail": mail})
        inbox.refuse = {"gone@example.org": "550 no such user"}
        write(engine, PROMOTION)
        assert "it is not tried again for gone@example.org" in send(engine, settings)[1][0]
        assert send(engine, settings) == (0, ()), "not for seven days"
        assert (
            ask(engine, settings, "status")
            .stdout.splitlines()[1]
            .startswith("reviewers: 0 waiting, 1 set aside, 0 delivered; 127.0.0.1:")
        )
        inbox.refuse = {}
        assert ask(engine, settings, "retry").stdout == "1 due now\n"
        assert send(engine, settings) == (1, ())
        assert inbox.recipients == [["gone@example.org"]]

    def test_a_mail_that_is_refused_as_a_whole_is_refused_for_nobody_in_particular(
        self, engine: Engine, inbox: Inbox, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        inbox.answer = "554 the disk is full"
        write(engine, PROMOTION)
        assert "554 the disk is full" in send(engine, settings)[1][0]
        inbox.answer = "250 taken"
        due_now(engine)
        assert send(engine, settings) == (1, ())
        assert inbox.recipients == [["rita@example.org", "rob@example.org"]]

    def test_what_nobody_took_for_days_is_set_aside_and_kept(
        self, engine: Engine, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        settings = configure(give_up_days=0.00001)
        hook.status = 500
        write(engine, PROMOTION)
        time.sleep(1)
        send(engine, settings)
        status = ask(engine, settings, "status").stdout.splitlines()
        assert status[0].startswith("chat: 0 waiting, 1 set aside, 0 delivered; http://127.0.0.1:")
        assert status[1] == "reviewers: 0 waiting, 0 set aside, 1 delivered"
        hook.status = 200
        assert ask(engine, settings, "retry").stdout == "1 due now\n"
        assert ask(engine, settings, "send").stdout == "1 delivered, 0 not\n"

    def test_a_message_that_cannot_be_read_keeps_none_waiting(
        self, engine: Engine, hook: Hook, configure: Callable[..., Path]
    ) -> None:
        settings = configure()
        write(engine, PROMOTION, Entry(RITA, "approve", model="m", version="1"))
        with engine.begin() as connection:
            connection.execute(text("UPDATE governance_outbox SET body = '{}' WHERE seq = 1"))
        assert send(engine, settings) == (2, ())
        with engine.connect() as connection:
            assert connection.scalars(select(OUTBOX.c.due).where(OUTBOX.c.seq == 1)).all() == [NEVER, NEVER]

    def test_a_channel_that_was_taken_out_of_the_settings_is_told(
        self, engine: Engine, configure: Callable[..., Path]
    ) -> None:
        configure(chat={"name": "old"})
        write(engine, PROMOTION)
        assert "no channel of this name" in send(engine, configure())[1][0]

"""What several workers of a governed server share, on a real PostgreSQL: the same as on SQLite."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, create_engine, insert, text
from sqlalchemy.orm import Session

from model_governance.governed.clockwork import forget_reads
from model_governance.governed.role_uses import last_uses, used_today
from model_governance.governed.roles import granted, hand_over
from model_governance.governed.tables import READS, create_tables
from model_governance.governed.throttle import FailedLogins
from model_governance.governed.turns import Turn
from model_governance.rules.governance import GovernanceRules
from tests.postgres import postgres

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with postgres() as server:
        made = create_engine(server.url)
        create_tables(made)
        yield made
        made.dispose()


def test_failures_at_once_are_all_counted(engine: Engine) -> None:
    workers = [FailedLogins(engine, per_account=1000, per_name=2000) for _ in range(4)]
    names = ["rita", "rob", "otto"]

    def guess(worker: FailedLogins) -> None:
        for number in range(15):
            worker.failed(names[number % 3], f"10.0.0.{number % 5}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(guess, workers))
    with engine.connect() as connection:
        counts = connection.scalars(text("SELECT sum(count) FROM governance_failed_logins")).one()
    assert counts == 4 * 15 * 3, "each by name and address, by address, and by name"
    tight = FailedLogins(engine, per_account=5)
    tight.failed("rita", "10.0.0.0")
    assert tight.wait("rita", "10.0.0.0") > 0, "four workers saw one each before"
    tight.succeeded("rita", "10.0.0.0")
    assert tight.wait("rita", "10.0.0.0") == 0


def test_of_workers_that_ask_at_once_one_gets_the_turn(engine: Engine) -> None:
    turns = [Turn(engine, "heads", f"worker {number}", 60) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        first = list(pool.map(lambda turn: turn.take(1000), turns))
    assert sorted(first) == [False, False, False, True]
    holder = turns[first.index(True)]
    assert [turn.take(1030) for turn in turns] == [turn is holder for turn in turns]
    another = next(turn for turn in turns if turn is not holder)
    assert not another.take(1089), "it was taken again at 1030"
    assert another.take(1091)


def test_old_reads_go_and_days_are_counted_once(engine: Engine) -> None:
    now = time.time()
    rows = [
        {"at": round((now - days * 86400) * 1000), "actor": "ann", "address": "", "what": ""} for days in range(10)
    ]
    with engine.begin() as connection:
        connection.execute(insert(READS), rows)
    assert forget_reads(engine, 4.5, now) == 5
    used_today(engine, "aud", "auditor", now)
    used_today(engine, "aud", "auditor", now)
    assert list(last_uses(engine, "auditor")) == ["aud"]


def test_a_log_in_that_changes_hands_has_no_roles(engine: Engine) -> None:
    rules = GovernanceRules.model_validate({"accounts": {"nora": ["reviewer"]}})
    with Session(engine) as session, session.begin():
        assert [each.role for each in granted(session, rules)] == ["reviewer"]
        for _ in range(2):
            hand_over(session, "nora", "root", 1, suspend=True)
        assert granted(session, rules) == ()

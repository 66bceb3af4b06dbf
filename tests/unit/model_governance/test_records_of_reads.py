"""Records of who read what are kept for a time; the audit is kept for good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, func, insert, select
from sqlalchemy.orm import Session

from model_governance.governed import clockwork
from model_governance.governed.actor import Actor
from model_governance.governed.audit import Entry, append, verify
from model_governance.governed.clockwork import Clockwork, forget_reads
from model_governance.governed.role_uses import last_uses, used_today
from model_governance.governed.tables import READS, create_tables
from model_governance.governed.witness import Witness
from model_governance.rules.governance import GovernanceRules

DAY = 24 * 3600
NOW = 1_800_000_000.0


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    create_tables(made)
    yield made
    made.dispose()


def read(engine: Engine, *days_ago: float) -> None:
    rows = [
        {"at": round((NOW - ago * DAY) * 1000), "actor": "ann", "address": "", "what": f"{ago:g} days ago"}
        for ago in days_ago
    ]
    with engine.begin() as connection:
        connection.execute(insert(READS), rows)


def kept(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(select(READS.c.what).order_by(READS.c.at)))


def test_reads_that_are_too_old_go(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clockwork, "_AT_ONCE", 2)
    read(engine, 40, 39, 29, 38, 31, 30.1, 1, 37)  # one of them written by a clock that was wrong
    assert forget_reads(engine, 30, NOW) == 6
    assert kept(engine) == ["29 days ago", "1 days ago"]
    assert forget_reads(engine, 30, NOW) == 0


def test_the_audit_stays_whole(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        for _ in range(3):
            append(session, Entry(Actor("rita"), "promote", model="m"))
    read(engine, 900)
    rules = GovernanceRules.model_validate({"reads": {"keep_days": 100}})
    Witness(engine).read(Actor("ann", "10.0.0.7"), "m/1: model.onnx")
    one, other = Clockwork(engine, lambda: rules), Clockwork(engine, lambda: rules)
    assert (one.tick(), other.tick()) == (True, False)
    assert kept(engine) == ["m/1: model.onnx"]
    found = verify(engine)
    assert (found.whole, found.entries) == (True, 3)


def test_a_role_that_only_reads_is_one_row_a_day(engine: Engine) -> None:
    for moment in (NOW, NOW + 60, NOW + DAY, NOW + DAY):
        used_today(engine, "aud", "auditor", moment)
    with engine.connect() as connection:
        count = connection.scalar(select(func.count()).select_from(clockwork.ROLE_USES))
    assert count == 2
    (last,) = last_uses(engine, "auditor").values()
    assert last.timestamp() == (NOW + DAY) // DAY * DAY
    forget_reads(engine, 10, NOW + 30 * DAY)
    assert last_uses(engine, "auditor") == {}

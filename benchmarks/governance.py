"""How the audit log bears its weight: checking, reading and writing behind a million entries.

    python -m benchmarks.governance [--entries 1000000] [--database sqlite:////tmp/log.db]

The log is written in bulk, with the hashes that the server computes, into a new SQLite database or the one that is
named, which must be empty. Exit code 1 where checking takes more than 30 s of a processor, whatever else the
machine does.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, insert
from sqlalchemy.orm import Session

from benchmarks.record import keep, table
from model_governance.governed.actor import Actor
from model_governance.governed.audit import Entry, Head, append, records, verify
from model_governance.governed.audit.entry import columns_of, hash_of
from model_governance.governed.tables import AUDIT, AUDIT_HEAD, create_tables

_LONGEST_S = 30.0
_AT_ONCE = 20_000
_ACTIONS = ("create version", "challenge", "approve", "approve", "promote", "alias", "tag", "describe", "rollback")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--database", help="an empty one; a new SQLite file by default")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="model-governance-") as folder:
        engine = create_engine(said.database or f"sqlite:///{Path(folder) / 'log.db'}")
        began = time.perf_counter()
        fill(engine, said.entries)
        print(f"{said.entries} entries written in {time.perf_counter() - began:.0f} s", flush=True)
        figures = measured(engine, said.entries)
        engine.dispose()
    table(
        f"The audit log with {said.entries} entries ({engine.dialect.name})",
        ("", "median", "slowest", "of a processor"),
        [
            (name, *(_time(row[key]) for key in ("median_s", "slowest_s", "cpu_s")))
            for name, row in figures.items()
        ],
    )
    keep("governance", {"entries": said.entries, "database": engine.dialect.name, **figures})
    if figures["check the whole log"]["cpu_s"] > _LONGEST_S:
        raise SystemExit(f"checking took more than {_LONGEST_S:g} s")


def entries(count: int) -> Iterator[Entry]:
    """A busy registry's years: 200 models, 50 people, every seventh thing refused."""
    people = [Actor(f"person-{number}", f"10.0.0.{number}", "_transition_stage") for number in range(50)]
    for number in range(count):
        refused = number % 7 == 0
        yield Entry(
            people[number % 50],
            _ACTIONS[number % len(_ACTIONS)],
            "refused" if refused else "done",
            model=f"counter-{number % 200}",
            version=str(number // 200 % 500),
            before="Staging",
            after="Production",
            comment="1 of 2 approvals by reviewer of these files" if refused else "Better on the night cameras.",
            evidence_digest=f"{number:064x}",
            detail={"artifact_digest": f"{number:064x}"},
            at=1_700_000_000_000 + number * 1000,
        )


def fill(engine: Engine, count: int) -> None:
    """Write entries in bulk, chained as `append` chains them."""
    create_tables(engine)
    head = Head()
    rows: list[dict[str, Any]] = []
    with engine.begin() as connection:
        for entry in entries(count):
            values = columns_of(entry, head)
            head = Head(values["seq"], hash_of(tuple(values.values())))
            rows.append({**values, "hash": head.hash})
            if len(rows) == _AT_ONCE:
                connection.execute(insert(AUDIT), rows)
                rows = []
        if rows:
            connection.execute(insert(AUDIT), rows)
        connection.execute(insert(AUDIT_HEAD).values(one=1, seq=head.seq, hash=head.hash))


def measured(engine: Engine, count: int) -> dict[str, dict[str, float]]:
    """Seconds of what an auditor and the server do, by name."""

    def check() -> None:
        found = verify(engine)
        assert found.whole, found.problems
        assert found.entries >= count

    def write() -> None:
        with Session(engine) as session, session.begin():
            append(session, Entry(Actor("rita"), "promote", model="counter-7", version="7"))

    return {
        "check the whole log": _seconds(check, 3),
        "newest 50 of a version": _seconds(lambda: records(engine, model="counter-7", version="7", limit=50), 20),
        "newest 50 of a person": _seconds(lambda: records(engine, actor="person-7", limit=50), 20),
        "newest 50 of all": _seconds(lambda: records(engine, limit=50), 20),
        "write one entry, and commit": _seconds(write, 100),
    }


def _seconds(work: Callable[[], object], turns: int) -> dict[str, float]:
    taken, busy = [], []
    for _ in range(turns):
        began, ran = time.perf_counter(), time.process_time()
        work()
        taken.append(time.perf_counter() - began)
        busy.append(time.process_time() - ran)
    figures = {"median_s": statistics.median(taken), "slowest_s": max(taken), "cpu_s": statistics.median(busy)}
    return {name: round(seconds, 5) for name, seconds in figures.items()}


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


if __name__ == "__main__":
    main()

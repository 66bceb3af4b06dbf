"""How the governed registry bears its weight: moves, checking, and pages, behind a million entries of the audit.

    python -m benchmarks.governance [--versions 10000] [--transitions 100000] [--minutes 20] [--entries 1000000]

Three parts, in one SQLite database that this makes:
a thousand versions are registered, and moved to Staging and back, by the governed store itself, as a data
scientist, for so many transitions or so many minutes, whichever ends first; what is missing of the versions and of
the entries is written in bulk, with the hashes that the server computes; then the whole log is checked, and a real
server with real log-ins shows its pages.

Exit code 1 where checking takes more than 30 s, where a page takes more than 200 ms, or where the last transitions
take more than 1.5 times as long as the first.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from benchmarks.governed_calls import POLICY
from benchmarks.record import keep, table
from model_governance.governed.actor import Actor, acting
from model_governance.governed.audit import Entry, append, records, verify
from model_governance.governed.audit.chain import read_head
from model_governance.governed.audit.entry import columns_of, hash_of
from model_governance.governed.store import GovernedStore
from model_governance.governed.tables import AUDIT, AUDIT_HEAD
from tests.back_ends import Place
from tests.governed_server import MlflowServer, governed_server

_LONGEST_S, _LONGEST_PAGE_S, _SLOWER = 30.0, 0.2, 1.5
_AT_ONCE = 20_000
_ACTIONS = ("create version", "challenge", "approve", "approve", "promote", "alias", "tag", "describe", "rollback")
_MODELS, _REGISTERED = 200, 1000
_MODEL_BYTES = 50_000_000

Figures = dict[str, dict[str, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", type=int, default=10_000)
    parser.add_argument("--transitions", type=int, default=100_000, help="real ones, at most")
    parser.add_argument("--minutes", type=float, default=20, help="for the transitions, at most")
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the audit, in the end")
    parser.add_argument("--folder", type=Path, help="where the database goes; a temporary folder by default")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="model-governance-", dir=said.folder) as name:
        folder = Path(name)
        policy = folder / "policy.yaml"
        policy.write_text(POLICY)
        os.environ["MODEL_GOVERNANCE_POLICY"] = str(policy)
        tracking: Any = SqlAlchemyStore
        tracking(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts"))  # makes MLflow's tables
        store = GovernedStore(f"governed+sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts"))
        moves = moved(store, folder, said.versions, said.transitions, said.minutes * 60)
        began = time.perf_counter()
        written = fill(store.engine, said.entries)
        print(f"{written} further entries in {time.perf_counter() - began:.0f} s", flush=True)
        figures = measured(store.engine, said.entries)
        store.engine.dispose()
        with governed_server(folder, policy, place=Place.below(folder)) as server:
            pages = {what: _seconds(page, 15) for what, page in pages_of(server).items()}
    table(
        f"A registry of {said.versions} versions with {said.entries} entries of the audit (SQLite)",
        ("", "median", "slowest", "of a processor"),
        [
            (name, *(_time(row[key]) for key in ("median_s", "slowest_s", "cpu_s")))
            for name, row in (figures | pages).items()
        ],
    )
    told = {"versions": said.versions, "entries": said.entries, "database": "sqlite", "transitions": moves}
    keep("governance", {**told, **figures, "pages": pages})
    slow = {name: row["median_s"] for name, row in pages.items() if row["median_s"] > _LONGEST_PAGE_S}
    failed = [f"{name} took {seconds:.2f} s" for name, seconds in slow.items()]
    if figures["check the whole log"]["cpu_s"] > _LONGEST_S:
        failed.append(f"checking took more than {_LONGEST_S:g} s")
    if moves["last_cpu_ms"] > _SLOWER * moves["first_cpu_ms"]:
        failed.append(
            f"a transition took {moves['first_cpu_ms']} ms of a processor, and {moves['last_cpu_ms']} in the end"
        )
    if failed:
        raise SystemExit("; ".join(failed))


def moved(store: GovernedStore, folder: Path, versions: int, transitions: int, seconds: float) -> dict[str, float]:
    """Register versions of 200 models, and move them there and back through the store, one transaction each."""
    files = folder / "artifacts" / "model"
    (files / "data").mkdir(parents=True)
    (files / "MLmodel").write_text("flavors: {}\n")
    (files / "data" / "weights.bin").write_bytes(os.urandom(_MODEL_BYTES))
    small = folder / "artifacts" / "small"
    small.mkdir()
    (small / "MLmodel").write_text("flavors: {}\n")
    with acting(Actor("admin", is_admin=True)):
        store.grant("ann", "data_scientist")
        store.grant("rita", "reviewer")
    began = time.perf_counter()
    real = min(versions, _REGISTERED)
    with acting(Actor("ann", "10.0.0.1", "_create_model_version")):
        for number in range(real):
            name = f"counter-{number % _MODELS}"
            if number < _MODELS:
                store.create_registered_model(name)
            store.create_model_version(name, str(files if number == 0 else small))
    print(f"{real} versions in {time.perf_counter() - began:.0f} s", flush=True)
    with store.engine.begin() as connection:
        rows = [
            {
                "workspace": "default", "name": f"counter-{number % _MODELS}", "version": 1 + number // _MODELS,
                "creation_time": number, "last_updated_time": number, "current_stage": "None",
                "source": str(small), "storage_location": str(small), "status": "READY",
            }
            for number in range(real, versions)
        ]  # fmt: skip
        if rows:
            connection.execute(insert(SqlModelVersion), rows)
    per_model = max(1, real // _MODELS)
    began, took, busy = time.perf_counter(), [], []
    with acting(Actor("ann", "10.0.0.1", "_transition_stage")):
        for turn in range(transitions):
            step, model = turn % 3, turn // 3
            name, version = f"counter-{model % _MODELS}", str(1 + model // _MODELS % per_model)
            at, ran = time.perf_counter(), time.process_time()
            if name != "counter-0":  # whose files are large, and hashed at each challenge
                store.transition_model_version_stage(name, version, ("Staging", "Archived", "None")[step], False)
            took.append(time.perf_counter() - at)
            busy.append(time.process_time() - ran)
            if time.perf_counter() - began > seconds:
                break
    tenth = max(1, len(took) // 10)
    return {
        "done": len(took),
        "per_second": round(len(took) / (time.perf_counter() - began), 1),
        "first_ms": round(1000 * statistics.median(took[:tenth]), 2),
        "last_ms": round(1000 * statistics.median(took[-tenth:]), 2),
        "first_cpu_ms": round(1000 * statistics.median(busy[:tenth]), 2),
        "last_cpu_ms": round(1000 * statistics.median(busy[-tenth:]), 2),
    }


def pages_of(server: MlflowServer) -> Mapping[str, Callable[[], object]]:
    """What reviewers and auditors open, over HTTP, with their log-ins."""

    def page(user: str, path: str) -> Callable[[], object]:
        def ask() -> None:
            answer = server.request(user, "GET", f"/governance/{path}")
            assert answer.ok, answer.text

        return ask

    return {
        "page: what waits": page("rita", ""),
        "page: a version of 50 MB": page("rita", "version?name=counter-0&version=1"),
        "page: a version moved often": page("rita", "version?name=counter-7&version=1"),
        "page: audit": page("aud", "audit"),
        "page: audit of a person": page("aud", "audit?actor=person-7"),
        "page: access review": page("aud", "access"),
    }


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


def fill(engine: Engine, count: int) -> int:
    """Write entries in bulk behind those that are there, chained as `append` chains them, up to so many."""
    rows: list[dict[str, Any]] = []
    with engine.begin() as connection:
        head = read_head(connection)
        missing = max(0, count - head.seq)
        for entry in entries(missing):
            values = columns_of(entry, head)
            head = type(head)(values["seq"], hash_of(tuple(values.values())))
            rows.append({**values, "hash": head.hash})
            if len(rows) == _AT_ONCE:
                connection.execute(insert(AUDIT), rows)
                rows = []
        if rows:
            connection.execute(insert(AUDIT), rows)
        connection.execute(AUDIT_HEAD.update().values(seq=head.seq, hash=head.hash))
    return missing


def measured(engine: Engine, count: int) -> Figures:
    """Seconds of what an auditor and the server do, by name."""

    def check() -> None:
        found = verify(engine)
        assert found.whole, found.problems
        assert found.entries >= count

    def write() -> None:
        with Session(engine) as session, session.begin():
            append(session, Entry(Actor("rita"), "promote", model="counter-7", version="7"))

    return {
        "check the whole log": _seconds(check, 1),
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

"""What the gate costs: the same calls on a governed server and on plain basic-auth, turn by turn in one run.

    python -m benchmarks.governed_calls [--rounds 200] [--hash-each] [--postgres] [--only TEXT]

Two real servers with one worker each, over SQLite, or over two databases of one PostgreSQL that this starts. Each
round asks one and then the other, in an order that changes, so that whatever else the machine does falls on both.
Basic-auth is told to remember a right password, which makes the gate's own share as large as it can be; with
`--hash-each` it hashes at each request, as is its default.

A move of the governed server brings stages, aliases, tags and the standing into step in one transaction. It is
held against the plain calls that bring about the same stages and aliases and, for whoever wants to know, against
the transition alone.
Exit code 1 where a call costs more than 10 % above the same work on plain basic-auth.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy
from requests import Response

from benchmarks.record import keep, table
from tests.back_ends import Place
from tests.governed_server import MlflowServer, governed_server, plain_server
from tests.postgres import postgres

_MOST = 1.10
POLICY = """\
format_version: 1
quality: [{metric: count/mae, max: 1.5, reason: an operator plans gates by it}]
governance:
  evidence:
    required: false
"""
"""Versions move without evidence of gates; everything else is as strict as the built-in policy."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One kind of call.

    Attributes
    ----------
    governed, plain : callable
        Make the calls of one turn, and give every answer. What the plain server needs for the same end may be more
        calls than one.
    same : bool
        Whether both do the same work; where not, the figure is told and held against nothing.
    """

    governed: Callable[[MlflowServer, int], list[Response]]
    plain: Callable[[MlflowServer, int], list[Response]]
    same: bool = True


def _alike(call: Callable[[MlflowServer, int], Response]) -> Compared:
    def several(server: MlflowServer, turn: int) -> list[Response]:
        return [call(server, turn)]

    return Compared(several, several)


def _move(server: MlflowServer, user: str, model: str, version: int, stage: str, archive: bool) -> Response:
    return server.post(
        user, "model-versions/transition-stage",
        name=model, version=str(version), stage=stage, archive_existing_versions=archive,
    )  # fmt: skip


def _alias(server: MlflowServer, user: str, model: str, alias: str, version: int) -> Response:
    return server.post(user, "registered-models/alias", name=model, alias=alias, version=str(version))


def _challenge(server: MlflowServer, turn: int) -> list[Response]:
    """Version 1 to Staging, and in the next turn out of it."""
    return [_move(server, "ann", "staged", 1, "Archived" if turn % 2 else "Staging", False)]


def _challenge_in_step(server: MlflowServer, turn: int) -> list[Response]:
    if turn % 2 == 0:
        return [*_challenge(server, turn), _alias(server, "ann", "staged", "challenger", 1)]
    gone = server.request(
        "ann", "DELETE", "/api/2.0/mlflow/registered-models/alias", json={"name": "staged", "alias": "challenger"}
    )
    return [*_challenge(server, turn), gone]


def _promote(server: MlflowServer, turn: int) -> list[Response]:
    """One version takes the other's place in Production."""
    new, old = 1 + turn % 2, 2 - turn % 2
    if server.url in _ON_POSTGRES:
        # MLflow 3.17 cannot archive the others in the same call there: it compares a number with a text
        left = _move(server, "rita", "served", old, "Archived", False)
        return [_move(server, "rita", "served", new, "Production", False), left]
    return [_move(server, "rita", "served", new, "Production", True)]


def _promote_in_step(server: MlflowServer, turn: int) -> list[Response]:
    new, old = 1 + turn % 2, 2 - turn % 2
    aliases = (("champion", new), ("previous", old), ("serving", new))
    return [*_promote(server, turn), *(_alias(server, "rita", "served", *each) for each in aliases)]


CALLS: dict[str, Compared] = {
    "read a version": _alike(
        lambda server, _: server.get("ann", "model-versions/get", name="counter", version="1")
    ),
    "search versions": _alike(
        lambda server, _: server.get("ann", "model-versions/search", filter="name='counter'")
    ),
    "set a tag of a version": _alike(
        lambda server, turn: server.post(
            "ann", "model-versions/set-tag", name="counter", version="1", key="colour", value=str(turn)
        )
    ),
    "set an alias": _alike(lambda server, turn: _alias(server, "ann", "counter", "blue", 1 + turn % 2)),
    "describe a model": _alike(
        lambda server, turn: server.request(
            "ann", "PATCH", "/api/2.0/mlflow/registered-models/update",
            json={"name": "counter", "description": f"the {turn}th"},
        )
    ),
    "register a model": _alike(
        lambda server, turn: server.post("ann", "registered-models/create", name=f"counter-{turn}")
    ),
    "register a version": _alike(
        lambda server, turn: server.post("ann", "model-versions/create", name="growing", **source(server))
    ),
    "archive, and back": _alike(
        lambda server, turn: _move(server, "ann", "counter", 2, "None" if turn % 2 else "Archived", False)
    ),
    "to Staging, and back": Compared(_challenge, _challenge_in_step),
    "to Production": Compared(_promote, _promote_in_step),
    "to Staging, beside the transition alone": Compared(_challenge, _challenge, same=False),
    "to Production, beside the transition alone": Compared(_promote, _promote, same=False),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--hash-each", action="store_true", help="basic-auth hashes the password at each request")
    parser.add_argument("--postgres", action="store_true", help="over PostgreSQL, on this machine")
    parser.add_argument("--only", default="", help="only calls whose name holds this; nothing is kept then")
    said = parser.parse_args()
    with servers(remember=not said.hash_each, on_postgres=said.postgres) as (governed, plain):
        for server in (governed, plain):
            prepare(server)
        figures = {
            what: compared(calls, governed, plain, said.rounds)
            for what, calls in CALLS.items()
            if said.only in what
        }
    database = "PostgreSQL" if said.postgres else "SQLite"
    logins = "log-ins hashed at each request" if said.hash_each else "log-ins remembered"
    table(
        f"A call on the governed server beside plain basic-auth, medians of {said.rounds} ({database}, {logins})",
        ("", "plain", "governed", "ratio"),
        [
            (what, f"{row['plain_ms']:.1f} ms", f"{row['governed_ms']:.1f} ms", f"{row['ratio']:.2f}")
            for what, row in figures.items()
        ],
    )
    if not said.only:
        name = f"governed_calls{'_postgres' if said.postgres else ''}{'_hashed' if said.hash_each else ''}"
        keep(name, {"rounds": said.rounds, "database": database, "hash_each": said.hash_each, "calls": figures})
    if any(row["ratio"] > _MOST for what, row in figures.items() if CALLS[what].same):
        raise SystemExit(f"a call costs more than {_MOST:g} times what the same costs on plain basic-auth")


@contextmanager
def servers(*, remember: bool, on_postgres: bool) -> Iterator[tuple[MlflowServer, MlflowServer]]:
    """A governed server and a plain one, each with a database of its own, until the block ends."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="model-governance-")))
        policy = folder / "policy.yaml"
        policy.write_text(POLICY)
        places: list[Place | None] = [None, None]
        if on_postgres:
            server = stack.enter_context(postgres())
            engine = sqlalchemy.create_engine(server.url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                for name in ("governed", "plain"):
                    connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
            engine.dispose()
            address = server.url.removesuffix("postgres")
            places = [
                replace(Place.below(folder / name), database=address + name) for name in ("governed", "plain")
            ]
        governed = stack.enter_context(
            governed_server(folder / "governed", policy, place=places[0], remember_logins=remember)
        )
        plain = stack.enter_context(plain_server(folder / "plain", place=places[1], remember_logins=remember))
        if on_postgres:
            _ON_POSTGRES.add(plain.url)
        yield governed, plain


def source(server: MlflowServer) -> dict[str, str]:
    """Where the model of the versions lies, and its run."""
    if server.url not in _SOURCES:
        (run,) = server.post("ann", "runs/search", experiment_ids=["1"]).json()["runs"]
        _SOURCES[server.url] = {"source": f"{run['info']['artifact_uri']}/model", "run_id": run["info"]["run_id"]}
    return _SOURCES[server.url]


_SOURCES: dict[str, dict[str, str]] = {}
_ON_POSTGRES: set[str] = set()
"""Addresses of plain servers that are."""


def prepare(server: MlflowServer) -> None:
    """A run with a model's file, and registered models with versions of it."""
    experiment = server.post("ann", "experiments/create", name="counting").json()["experiment_id"]
    run = server.post("ann", "runs/create", experiment_id=experiment, start_time=1).json()["run"]["info"]
    place = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    uploaded = server.request(
        "ann", "PUT", f"/api/2.0/mlflow-artifacts/artifacts/{place}/model/MLmodel", data=b"flavors: {}\n"
    )
    assert uploaded.ok, uploaded.text
    for name in ("counter", "growing", "staged", "served"):
        made = server.post("ann", "registered-models/create", name=name)
        assert made.ok, made.text
        for _ in range(2):
            made = server.post("ann", "model-versions/create", name=name, **source(server))
            assert made.ok, made.text


def compared(calls: Compared, governed: MlflowServer, plain: MlflowServer, rounds: int) -> dict[str, float]:
    """Median ms of each, and the median of the rounds' ratios, which what else happens does not move much."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(rounds + 6):
        for server in (governed, plain) if turn // 2 % 2 else (plain, governed):
            call = calls.governed if server.governed else calls.plain
            began = time.perf_counter()
            answers = call(server, turn)
            elapsed = time.perf_counter() - began
            for answer in answers:
                assert answer.ok, answer.text
            if turn >= 6:  # the first are slow on both
                taken[server.governed].append(elapsed * 1000)
    return {
        "plain_ms": round(statistics.median(taken[False]), 3),
        "governed_ms": round(statistics.median(taken[True]), 3),
        "ratio": round(statistics.median(a / b for a, b in zip(taken[True], taken[False], strict=True)), 3),
    }


if __name__ == "__main__":
    main()

"""What the gate costs: the same calls on a governed server and on plain basic-auth, turn by turn in one run.

    python -m benchmarks.governed_calls [--rounds 200] [--hash-each]

Two real servers with one worker each, over SQLite. Each round asks one and then the other, in an order that
changes, so that whatever else the machine does falls on both. Basic-auth is told to remember a right password,
which makes the gate's own share as large as it can be; with `--hash-each` it hashes at each request, as is its
default.
Exit code 1 where a call costs more than 10 % above plain's.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.record import keep, table
from tests.governed_server import MlflowServer, governed_server, plain_server

_MOST = 1.10

Call = Callable[[MlflowServer, int], object]

CALLS: dict[str, Call] = {
    "read a version": lambda server, _: server.get("ann", "model-versions/get", name="counter", version="1"),
    "search versions": lambda server, _: server.get("ann", "model-versions/search", filter="name='counter'"),
    "set a tag of a version": lambda server, turn: server.post(
        "ann", "model-versions/set-tag", name="counter", version="1", key="colour", value=str(turn)
    ),
    "set an alias": lambda server, turn: server.post(
        "ann", "registered-models/alias", name="counter", alias="blue", version=str(1 + turn % 2)
    ),
    "describe a model": lambda server, turn: server.request(
        "ann", "PATCH", "/api/2.0/mlflow/registered-models/update",
        json={"name": "counter", "description": f"the {turn}th"},
    ),
    "register a model": lambda server, turn: server.post(
        "ann", "registered-models/create", name=f"counter-{turn}"
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--hash-each", action="store_true")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="model-governance-") as name:
        folder = Path(name)
        remember = not said.hash_each
        with (
            governed_server(folder / "governed", remember_logins=remember) as governed,
            plain_server(folder / "plain", remember_logins=remember) as plain,
        ):
            for server in (governed, plain):
                prepare(server)
            figures = {what: compared(call, governed, plain, said.rounds) for what, call in CALLS.items()}
    table(
        f"A call on the governed server beside plain basic-auth, medians of {said.rounds}",
        ("", "plain", "governed", "ratio"),
        [
            (what, f"{row['plain_ms']:.1f} ms", f"{row['governed_ms']:.1f} ms", f"{row['ratio']:.2f}")
            for what, row in figures.items()
        ],
    )
    keep("governed_calls", {"rounds": said.rounds, "hash_each": said.hash_each, "calls": figures})
    if any(row["ratio"] > _MOST for row in figures.values()):
        raise SystemExit(f"a call costs more than {_MOST:g} times what it costs on plain basic-auth")


def source(server: MlflowServer) -> dict[str, str]:
    """Where the model of the versions lies, and its run."""
    (run,) = server.post("ann", "runs/search", experiment_ids=["1"]).json()["runs"]
    return {"source": f"{run['info']['artifact_uri']}/model", "run_id": run["info"]["run_id"]}


def prepare(server: MlflowServer) -> None:
    """A run with a model's file, and a registered model with two versions of it."""
    experiment = server.post("ann", "experiments/create", name="counting").json()["experiment_id"]
    run = server.post("ann", "runs/create", experiment_id=experiment, start_time=1).json()["run"]["info"]
    place = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    uploaded = server.request(
        "ann", "PUT", f"/api/2.0/mlflow-artifacts/artifacts/{place}/model/MLmodel", data=b"flavors: {}\n"
    )
    assert uploaded.ok, uploaded.text
    made = server.post("ann", "registered-models/create", name="counter")
    assert made.ok, made.text
    for _ in range(2):
        made = server.post("ann", "model-versions/create", name="counter", **source(server))
        assert made.ok, made.text


def compared(call: Call, governed: MlflowServer, plain: MlflowServer, rounds: int) -> dict[str, float]:
    """Median ms of each, and the median of the rounds' ratios, which what else happens does not move much."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(rounds + 5):
        for server in (governed, plain) if turn % 2 else (plain, governed):
            began = time.perf_counter()
            answer = call(server, turn)
            elapsed = time.perf_counter() - began
            assert getattr(answer, "ok", False), getattr(answer, "text", answer)
            if turn >= 5:  # the first are slow on both
                taken[server.governed].append(elapsed * 1000)
    return {
        "plain_ms": round(statistics.median(taken[False]), 3),
        "governed_ms": round(statistics.median(taken[True]), 3),
        "ratio": round(statistics.median(a / b for a, b in zip(taken[True], taken[False], strict=True)), 3),
    }


if __name__ == "__main__":
    main()

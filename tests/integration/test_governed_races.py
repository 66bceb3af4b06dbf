"""Two reviewers at once, and `kill -9` at any moment: one champion, and the audit tells what the registry is."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable, Iterator

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy.orm import Session

from model_governance.governed.audit import verify
from model_governance.governed.moving import Moving
from model_governance.standing import CHALLENGER, CHAMPION, PREVIOUS, STANDING_TAG, Standing
from tests.empty_store import empty_store
from tests.governed_registry import Registry, governed_registry
from tests.moving_worker import move
from tests.postgres import Postgres, postgres

# A process that has imported everything, from which each one that is to die is forked at once.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.moving_worker", "sqlalchemy.dialects.sqlite", "psycopg"])
KILLS = int(os.environ.get("GOVERNANCE_KILLS", "10"))


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Registry, str]]:
    folder = tmp_path_factory.mktemp(f"races-{request.param}")
    uri = empty_store(folder)
    database = uri if request.param == "sqlite" else str(request.getfixturevalue("server").url)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    with governed_registry(folder, database) as ready:
        yield ready, database
    mlflow.set_tracking_uri(before)


def at_once(*calls: Callable[[], object]) -> list[str]:
    """Run all at the same moment; gives what each was told, "" where it was done."""
    start, said = threading.Barrier(len(calls)), [""] * len(calls)

    def run(place: int) -> None:
        start.wait()
        try:
            calls[place]()
        except MlflowException as error:
            said[place] = str(error.message)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


def assert_agrees(registry: Registry, name: str) -> None:
    """Aliases, stages, the standing and the audit say the same."""
    aliases, stages = registry.state(name)
    standing = Standing.model_validate_json(registry.store.get_registered_model(name).tags[STANDING_TAG])
    named = {alias: aliases.get(alias) for alias in (CHAMPION, PREVIOUS, CHALLENGER)}
    assert named == {alias: getattr(standing, alias) for alias in named}
    assert aliases.get("serving") == standing.champion
    assert [number for number, stage in stages.items() if stage == "Production"] == [standing.champion]
    assert [number for number, stage in stages.items() if stage == "Staging"] == (
        [standing.challenger] if standing.challenger else []
    )
    moved = [
        json.loads(after)
        for action, outcome, after in registry.audit(name, "action, outcome, after")
        if outcome == "done" and (after or "").startswith('{"champion"')
    ]
    assert moved[-1] == named | {"serving": aliases.get("serving")}
    assert verify(registry.store.engine).problems == ()


def test_two_reviewers_at_once_make_one_champion(place: tuple[Registry, str]) -> None:
    registry, _ = place

    def promote(user: str, name: str, number: int) -> Callable[[], object]:
        def call() -> None:
            with registry.by(user):
                registry.store.transition_model_version_stage(name, str(number), "Production", True)

        return call

    for _ in range(4):
        name = registry.model(2)
        said = at_once(promote("rita", name, 1), promote("rob", name, 2))
        assert said == ["", ""]
        assert_agrees(registry, name)
        # one after the other: whoever came first is the way back
        before = [
            json.loads(row[1])["champion"]
            for row in registry.audit(name, "action, before, outcome")
            if row[0] == "promote" and row[2] == "done"
        ]
        assert before[0] is None
        assert before[1] == registry.state(name)[0]["previous"]


def test_a_promotion_and_a_rejection_at_once_are_one_after_the_other(place: tuple[Registry, str]) -> None:
    registry, _ = place

    def promote(name: str) -> None:
        with registry.by("rita"):
            registry.store.promote(name, 2)

    def reject(name: str) -> None:
        with registry.by("rob"):
            registry.store.review(name, 2, "reject", "counts rain")

    for _ in range(4):
        name = registry.model(2)
        with registry.by("rita"):
            registry.store.promote(name, 1)
        promoted, rejected = at_once(lambda name=name: promote(name), lambda name=name: reject(name))
        if promoted:
            assert "rob rejected it: counts rain" in promoted
            assert rejected == ""
            assert registry.state(name)[0]["champion"] == "1"
        else:
            assert "it is or was in Production" in rejected
            assert registry.state(name)[0]["champion"] == "2"
        assert_agrees(registry, name)


def test_of_two_operators_at_once_one_goes_back_and_the_other_is_told(place: tuple[Registry, str]) -> None:
    """Both have seen the same champion; two steps back would leave a version that nobody complained of."""
    registry, _ = place
    name = registry.model(3)
    for number in (1, 2, 3):
        with registry.by("rita"):
            registry.store.promote(name, number)
    store, both_looked = registry.store, threading.Barrier(2)
    seen = threading.local()

    def looking_together(session: Session, name: str) -> str | None:
        number = Moving._way_back(store, session, name)
        if not getattr(seen, "looked", False):
            seen.looked = True
            both_looked.wait(60)
        return number

    def back() -> None:
        with registry.by("otto"):
            store.rollback(name, "counts wrong")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_way_back", looking_together)
        said = sorted(at_once(back, back))
    assert said[0] == ""
    assert "somebody moved a version" in said[1]
    assert registry.state(name)[0]["champion"] == "2"
    assert_agrees(registry, name)


def test_killed_at_any_moment_registry_and_audit_agree(place: tuple[Registry, str]) -> None:
    registry, database = place
    name = registry.model(3)
    with registry.by("rita"):
        registry.store.promote(name, 1)
    chance = random.Random(os.environ.get("GOVERNANCE_SEED", "7"))  # noqa: S311
    entries = verify(registry.store.engine).entries
    for number in range(KILLS):
        here, there = _FORKS.Pipe()
        worker = _FORKS.Process(target=move, args=(database, name, number, there))
        worker.start()
        there.close()
        assert here.recv() == "ready"
        time.sleep(0.3 * chance.random())
        worker.kill()
        worker.join()
        assert_agrees(registry, name)
    assert verify(registry.store.engine).entries > entries + KILLS

"""What the pages tell is what the server decides by: whose word counts, who is the champion, what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from governed_office import Office, open_office
from mlflow.entities.model_registry import ModelVersionTag
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlModelVersionTag, SqlRegisteredModel
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from model_governance.governed.pages.history import history_of
from model_governance.governed.pages.waiting import PAGE, waiting
from model_governance.governed.store import GovernedStore
from model_governance.governed.tables import CREATORS, REVIEWS

NOT_APPROVED = "0 of 1 approvals by reviewer of these files and this evidence"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with open_office(tmp_path_factory.mktemp("office")) as opened:
        yield opened


def told(office: Office, number: str, user: str = "aud", name: str = "m") -> dict[str, Any]:
    return dict(json.loads(office.at(user).get("/api/version", name=name, version=number)[1]))


def words(office: Office, number: str) -> list[tuple[str, str, bool]]:
    """Who said what, and whether the page says that it counts; as everybody reads it."""
    seen = [
        [(each["reviewer"], each["verdict"], each["counts"]) for each in told(office, number, user)["reviews"]]
        for user in ("rita", "otto", "eve")  # eve has no role
    ]
    assert seen[0] == seen[1] == seen[2]
    return seen[0]


def role(office: Office, what: str, user: str, role: str = "reviewer") -> None:
    with office.as_("root"):
        getattr(office.store, what)(user, role)


def review(office: Office, user: str, number: str, verdict: str) -> None:
    with office.as_(user):
        office.store.review("m", number, verdict, f"{verdict} it")


def test_a_yes_counts_on_the_page_as_long_as_it_counts(office: Office) -> None:
    number = str(office.registered(1.0).version)
    review(office, "rita", number, "approve")
    assert words(office, number) == [("rita", "approve", True)]
    assert told(office, number, "otto")["missing"] == []
    role(office, "withdraw", "rita")
    assert told(office, number, "otto")["missing"] == [NOT_APPROVED]
    assert words(office, number) == [("rita", "approve", False)]
    assert "no longer counts" in office.at("otto").get("/version", name="m", version=number)[1]
    role(office, "grant", "rita")
    assert words(office, number) == [("rita", "approve", True)]


def test_a_no_counts_until_somebody_opens_it_again(office: Office) -> None:
    number = str(office.registered(2.0).version)
    review(office, "rita", number, "approve")
    review(office, "rob", number, "reject")
    assert words(office, number) == [("rita", "approve", True), ("rob", "reject", True)]
    review(office, "rob", number, "approve")  # a no is not taken back by a yes
    assert words(office, number)[1:] == [("rob", "reject", True), ("rob", "approve", True)]
    assert any("rob rejected it" in each for each in told(office, number, "otto")["missing"])
    review(office, "rita", number, "reopen")
    assert words(office, number) == [
        ("rita", "approve", False), ("rob", "reject", False), ("rob", "approve", False), ("rita", "reopen", True),
    ]  # fmt: skip
    assert told(office, number, "otto")["missing"] == [NOT_APPROVED]


def test_the_champion_of_the_pages_is_that_of_decisions(office: Office) -> None:
    """Also where somebody moved the alias in the database, which moves nothing."""
    first, second = (str(office.registered(value).version) for value in (3.0, 4.0))
    review(office, "rita", first, "approve")
    with office.as_("otto"):
        office.store.promote("m", first, "go")
    moved = text("UPDATE registered_model_aliases SET version = :number WHERE name = 'm' AND alias = 'champion'")
    with office.store.engine.begin() as connection:
        connection.execute(moved, {"number": second})
    try:
        assert told(office, second)["champion"] == first
        assert "it was judged against champion none, but the champion is " + first in " ".join(
            told(office, second)["missing"]
        )
        page = office.at("aud").get("/version", name="m", version=second)[1]
        assert "This version is in Production" not in page
    finally:
        with office.store.engine.begin() as connection:
            connection.execute(moved, {"number": first})


def acts(office: Office, name: str, number: str) -> list[tuple[str, str | None]]:
    """What the version's page says was done, oldest first, and the name that the model had then."""
    return [(each.action, each.model) for each in reversed(history_of(office.store.engine, name, number))]


def test_a_history_goes_on_under_a_new_name(office: Office) -> None:
    store = office.store

    def make(name: str) -> None:
        with office.as_("ann"):
            store.create_registered_model(name)
            store.create_model_version(name, f"/nowhere/{name}")
            store.set_model_version_tag(name, "1", ModelVersionTag("site", name))

    def rename(name: str, new: str) -> None:
        with office.as_("otto"):
            store.rename_registered_model(name, new)

    make("first")
    rename("first", "second")
    with office.as_("ann"):
        store.set_model_version_tag("second", "1", ModelVersionTag("site", "north"))
    rename("second", "third")
    with office.as_("ann"):
        store.delete_model_version_tag("third", "1", "site")
    old = [("create version", "first"), ("tag", "first"), ("tag", "second"), ("tag", "third")]
    assert acts(office, "third", "1") == old
    page = office.at("ann").get("/version", name="third", version="1")[1]
    assert "create version" in page

    # whoever takes a name that is free again starts with nothing, and gives away nothing either
    make("first")
    assert acts(office, "first", "1") == [("create version", "first"), ("tag", "first")]
    rename("first", "second")
    assert acts(office, "second", "1") == [("create version", "first"), ("tag", "first")]
    assert acts(office, "third", "1") == old
    # there and back again
    rename("third", "first")
    rename("first", "third")
    assert acts(office, "third", "1") == old
    # a deleted one's are its own
    with office.as_("ann"):
        store.delete_registered_model("second")
    make("second")
    assert acts(office, "second", "1") == [("create version", "second"), ("tag", "second")]


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """What is asked of the database in the block."""
    asked: list[str] = []

    def note(_: object, __: object, statement: str, *more: object) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_a_late_page_of_the_waiting_asks_no_more_than_the_first(tmp_path: Path) -> None:
    """3,000 versions of 30 models; every third is decided on, of every fifth model nothing is to be seen."""
    store = GovernedStore(f"governed+sqlite:///{tmp_path / 'many.db'}")
    models, versions, tags, said, made = [], [], [], [], []
    expected: list[tuple[int, int, str, int]] = []
    for place in range(3000):
        name, number, born = f"m{place % 30:02}", place // 30 + 1, 1_000_000 + place // 7  # some at the same time
        stage = "Staging" if place % 100 == 0 else "Archived" if place % 11 == 0 else "None"
        if number == 1:
            models.append({"name": name, "workspace": "default", "creation_time": 1, "last_updated_time": 1})
        version = {"workspace": "default", "name": name, "version": number}
        versions.append(
            version | {"creation_time": born, "current_stage": stage, "source": "/x", "status": "READY"}
        )
        tags.append(version | {"key": "review", "value": "rejected" if place % 3 == 0 else "pending"})
        tags.append(version | {"key": "gates", "value": "passed" if number % 2 else "failed"})
        tags.append(version | {"key": "artifact_digest", "value": "f" * 64})
        for digest, verdict in (("f" * 64, "changes"), ("f" * 64, "approve"), ("0" * 64, "changes")):
            reviewer = "rob" if digest[0] == "0" else "rita"
            said.append(
                {
                    "model": name,
                    "version": str(number),
                    "born": born,
                    "artifact_digest": digest,
                    "evidence_digest": "",
                    "reviewer": reviewer,
                    "verdict": verdict,
                    "comment": "",
                    "at": 1,
                }
            )
        made.append({"kind": "version", "id": f"{name}/{number}", "creator": f"by-{name}", "at": 1})
        if stage != "Archived" and place % 3 and (place % 30) % 5:
            expected.append((stage != "Staging", -born, name, -number))
    with store.engine.begin() as connection:
        for table, rows in (
            (SqlRegisteredModel.__table__, models),
            (SqlModelVersion.__table__, versions),
            (SqlModelVersionTag.__table__, tags),
            (REVIEWS, said),
            (CREATORS, made),
        ):
            connection.execute(table.insert(), rows)
    asked_for: list[str] = []

    def may_read(name: str) -> bool:
        asked_for.append(name)
        return bool(int(name[1:]) % 5)

    expected.sort()
    pages, counts, more, page = [], [], True, 0
    while more:
        asked_for.clear()
        with statements(store.engine) as asked:
            found, more = waiting(store.engine, may_read, page)
        counts.append(len(asked))
        assert sorted(asked_for) == sorted(each["name"] for each in models), "once for each model"
        pages.append(found)
        page += 1
    got = [each for found in pages for each in found]
    assert [(each.name, int(each.version)) for each in got] == [(name, -number) for _, _, name, number in expected]
    assert len(pages) == -(-len(expected) // PAGE) > 20
    assert counts == [counts[0]] * len(pages)
    assert counts[0] <= 5
    for each in got:
        assert each.gates == ("passed" if int(each.version) % 2 else "failed")
        assert (each.approvals, each.objections) == (("rita",), ())
        assert each.made == (("registered", f"by-{each.name}"),)
    # nobody turns further than to the last page, whatever number they ask for
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr("model_governance.governed.pages.waiting.LAST_PAGE", 3)
        assert waiting(store.engine, may_read, 10**15) == (pages[3], False)
        assert waiting(store.engine, may_read, 2) == (pages[2], True)
    few, more = waiting(store.engine, may_read, 0, "M01")
    assert ({each.name for each in few}, len(few), more) == ({"m01"}, PAGE, True)
    assert waiting(store.engine, lambda _: False) == ([], False)
    store.engine.dispose()


def test_the_roles_tell_who_else_may_know_the_password(office: Office) -> None:
    with office.as_("root"):
        office.store.password_set("rob")
    status, text = office.at("aud").get("/api/roles")
    assert status == 200, text
    rob, *_ = (each for each in json.loads(text)["roles"] if each["user"] == "rob")
    assert (rob["role"], rob["password_by"]) == ("reviewer", ["root"])

"""Facts are read when a decision looks at them, in its transaction, and never once the registry changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow.entities.model_registry import ModelVersionTag
from sqlalchemy import event

from model_governance.governed.actor import Actor, acting
from model_governance.governed.knowing import known
from model_governance.governed.questions import Ask
from model_governance.governed.reading import Read
from model_governance.governed.store import GovernedStore

DAY = 86_400_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[GovernedStore]:
    """A registry with the version 1 of `street`, which ann registered."""
    opened = GovernedStore(f"governed+sqlite:///{tmp_path}/registry.db")
    with acting(Actor("root", is_admin=True)):
        opened.grant("ann", "data_scientist")
    with acting(Actor("ann")):
        opened.create_registered_model("street")
        opened.create_model_version("street", str(tmp_path / "model"))
    yield opened
    opened.engine.dispose()


@contextmanager
def statements(store: GovernedStore) -> Iterator[list[str]]:
    """What is sent to the database inside the block, in small letters."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(" ".join(statement.lower().split()))

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(store.engine, "before_cursor_execute", note)


def test_a_plain_tag_reads_nothing_that_it_does_not_need(store: GovernedStore) -> None:
    with acting(Actor("ann")), statements(store) as seen:
        store.set_model_version_tag("street", "1", ModelVersionTag("colour", "red"))
    for table in (
        "governance_reviews",
        "governance_creators",
        "registered_model_tags",
        "registered_model_aliases",
    ):
        assert not [each for each in seen if table in each]
    # of the audit: who writes waits for the others once, and the end of the log moves once
    assert len([each for each in seen if each.startswith("update governance_audit_head")]) == 2
    assert len([each for each in seen if each.startswith("insert into governance_audit ")]) == 1


def test_deleting_a_version_reads_who_registered_it_and_what_was_decided(store: GovernedStore) -> None:
    with acting(Actor("ann")), statements(store) as seen:
        store.delete_model_version("street", "1")
    assert [each for each in seen if "from governance_creators" in each]
    assert [each for each in seen if "from governance_reviews" in each]


def test_what_nobody_looked_at_before_the_change_cannot_be_read_after_it(store: GovernedStore) -> None:
    ask = Ask("tag", "ann", frozenset({"data_scientist"}), "street", "1", "colour", "red")
    with store.ManagedSessionMaker() as session:
        facts = known(session, ask, store.rules, Read(), None, DAY)
        assert facts.registrar == "ann"
        facts.settle()
        assert (facts.registrar, facts.stage, facts.present) == ("ann", "None", None)
        with pytest.raises(RuntimeError, match="'standing' was not read before the registry changed"):
            _ = facts.standing


def test_each_fact_is_read_once(store: GovernedStore) -> None:
    ask = Ask("delete version", "ann", frozenset({"data_scientist"}), "street", "1")
    with store.ManagedSessionMaker() as session, statements(store) as seen:
        facts = known(session, ask, store.rules, Read(), None, DAY)
        assert (facts.registrar, facts.registrar, facts.decided, facts.decided) == ("ann", "ann", False, False)
    assert len([each for each in seen if "from governance_creators" in each]) == 1


def test_a_model_is_told_as_mlflow_tells_it(store: GovernedStore, tmp_path: Path) -> None:
    with acting(Actor("ann")):
        for _ in range(3):
            store.create_model_version("street", str(tmp_path / "model"))
        store.transition_model_version_stage("street", "2", "Archived", False)
        store.delete_model_version("street", "4")
        store.set_registered_model_alias("street", "blue", "3")
    mine = store.get_registered_model("street")
    mlflows = super(GovernedStore, store).get_registered_model("street")
    assert [dict(each) for each in mine.latest_versions] == [dict(each) for each in mlflows.latest_versions]
    assert {str(each.version) for each in mine.latest_versions} == {"2", "3"}
    assert (mine.name, mine.tags, mine.aliases) == (mlflows.name, mlflows.tags, mlflows.aliases)
    assert mine.last_updated_timestamp == mlflows.last_updated_timestamp

"""A governed registry without a server: people with roles, and models that were registered and judged.

with governed_registry(folder, "sqlite:///...") as registry:
    name = registry.model(1)
    with registry.by("rita"):
        registry.store.promote(name, 1, "looked at it")
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities.model_registry import ModelVersionTag
from mlflow.exceptions import MlflowException

from model_governance.artifact import artifact_digest
from model_governance.governed.actor import Actor, acting
from model_governance.governed.audit import verify
from model_governance.governed.current_policy import ServerPolicy
from model_governance.governed.store import GovernedStore
from model_governance.rules.governance import GovernanceRules

PEOPLE = {
    "ann": "data_scientist",
    "bob": "data_scientist",
    "rita": "reviewer",
    "rob": "reviewer",
    "otto": "operator",
    "aud": "auditor",
    "validator": "validator",
    "eve": "break_glass",
}


@dataclass
class Registry:
    """A governed store, and short ways to what tests need again and again."""

    store: GovernedStore
    folder: Path
    names: Iterator[int] = field(default_factory=itertools.count)

    def by(self, user: str, *, is_admin: bool = False) -> AbstractContextManager[Actor]:
        """Whatever is inside the block is asked for by this log-in."""
        return acting(Actor(user, "127.0.0.1", "a test", is_admin))

    def files(self, name: str, number: int) -> Path:
        """Where a version's files lie."""
        return self.folder / name / str(number)

    def model(self, versions: int, author: str = "ann", *, judged: bool = True) -> str:
        """Register a model with so many versions; gives its name."""
        name = f"street-{next(self.names)}"
        with self.by(author):
            self.store.create_registered_model(name)
        for _ in range(versions):
            self.version(name, author, judged=judged)
        return name

    def version(self, name: str, author: str = "ann", *, judged: bool = True) -> str:
        """Register one more version; gives its number."""
        number = len(list((self.folder / name).glob("*"))) + 1
        folder = self.files(name, number)
        folder.mkdir(parents=True)
        (folder / "MLmodel").write_text(f"flavors: {{}}\nname: {name}\nnumber: {number}\n")
        with self.by(author):
            made = self.store.create_model_version(name, str(folder))
        if judged:
            self.judge(name, number)
        return str(made.version)

    def judge(self, name: str, number: int, gates: str = "passed", evidence: str = "e" * 64) -> None:
        """Record evidence, as the validator's log-in does."""
        digest = artifact_digest(str(self.files(name, number)))
        with self.by("validator"):
            for key, value in (("artifact_digest", digest), ("evidence_digest", evidence), ("gates", gates)):
                self.tag(name, number, key, value)

    def tag(self, name: str, number: int, key: str, value: str) -> None:
        self.store.set_model_version_tag(name, str(number), ModelVersionTag(key, value))

    def stage(self, name: str, number: int, stage: str) -> None:
        self.store.transition_model_version_stage(name, str(number), stage, archive_existing_versions=False)

    def state(self, name: str) -> tuple[dict[str, str], dict[str, str]]:
        """Aliases, and the stage of each version."""
        aliases = {alias: str(at) for alias, at in self.store.get_registered_model(name).aliases.items()}
        found = self.store.search_model_versions(f"name='{name}'")
        return aliases, {str(each.version): each.current_stage for each in found}

    def audit(self, name: str, columns: str = "actor, action, outcome, comment") -> list[tuple[Any, ...]]:
        """The audit's entries on a model, oldest first."""
        with self.store.engine.connect() as connection:
            rows = connection.exec_driver_sql(
                f"SELECT {columns} FROM governance_audit WHERE model = '{name}' ORDER BY seq"  # noqa: S608
            )
            return [tuple(row) for row in rows]

    @contextmanager
    def refused(self, *sentences: str) -> Iterator[None]:
        """What is inside is refused with these words, changes nothing, and is told to the audit."""
        before = verify(self.store.engine).entries
        with pytest.raises(MlflowException) as caught:
            yield
        assert caught.value.error_code == "PERMISSION_DENIED", caught.value
        for sentence in sentences:
            assert sentence in caught.value.message
        check = verify(self.store.engine)
        assert check.whole
        assert check.entries == before + 1
        with self.store.engine.connect() as connection:
            last = connection.exec_driver_sql("SELECT outcome, comment FROM governance_audit ORDER BY seq DESC")
            assert tuple(last.first() or ()) == ("refused", caught.value.message)


def without_measuring(store: GovernedStore) -> GovernedStore:
    """The same store, not asking who measured: there are no runs beside these registries."""
    rules = GovernanceRules.model_validate({"evidence": {"measured_by": []}})
    store.server_policy = ServerPolicy(rules)
    return store


@contextmanager
def governed_registry(folder: Path, database: str) -> Iterator[Registry]:
    """A registry in a database of one's own, everybody of `PEOPLE` with their role."""
    store = without_measuring(GovernedStore(f"governed+{database}"))
    registry = Registry(store, folder)
    with registry.by("root", is_admin=True):
        for user, role in PEOPLE.items():
            store.grant(user, role)
    try:
        yield registry
    finally:
        store.engine.dispose()

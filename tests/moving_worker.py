"""A process that moves the versions of one model at random until somebody kills it."""

from __future__ import annotations

import random
from contextlib import suppress
from multiprocessing.connection import Connection

from mlflow.entities.model_registry import RegisteredModelTag
from mlflow.exceptions import MlflowException

from model_governance.governed.actor import Actor, acting
from model_governance.governed.store import GovernedStore
from tests.governed_registry import without_measuring


def move(database: str, name: str, seed: int, began: Connection) -> None:
    """Promote, challenge, review, tag and roll back, as whoever may and whoever may not."""
    chance = random.Random(seed)  # noqa: S311
    store = without_measuring(GovernedStore(f"governed+{database}"))
    began.send("ready")
    while True:
        version = str(chance.randint(1, 3))
        with acting(Actor(chance.choice(["ann", "rita", "rob", "otto", "eve"]))), suppress(MlflowException):
            what = chance.randrange(7)
            if what == 0:
                store.transition_model_version_stage(name, version, "Production", archive_existing_versions=True)
            elif what == 1:
                store.set_registered_model_alias(name, "champion", version)
            elif what == 2:
                store.transition_model_version_stage(name, version, "Staging", archive_existing_versions=False)
            elif what == 3:
                store.break_glass(name, version, "at random")
            elif what == 4:
                store.rollback(name, "at random")
            elif what == 5:
                store.review(name, version, chance.choice(["reject", "reopen", "approve"]), "at random")
            else:
                store.set_registered_model_tag(name, RegisteredModelTag("colour", str(chance.random())))

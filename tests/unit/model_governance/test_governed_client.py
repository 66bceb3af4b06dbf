"""The client side against a registry that governs itself: it asks, and agrees with what it reads afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.tracking._model_registry.utils import _get_store

from model_governance import (
    Policy,
    TransitionError,
    check,
    evaluation_of,
    promote,
    register,
    reject,
    reopen,
    rollback,
    sync,
)
from model_governance.governed.actor import Actor, acting
from model_governance.governed.current_policy import ServerPolicy
from model_governance.governed.store import GovernedStore
from model_governance.governed.tables import create_tables
from model_governance.rules.governance import GovernanceRules
from model_governance.standing import read_standing

ROLES = {"ann": "data_scientist", "rita": "reviewer", "otto": "operator", "validator": "validator"}


@pytest.fixture
def governed(store: str) -> Iterator[GovernedStore]:
    """The registry of the session's database, governed; gives the store that MLflow's client uses."""
    mlflow.set_registry_uri(f"governed+{store}")
    opened = _get_store(f"governed+{store}")
    create_tables(opened.engine)  # MLflow keeps the store, and the fixture puts the database back
    with acting(Actor("root", is_admin=True)):
        for user, role in ROLES.items():
            opened.grant(user, role)
    yield opened
    mlflow.set_registry_uri(store)


@pytest.fixture
def registered(governed: GovernedStore, make_model: Callable[..., str], policy: Policy) -> Callable[..., str]:
    """Log a model as Ann, measure and register it as the validator, and give its version."""

    def make(value: float, metrics: dict[str, float] | None = None, by: str = "validator") -> str:
        uri = make_model(value, evaluate=False)
        made = MlflowClient().get_logged_model(uri.removeprefix("models:/"))
        with acting(Actor("ann")):
            governed.record_creator("run", made.source_run_id)
        with acting(Actor(by)):
            with evaluation_of(uri), mlflow.start_run() as run:
                mlflow.log_metrics(metrics or {"score": 0.8, "latency_ms": 20.0}, model_id=made.model_id)
            governed.record_creator("run", run.info.run_id)
        with acting(Actor("validator")):
            return register(uri, "m", policy).version

    return make


def state() -> tuple[dict[str, str], dict[str, str]]:
    client = MlflowClient()
    aliases = {alias: str(at) for alias, at in client.get_registered_model("m").aliases.items()}
    return aliases, {str(v.version): v.current_stage for v in client.search_model_versions("name='m'")}


def test_register_promote_and_roll_back_as_without_a_governed_server(registered: Callable[..., str]) -> None:
    assert registered(1) == "1"
    assert state() == ({"challenger": "1"}, {"1": "Staging"})
    with acting(Actor("rita")):
        standing = promote("m", 1, "Rita", "counted by hand, it fits")
    assert (standing.champion, standing.pending) == ("1", False)
    registered(2)
    with acting(Actor("rita")):
        promote("m", 2, "Rita", "better at night")
    assert state() == (
        {"champion": "2", "serving": "2", "previous": "1"},
        {"1": "Archived", "2": "Production"},
    )
    with acting(Actor("otto")):
        back = rollback("m", "Otto", "counts rain")
    assert (back.champion, back.previous) == ("1", None)
    assert state()[1] == {"1": "Production", "2": "Archived"}
    assert check("m") == []
    with acting(Actor("otto")):
        assert sync("m", "Otto", "look").refused == ()


def test_a_refusal_is_the_packages_own_and_says_what_is_missing(registered: Callable[..., str]) -> None:
    registered(1)
    with (
        acting(Actor("ann")),
        pytest.raises(TransitionError, match=r"takes the role reviewer or operator.*you made or registered this"),
    ):
        promote("m", 1, "Rita", "signed with another name")
    assert state() == ({"challenger": "1"}, {"1": "Staging"})


def test_a_rejection_is_known_and_taken_back(registered: Callable[..., str]) -> None:
    registered(1)
    with acting(Actor("rita")):
        reject("m", 1, "Rita", "counts rain")
        assert state() == ({}, {"1": "Archived"})
        reopen("m", 1, "Rita", "it was snow")
    assert MlflowClient().get_model_version("m", "1").tags["review"] == "pending"
    assert read_standing(MlflowClient(), "m").challenger is None


def test_a_model_that_fails_its_gates_says_which(governed: GovernedStore, registered: Callable[..., str]) -> None:
    registered(1, metrics={"score": 0.4, "latency_ms": 20.0})
    assert state() == ({}, {"1": "None"})
    with acting(Actor("rita")):
        (sentence, *_) = governed.missing("m", 1)
    assert "score" in sentence
    assert "0.4" in sentence


def test_whoever_measures_is_read_from_the_evidence(
    governed: GovernedStore, registered: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MlflowException, match="by ann; figures count from an account of role validator alone"):
        registered(1, by="ann")
    with acting(Actor("rita")), pytest.raises(TransitionError, match="was measured in run"):
        promote("m", 1, "Rita", "they look fine to me")
    number = registered(2)
    assert state() == ({"challenger": number}, {"1": "None", number: "Staging"})
    with acting(Actor("rita")):
        assert governed.missing("m", number) == ()
    anybody = GovernanceRules.model_validate({"evidence": {"measured_by": []}})
    monkeypatch.setattr(governed, "server_policy", ServerPolicy(anybody))
    with acting(Actor("rita")):
        assert governed.missing("m", 1) == ()

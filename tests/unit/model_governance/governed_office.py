"""A governed registry in this process, its people, and MLflow's Flask pages over it; no server and no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from flask import Flask, g, request
from flask.testing import FlaskClient
from flask_wtf import CSRFProtect
from governed_models import log_constant, measure
from mlflow.entities.model_registry import ModelVersion
from mlflow.server import handlers
from plain_policy import POLICY

from model_governance import Policy, register
from model_governance.governed.actor import Actor, acting
from model_governance.governed.pages.mlflow_server import ServerFiles
from model_governance.governed.pages.site import pages_blueprint
from model_governance.governed.pages.sources import Account, Sources
from model_governance.governed.store import GovernedStore
from tests.empty_store import empty_store

__all__ = ["Office", "open_office"]

PEOPLE = {
    "ann": "data_scientist",
    "rita": "reviewer",
    "rob": "reviewer",
    "otto": "operator",
    "aud": "auditor",
    "val": "validator",
}


@dataclass(frozen=True)
class People:
    """Who may log in; `secret` models are read by ann alone, the experiment 0 by everybody."""

    names: tuple[str, ...] = (*PEOPLE, "root", "eve")

    def everybody(self) -> Sequence[Account]:
        return [Account(name, name == "root", ("MANAGE on model m",) * (name == "ann")) for name in self.names]

    def readable_models(self, user: str) -> Callable[[str], bool]:
        return lambda name: user == "ann" or not name.startswith("secret")

    def readable_experiments(self, user: str) -> Callable[[str], bool]:
        return lambda experiment: user != "eve"


@dataclass(frozen=True)
class Office:
    """The store, and the pages as somebody sees them."""

    store: GovernedStore
    app: Flask

    def at(self, user: str) -> Desk:
        """The pages as this user, in a browser of their own."""
        return Desk(self.app.test_client(), user)

    @contextmanager
    def as_(self, user: str) -> Iterator[None]:
        """Let this user act in the block."""
        with acting(Actor(user, "10.0.0.7", is_admin=user == "root")):
            yield

    def registered(self, value: float, score: float = 0.8) -> ModelVersion:
        """A model that ann logged, and that the validator measured and registered as a version of `m`."""
        with self.as_("ann"):
            uri = log_constant(value)
            self.store.record_creator("logged_model", uri.removeprefix("models:/"))
        with self.as_("val"):
            self.store.record_creator("run", measure(uri, {"score": score, "latency_ms": 20.0}))
            number = register(uri, "m", Policy.model_validate(POLICY)).version
        return self.store.get_model_version("m", number)


@dataclass(frozen=True)
class Desk:
    """A browser of somebody."""

    browser: FlaskClient
    user: str

    def get(self, path: str, /, **query: str) -> tuple[int, str]:
        """Status and text of a page or answer below ``/governance``."""
        answer = self.browser.get(f"/governance{path}", query_string=query, auth=(self.user, ""))
        return answer.status_code, answer.get_data(as_text=True)

    def post(self, path: str, /, *, forged: bool = False, **form: str) -> tuple[int, str]:
        """Send a form, with the token of the page that it stands on; `forged` leaves that out."""
        if not forged:
            form["csrf_token"] = self.token()
        answer = self.browser.post(f"/governance{path}", data=form, auth=(self.user, ""), follow_redirects=True)
        return answer.status_code, answer.get_data(as_text=True)

    def ask(self, path: str, headers: dict[str, str] | None = None, /, **body: str) -> tuple[int, dict]:  # type: ignore[type-arg]
        """POST JSON, as a program does."""
        answer = self.browser.post(
            f"/governance/api{path}", json=body, auth=(self.user, ""), headers=headers or {}
        )
        return answer.status_code, answer.get_json()

    def token(self) -> str:
        """The token that this browser's forms carry."""
        return str(self.browser.get("/token", auth=(self.user, "")).get_data(as_text=True))


@contextmanager
def open_office(folder: Path) -> Iterator[Office]:
    """Open the registry over `folder`, people with their roles, and the pages."""
    plain = empty_store(folder)
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", plain)
        patch.setattr(handlers, "_tracking_store", None)
        handlers._get_tracking_store(plain, str(folder / "mlruns"))
        mlflow.set_tracking_uri(plain)
        mlflow.set_registry_uri(f"governed+{plain}")
        store = GovernedStore(f"governed+{plain}")
        with acting(Actor("root", is_admin=True)):
            for user, role in PEOPLE.items():
                store.grant(user, role)
        yield Office(store, _app(store))
        store.engine.dispose()
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])


def _app(store: GovernedStore) -> Flask:
    app = Flask("office")
    app.secret_key = "a-key-for-tests-alone"
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False
    CSRFProtect(app)

    @app.before_request
    def log_in() -> None:
        name = request.authorization.username if request.authorization else ""
        g.acting = acting(Actor(str(name), "10.0.0.7", str(request.endpoint), name == "root"))
        g.acting.__enter__()

    @app.teardown_request
    def leave(_: BaseException | None) -> None:
        g.acting.__exit__(None, None, None)

    @app.get("/token")
    def token() -> str:
        return str(app.jinja_env.globals["csrf_token"]())  # type: ignore[operator]

    app.register_blueprint(pages_blueprint(Sources(lambda: store, People(), ServerFiles())))
    return app

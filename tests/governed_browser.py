"""What people do in a browser on a governed server: MLflow's own UI, and our pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import mlflow
from governed_models import log_constant, measure
from governed_server import MlflowServer, password

from model_governance import Policy, register

__all__ = ["POLICY", "as_somebody", "edit_aliases", "log_in", "registered", "transition", "version_in_mlflow"]

POLICY: dict[str, Any] = {
    "format_version": 1,
    "quality": [{"metric": "score", "min": 0.5, "reason": "worse is of no use"}],
    "performance": [{"metric": "latency_ms", "max": 100, "reason": "cameras do not wait"}],
    "champion": [
        {
            "metric": "score",
            "better": "higher",
            "worse_by_at_most": 0.05,
            "same_data": False,
            "reason": "no step back",
        }
    ],
}

_SLOW_MS = 60_000  # MLflow's UI is large, and a test machine may be busy


@contextmanager
def as_somebody(server: MlflowServer, user: str) -> Iterator[None]:
    """Let MLflow's client in this process log in as `user`."""
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(server.address(user))
    mlflow.set_registry_uri(server.address(user))
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])


def registered(
    server: MlflowServer, name: str, value: float, figures: Mapping[str, float], policy: Mapping[str, Any] = POLICY
) -> str:
    """A version of a model that ann logged, and that the validator measured and registered; gives its number."""
    with as_somebody(server, "ann"):
        uri = log_constant(value)
    with as_somebody(server, "validator"):
        measure(uri, figures)
        return register(uri, name, Policy.model_validate(policy)).version


def log_in(browser: Any, user: str, **options: Any) -> Any:
    """A page of a browser profile of its own, logged in as `user`; `problems` is what its console complains of."""
    context = browser.new_context(
        http_credentials={"username": user, "password": password(user)},
        viewport={"width": 1280, "height": 860},
        timezone_id="UTC",
        locale="en-GB",
        **options,
    )
    page = context.new_page()
    page.set_default_timeout(_SLOW_MS)
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda told: page.problems.append(told.text) if "Content Security" in told.text else None)
    return page


def version_in_mlflow(page: Any, server: MlflowServer, name: str, number: str) -> None:
    """Open the page of a version in MLflow's UI."""
    page.goto(f"{server.url}/#/models/{name}/versions/{number}")
    page.get_by_role("heading", name=f"Version {number}").wait_for()
    page.get_by_text("New model registry UI").wait_for()


def transition(page: Any, present: str, wanted: str) -> None:
    """Choose a stage in the Stage menu of the page of a version that is in stage `present`, and confirm."""
    page.get_by_role("status").filter(has_text=present).click()
    page.get_by_role("menuitem").filter(has_text=wanted).click()
    page.get_by_role("button", name="OK").click()
    page.get_by_role("dialog").wait_for(state="hidden")


def edit_aliases(page: Any, alias: str) -> Any:
    """Add an alias in the alias editor of the page of a version, and save; gives the dialog."""
    page.get_by_title("Edit aliases").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").fill(alias)
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Save aliases").click()
    return dialog

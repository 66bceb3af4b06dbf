"""Under an open policy the governed registry is MLflow's: each answer and each error the same, and all audited."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from model_governance.governed.actor import Actor, acting
from model_governance.governed.audit import verify
from model_governance.governed.store import GovernedStore
from model_governance.policy import load_policy
from tests.back_ends import BACK_ENDS, database
from tests.postgres import postgres

OPEN = """
format_version: 1
quality: [{metric: score, min: 0.5, reason: worse is of no use}]
governance: {enforce: false}
"""
TIMES = ("creation_time", "creation_timestamp", "last_updated_timestamp")


def told(call: Callable[[], Any], folder: Path) -> Any:
    """What a call gave, or how it failed; without times, places and what the database itself says."""
    try:
        answer = call()
    except MlflowException as error:
        return error.error_code, error.message.partition(" Error: (")[0].replace(str(folder), "FOLDER")
    return plain(answer, folder)


def plain(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [plain(each, folder) for each in value]
    if hasattr(value, "__dict__"):
        return {
            key: plain(each, folder) for key, each in sorted(vars(value).items()) if key.lstrip("_") not in TIMES
        }
    return value.replace(str(folder), "FOLDER") if isinstance(value, str) else value


def flows(client: MlflowClient, folder: Path) -> list[Any]:
    """The flows of MLflow's documentation of its registry, and its errors, one answer after the other."""
    source = str(folder / "model")
    calls: list[Callable[[], Any]] = [
        lambda: client.create_registered_model("m", {"task": "count"}, "counts"),
        lambda: client.create_registered_model("m"),
        lambda: client.create_registered_model("a/b"),
        lambda: client.create_registered_model(""),
        lambda: client.create_model_version(
            "m", source, tags={"gates": "passed", "colour": "red"}, description="d"
        ),
        lambda: client.create_model_version("m", source),
        lambda: client.create_model_version("m", f"models:/{'m'}/1"),
        lambda: client.create_model_version("nothing", source),
        lambda: client.update_registered_model("m", "still counts"),
        lambda: client.update_model_version("m", "1", "better"),
        lambda: client.update_model_version("m", "9", "better"),
        lambda: client.set_registered_model_tag("m", "governance.standing", "anything"),
        lambda: client.delete_registered_model_tag("m", "governance.standing"),
        lambda: client.delete_registered_model_tag("m", "never set"),
        lambda: client.set_model_version_tag("m", "1", "review", "approved"),
        lambda: client.set_model_version_tag("m", "1", "", "no name"),
        lambda: client.set_model_version_tag("m", "9", "review", "approved"),
        lambda: client.delete_model_version_tag("m", "1", "colour"),
        lambda: client.transition_model_version_stage("m", "1", "Production"),
        lambda: client.transition_model_version_stage("m", "2", "production"),
        lambda: client.transition_model_version_stage("m", "3", "Staging"),
        lambda: client.search_model_versions("name='m'"),
        lambda: client.transition_model_version_stage("m", "3", "Production", archive_existing_versions=True),
        lambda: client.search_model_versions("name='m'", order_by=["version_number ASC"]),
        lambda: client.transition_model_version_stage("m", "1", "Archived", archive_existing_versions=True),
        lambda: client.transition_model_version_stage("m", "1", "Nowhere"),
        lambda: client.transition_model_version_stage("m", "9", "Production"),
        lambda: client.get_latest_versions("m", ["Production"]),
        lambda: client.set_registered_model_alias("m", "champion", "1"),
        lambda: client.set_registered_model_alias("m", "champion", "2"),
        lambda: client.set_registered_model_alias("m", "latest", "2"),
        lambda: client.set_registered_model_alias("m", "v1", "2"),
        lambda: client.set_registered_model_alias("m", "champion", "9"),
        lambda: client.get_model_version_by_alias("m", "champion"),
        lambda: client.get_model_version_by_alias("m", "serving"),
        lambda: client.delete_registered_model_alias("m", "champion"),
        lambda: client.delete_registered_model_alias("m", "champion"),
        lambda: client.copy_model_version("models:/m/1", "copied"),
        lambda: client.get_model_version_download_uri("copied", "1"),
        lambda: client.rename_registered_model("m", "n"),
        lambda: client.rename_registered_model("n", "copied"),
        lambda: client.get_registered_model("n"),
        lambda: client.get_registered_model("m"),
        lambda: client.search_registered_models("name LIKE '%'"),
        lambda: client.search_registered_models("tags.task = 'count'"),
        lambda: client.delete_model_version("n", "2"),
        lambda: client.delete_model_version("n", "2"),
        lambda: client.get_model_version("n", "2"),
        lambda: client.create_model_version("n", source),
        lambda: client.delete_registered_model("n"),
        lambda: client.delete_registered_model("n"),
        lambda: client.search_model_versions(""),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return [told(call, folder) for call in calls]


@pytest.fixture(params=BACK_ENDS)
def governed_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of a database for the governed registry."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'governed.db'}"
        return
    with postgres() as server:
        yield database(server, "governed")


def test_each_answer_is_that_of_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, governed_store: str
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "open.yaml").write_text(OPEN)
    monkeypatch.setenv("MODEL_GOVERNANCE_POLICY", str(tmp_path / "open.yaml"))
    assert load_policy(tmp_path / "open.yaml").governance is not None
    # SQLite's in both cases: over psycopg MLflow 3.17 itself cannot archive the versions before
    plain_store = f"sqlite:///{tmp_path / 'plain.db'}"
    expected = flows(MlflowClient(plain_store, registry_uri=plain_store), tmp_path)
    client = MlflowClient(governed_store, registry_uri=f"governed+{governed_store}")
    with acting(Actor("ann")):
        got = flows(client, tmp_path)
    for number, (wanted, came) in enumerate(zip(expected, got, strict=True)):
        assert came == wanted, f"call {number}"
    assert sum(isinstance(each, tuple) for each in expected) > 15  # the errors are among them
    store = GovernedStore(f"governed+{governed_store}")
    assert verify(store.engine).problems == ()
    with store.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT actor, outcome, detail FROM governance_audit")
        rows = found.fetchall()
    assert len(rows) == 25  # each call above that changed something, and a copy is two
    assert {(row[0], row[1], json.loads(row[2])["enforced"]) for row in rows} == {("ann", "done", False)}

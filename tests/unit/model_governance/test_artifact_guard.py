"""Whose files lie where, however the address is spelled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities.model_registry import ModelVersionTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as TrackingStore

from model_governance.governed.actor import Actor, acting
from model_governance.governed.artifact_guard import ArtifactGuard, Holder, Source, place_of
from model_governance.governed.records import LOGGED_MODEL, RUN
from model_governance.governed.store import GovernedStore

DESTINATION = "s3://bucket/mlflow"
NAME = st.text("abcdefgh0123456789-_", min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("mlflow-artifacts:/1/ab/artifacts", "s3://bucket/mlflow/1/ab/artifacts"),
        ("mlflow-artifacts://host:5000/1/ab/artifacts/", "s3://bucket/mlflow/1/ab/artifacts"),
        ("https://host/api/2.0/mlflow-artifacts/artifacts/1//ab", "s3://bucket/mlflow/1/ab"),
        ("https://host/ajax-api/2.0/mlflow-artifacts/artifacts/1/ab", "s3://bucket/mlflow/1/ab"),
        ("s3://bucket/mlflow/1/./ab", "s3://bucket/mlflow/1/ab"),
        ("mlflow-artifacts:/1/%61b", "s3://bucket/mlflow/1/ab"),
        ("s3://other/mlflow/1/ab", "s3://other/mlflow/1/ab"),
        ("file:///srv/models/1", "/srv/models/1"),
        ("/srv/models/../models/1/", "/srv/models/1"),
    ],
)
def test_one_place_has_one_spelling(uri: str, place: str) -> None:
    assert place_of(uri, DESTINATION) == place


@given(
    parts=st.lists(NAME, min_size=1, max_size=5),
    quoted=st.integers(0, 3),
    between=st.sampled_from(["/", "//", "/./"]),
    end=st.sampled_from(["", "/", "/."]),
)
def test_disguises_lead_to_the_same_place(parts: list[str], quoted: int, between: str, end: str) -> None:
    spelled = between.join(parts) + end
    for _ in range(quoted):
        spelled = "".join(f"%{ord(each):02x}" for each in spelled[:3]) + spelled[3:]
    assert place_of(f"mlflow-artifacts:/{spelled}", "/srv/artifacts") == "/srv/artifacts/" + "/".join(parts)


def test_a_link_on_the_disk_is_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "artifacts" / "1").mkdir(parents=True)
    (tmp_path / "artifacts" / "2").symlink_to(tmp_path / "artifacts" / "1")
    assert place_of("mlflow-artifacts:/2/a", str(tmp_path / "artifacts")) == str(
        tmp_path / "artifacts" / "1" / "a"
    )


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A registry with two versions of Ann's from one run; the evidence of the first lies in another run."""
    tmp_path = tmp_path_factory.mktemp("team")
    database = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracking = TrackingStore(database, "mlflow-artifacts:/")
    registry = GovernedStore(f"governed+{database}")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(database)  # where the registry looks for the run of an address
    guard = ArtifactGuard(registry.engine, lambda: tracking, str(tmp_path / "artifacts"))
    with acting(Actor("root", is_admin=True)):
        registry.grant("ann", "data_scientist")
        registry.grant("validator", "validator")
    experiment = tracking.create_experiment("street")
    run, other = (tracking.create_run(experiment, "ann", 0, [], "run").info.run_id for _ in range(2))
    with acting(Actor("ann")):
        registry.create_registered_model("street")
        registry.create_model_version("street", f"mlflow-artifacts:/{experiment}/{run}/artifacts/model", run)
        registry.create_model_version("street", f"runs:/{run}/again", run)
    with acting(Actor("validator")):
        for key, value in (("source_run_id", other), ("evidence", "governance/ab")):
            registry.set_model_version_tag("street", "1", ModelVersionTag(key, value))
    mlflow.set_tracking_uri(before)
    yield SimpleNamespace(guard=guard, registry=registry, experiment=experiment, run=run, other=other)
    registry.engine.dispose()
    tracking.engine.dispose()


@pytest.mark.parametrize(
    ("path", "holder"),
    [
        ("{run}/artifacts/model/weights.bin", Holder("street", "1")),
        ("{run}/artifacts/model", Holder("street", "1")),
        ("{run}/artifacts/again/weights.bin", Holder("street", "2")),
        ("{run}", Holder("street", "1")),
        ("{run}/artifacts/model2/weights.bin", None),
        ("{run}/artifacts/figures/loss.png", None),
        ("{other}/artifacts/governance/ab/evidence.json", Holder("street", "1", "evidence")),
        ("{other}/artifacts", Holder("street", "1", "evidence")),
        ("{other}/artifacts/governance/cd/evidence.json", None),
    ],
)
def test_a_place_belongs_to_the_version_that_was_registered_from_it(
    path: str, holder: Holder | None, team: Any
) -> None:
    place = team.guard.place(f"{team.experiment}/{path.format(run=team.run, other=team.other)}")
    assert team.guard.holder(place) == holder


def test_runs_and_experiments_behind_versions_are_known(team: Any) -> None:
    assert team.guard.of_run(team.run) == Holder("street", "1")
    assert team.guard.of_run(team.other) == Holder("street", "1", "evidence")
    assert team.guard.of_run("f" * 32) is None
    assert str(team.guard.of_experiment(int(team.experiment))).endswith("of 'street'")
    assert team.guard.of_experiment(0) is None


def test_the_experiment_of_a_version_that_names_no_run_is_known(team: Any) -> None:
    experiment = team.guard.tracking().create_experiment("nameless")
    run = team.guard.tracking().create_run(experiment, "ann", 0, [], "run").info.run_id
    mlflow.set_tracking_uri(str(team.registry.engine.url))
    with acting(Actor("ann")):
        team.registry.create_registered_model("nameless")
        team.registry.create_model_version("nameless", f"runs:/{run}/model")
    assert team.guard.of_experiment(int(experiment)) == Holder("nameless", "1")


def test_what_goes_with_an_experiment_is_what_still_is_there(team: Any) -> None:
    tracking = team.guard.tracking()
    experiment = tracking.create_experiment("gone")
    runs = [tracking.create_run(experiment, "ann", 0, [], "run").info.run_id for _ in range(2)]
    models = [tracking.create_logged_model(experiment).model_id for _ in range(2)]
    tracking.delete_run(runs[0])
    tracking.delete_logged_model(models[0])
    assert team.guard.in_experiment(int(experiment)) == [(RUN, runs[1]), (LOGGED_MODEL, models[1])]
    assert team.guard.in_experiment(10**6) == []


def test_what_a_deleted_version_was_made_of_is_free_again(team: Any) -> None:
    place = team.guard.place(f"{team.experiment}/{team.run}/artifacts/third/weights.bin")
    mlflow.set_tracking_uri(str(team.registry.engine.url))
    with acting(Actor("ann")):
        made = team.registry.create_model_version("street", f"runs:/{team.run}/third", team.run)
        assert team.guard.holder(place) == Holder("street", str(made.version))
        team.registry.delete_model_version("street", made.version)
    assert team.guard.holder(place) is None


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (Source("models:/m-1"), None),
        (Source("runs:/ab/model"), None),
        (Source("mlflow-artifacts:/1/{run}/artifacts/more", "{run}"), None),
        (Source("mlflow-artifacts:/1/{other}/artifacts/more", "{run}"), "in no folder of a run"),
        (Source("s3://elsewhere/model", "{run}"), "in no folder of a run"),
        (Source("s3://elsewhere/model"), "in no folder of a run"),
        (Source("mlflow-artifacts:/1/{run}/artifacts/%6dodel", "{run}"), "plain letters"),
    ],
)
def test_only_what_can_be_kept_is_registered(source: Source, says: str | None, team: Any) -> None:
    names = {"run": team.run, "other": team.other}
    found = team.guard.unguardable(Source(source.uri.format(**names), source.run_id.format(**names)))
    assert found is None if says is None else says in found

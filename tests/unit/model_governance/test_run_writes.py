"""Who may write into what somebody else measured or made, and who is an author by doing so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from governed_office import Office, open_office
from mlflow.exceptions import MlflowException

from model_governance.governed.actor import Actor
from model_governance.governed.records import LOGGED_MODEL, RUN
from model_governance.governed.run_writes import RunWrites, named_in

MEASURED, TRAINED, NOBODYS = 32 * "a", 32 * "b", 32 * "c"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with open_office(tmp_path_factory.mktemp("office")) as opened:
        with opened.as_("val"):
            opened.store.record_creator(RUN, MEASURED)
        with opened.as_("ann"):
            opened.store.record_creator(RUN, TRAINED)
        yield opened


@pytest.fixture
def writes(office: Office) -> RunWrites:
    return RunWrites(office.store.engine, lambda: office.store.rules)


@pytest.mark.parametrize("who", ["ann", "rita", "root", "eve"])
def test_what_the_validator_measured_is_written_by_it_alone(writes: RunWrites, who: str) -> None:
    assert writes.trouble(Actor("val"), [(RUN, MEASURED)]) is None
    why = writes.trouble(Actor(who), [(RUN, MEASURED)])
    assert why is not None
    assert "val alone writes there" in why
    assert writes.trouble(Actor(who), [(RUN, TRAINED), (RUN, MEASURED)]) == why


def test_what_the_validator_measured_goes_with_no_experiment_of_others(writes: RunWrites) -> None:
    others = [(RUN, f"{number:032x}") for number in range(900)]
    things = [(RUN, TRAINED), (LOGGED_MODEL, "m-" + MEASURED), *others]
    for who in ("ann", "root", "val"):
        assert writes.loss(Actor(who), things) is None
    for who in ("ann", "root"):
        why = writes.loss(Actor(who), [*things, (RUN, MEASURED)])
        assert why is not None
        assert f"run {MEASURED} in it is val's" in why
        assert "give val MANAGE on it and let it delete what it made there first" in why
    assert writes.loss(Actor("val"), [*things, (RUN, MEASURED)]) is None


def test_people_write_into_each_others_runs(writes: RunWrites) -> None:
    for who in ("ann", "rita", "eve"):
        assert writes.trouble(Actor(who), [(RUN, TRAINED), (RUN, NOBODYS), (LOGGED_MODEL, "m-" + TRAINED)]) is None


def test_whoever_writes_the_files_is_an_author_and_approves_nothing(office: Office, writes: RunWrites) -> None:
    version = office.registered(50.0)
    model = str(version.source).removeprefix("models:/")
    writes.remember(Actor("ann"), [(LOGGED_MODEL, model)])  # her own
    writes.remember(Actor("rita"), [(LOGGED_MODEL, model)])
    writes.remember(Actor("rita"), [(LOGGED_MODEL, model)])
    with office.as_("rita"):
        with pytest.raises(MlflowException, match="you made or registered this version and cannot approve it"):
            office.store.review("m", version.version, "approve", "mine")
        with pytest.raises(MlflowException, match="cannot approve it"):
            office.store.promote("m", version.version, "mine")
    with office.as_("rob"):
        office.store.review("m", version.version, "approve", "looked at it")


def test_files_that_were_rejected_stay_so_under_another_name(office: Office) -> None:
    version = office.registered(60.0)
    with office.as_("rita"):
        office.store.review("m", version.version, "reject", "blind in the rain")
    with office.as_("val"):
        office.store.create_registered_model("again")
        copied = office.store.create_model_version(
            "again", str(version.source), tags=[], model_id=str(version.source).removeprefix("models:/")
        )
    with office.as_("rob"):
        missing = office.store.missing("again", copied.version, "promote")
        assert "rita rejected it: blind in the rain (as 'm')" in missing
        office.store.review("again", copied.version, "reopen", "another street, without rain")
        assert not [each for each in office.store.missing("again", copied.version, "promote") if "rain" in each]


def test_a_copy_that_is_opened_again_takes_back_no_rejection_of_the_first(office: Office) -> None:
    version = office.registered(70.0)
    model = str(version.source).removeprefix("models:/")
    with office.as_("rob"):
        office.store.review("m", version.version, "reject", "biased on children")
    with office.as_("val"):
        office.store.create_registered_model("junk")
        copied = office.store.create_model_version("junk", str(version.source), tags=[], model_id=model)
    with office.as_("rita"):
        office.store.review("junk", copied.version, "reopen", "a slip")
        assert "rob rejected it: biased on children" in office.store.missing("m", version.version, "promote")


@pytest.mark.parametrize(
    ("place", "named"),
    [
        (f"/srv/artifacts/1/{MEASURED}/artifacts/x.png", [(RUN, MEASURED)]),
        (f"s3://bucket/1/models/m-{MEASURED}/artifacts", [(LOGGED_MODEL, f"m-{MEASURED}")]),
        (f"/srv/1/{MEASURED}x/artifacts", []),
        (f"/srv/1/{MEASURED}/{TRAINED}", [(RUN, MEASURED), (RUN, TRAINED)]),
        ("/srv/1", []),
    ],
)
def test_a_place_names_its_runs(place: str, named: list[tuple[str, str]]) -> None:
    assert named_in(place) == named

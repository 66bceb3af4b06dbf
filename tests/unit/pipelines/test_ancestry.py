"""Whose weights a model's go back to, on a real tracking server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from own_store import own_store

from pipelines import ancestry as module
from pipelines.ancestry import CHECKPOINT_TAG, LAST_CHECKPOINT_TAG, Ancestry, ancestry


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One for all tests: each names checkpoints of its own."""
    with own_store(tmp_path_factory.mktemp("store")):
        yield


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _trained(
    made: str | None = None,
    begun_with: str | None = None,
    weights: str = "best.pt",
    experiment: str | None = None,
    **tags: str,
) -> str:
    """A training as the train step records it; checkpoints by names."""
    with mlflow.start_run(experiment_id=experiment) as run:
        digest = "None" if begun_with is None else _digest(begun_with)
        given = {"weights": weights, "weights_digest": digest} if begun_with or weights != "best.pt" else {}
        mlflow.log_params(given or {"weights": "None", "weights_digest": "None"})
        mlflow.set_tags({**tags, **({CHECKPOINT_TAG: _digest(made)} if made else {})})
    return str(run.info.run_id)


def test_a_training_from_scratch_has_no_ancestors() -> None:
    run = _trained("a0")
    assert ancestry(run) == Ancestry((run,), ())


def test_a_chain_is_followed_to_its_end_also_across_experiments() -> None:
    first = _trained("a1", experiment=MlflowClient().create_experiment("another"))
    second = _trained("b1", begun_with="a1")
    again = _trained("b1", begun_with="a1")  # the same training made again gives the same checkpoint
    optimised = _trained(optimised_from_run=_trained("c1", begun_with="b1"))
    found = ancestry(optimised)
    assert found.runs[0] == optimised
    assert set(found.runs[2:4]) == {second, again}
    assert found.runs[4:] == (first,)
    assert found.unknown == ()


def test_the_last_checkpoint_leads_back_as_the_best_one_does() -> None:
    first = _trained("best9", **{LAST_CHECKPOINT_TAG: _digest("last9")})
    assert ancestry(_trained(begun_with="last9", weights="last-16.pt")).runs[1:] == (first,)


def test_runs_that_go_back_to_one_another_end() -> None:
    one, other = _trained("a2", begun_with="b2"), _trained("b2", begun_with="a2")
    assert ancestry(one).runs == (one, other)
    own = _trained("c2", begun_with="c2")
    assert ancestry(own) == Ancestry((own,), ())


def test_weights_given_by_an_address_name_their_run() -> None:
    first = _trained("a3")
    assert ancestry(_trained(weights=f"runs:/{first}/checkpoint/best.pt")).runs[1:] == (first,)
    assert ancestry(_trained(weights="models:/nobody/3")).unknown == ("the weights models:/nobody/3",)


def test_weights_that_no_run_made_are_told() -> None:
    run = _trained("a4", begun_with="public4", weights="yolo11n.pt")
    told = (f"the weights yolo11n.pt (SHA-256 {_digest('public4')[:16]})",)
    assert ancestry(run) == Ancestry((run,), told)
    nowhere = ancestry(_trained(optimised_from_run="0" * 32)).unknown
    assert len(nowhere) == 1
    assert "which is gone" in nowhere[0]


@pytest.mark.parametrize("what", ["run", "experiment"])
def test_who_deletes_a_training_does_not_make_its_weights_unknown(what: str) -> None:
    experiment = MlflowClient().create_experiment(f"deleted {what}")
    gone = _trained(f"{what} 6", experiment=experiment)
    child = _trained(begun_with=f"{what} 6")
    if what == "run":
        MlflowClient().delete_run(gone)
    else:
        MlflowClient().delete_experiment(experiment)
    assert ancestry(child) == Ancestry((child, gone), ())


def test_a_chain_that_is_too_long_is_not_taken_for_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    runs = [_trained("0 of 5")]
    for number in range(1, 5):
        runs.append(_trained(f"{number} of 5", begun_with=f"{number - 1} of 5"))
    found = ancestry(runs[-1])
    assert found.runs == tuple(reversed(runs[-3:]))
    assert "beyond 3 runs" in found.unknown[0]
    with pytest.raises(MlflowException):
        ancestry("0" * 32)

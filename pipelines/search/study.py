"""A study that survives its process: trials in a database, each begun once and finished once."""

from __future__ import annotations

import fcntl
import random
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from pipelines.search.space import SearchError, SearchSpace
from pipelines.trainers.training_folder import write_whole

__all__ = [
    "MOST_ATTEMPTS",
    "alone",
    "attempt_of",
    "counted",
    "next_trial",
    "open_study",
    "place_of",
    "queued",
    "try_again",
]

_BOUND = "bound_to"
_PLACE = "place"
DUPLICATE = "duplicate_of"
_RETRY, _ATTEMPT = "retry_of", "attempt"
MOST_ATTEMPTS = 3
"""How often the same is tried, the first time included, before it is taken not to work."""
# Between its beginning and its place a trial needs milliseconds. Clocks of machines differ by less than this.
_ORPHANED = timedelta(minutes=10)
# So many repetitions in a row, and a space that cannot be listed is taken to be exhausted.
_DUPLICATES_IN_A_ROW = 50


def open_study(storage: str, name: str, *, seed: int, trials: int, bound_to: Mapping[str, Any]) -> optuna.Study:
    """The study of this name: begun now, or gone on with.

    Parameters
    ----------
    storage : str
        A SQLAlchemy URL: ``sqlite:///study.db``, ``postgresql+psycopg://...``.
    name : str
    seed : int
        Of the sampler, TPE for several objectives (Ozaki et al., 2022, doi:10.1613/jair.1.13188).
    trials : int
        How many are planned: a third of them, ten at most, are drawn at random before TPE draws conclusions.
    bound_to : mapping
        What all trials must have in common to be compared: data, space, epochs.

    Raises
    ------
    SearchError
        Where the storage cannot be opened, or holds a study of this name on other data.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        try:
            study = optuna.create_study(study_name=name, storage=storage, directions=["minimize", "minimize"])
        except DuplicatedStudyError:
            study = optuna.load_study(study_name=name, storage=storage)
        drawn = len(study.get_trials(deepcopy=False))
        if not drawn and _BOUND not in study.user_attrs:
            study.set_user_attr(_BOUND, dict(bound_to))
    except (SQLAlchemyError, ImportError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SearchError(
            f"expected a database for the study at {storage.partition('://')[0]}://..., "
            f"it cannot be opened: {reason}"
        ) from error
    found = study.user_attrs.get(_BOUND, {})
    differing = sorted(key for key in {*found, *bound_to} if found.get(key) != bound_to.get(key))
    if differing:
        changes = "; ".join(f"{key} was {found.get(key)!r}, is {bound_to.get(key)!r}" for key in differing)
        raise SearchError(
            f"the study {name!r} is one of another search ({changes}): its trials cannot be compared with new "
            "ones; give the settings it began with, or another --study"
        )
    # Numbers already drawn are not drawn again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + drawn, n_startup_trials=max(3, min(10, trials // 3)))
    return study


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder of a study, as long as this process lives.

    Raises
    ------
    SearchError
        Where another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SearchError(
                f"another process is searching in {folder}: wait for it, stop it, or give another --work"
            ) from error
        yield


def place_of(folder: Path) -> str:
    """An id of this folder: trials that were begun in it can be taken up in it, whatever the machine is called."""
    path = folder / "place"
    if not path.exists():
        write_whole(path, uuid.uuid4().hex)
    return path.read_text(encoding="utf-8")


def next_trial(study: optuna.Study, space: SearchSpace, place: str) -> Trial | None:
    """The trial to work on: one that a killed process left behind in this place, else a new one.

    Call it only while holding the place's folder. None where whatever the space holds has been tried.
    """
    for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if left.user_attrs.get(_PLACE) == place:
            trial = Trial(study, left._trial_id)
            space.propose(trial)  # what it had not drawn yet
            if _is_new(study, trial):
                return trial
    every = space.combinations()
    for _ in range(_DUPLICATES_IN_A_ROW):
        untried = None if every is None else _untried(study, every)
        if untried == [] and not queued(study):
            return None
        trial = _begin(study, place)
        space.propose(trial)
        if _is_new(study, trial):
            return trial
        if untried:
            # In a small space TPE goes on proposing what it likes; the next one to ask gets what is left.
            left_over = random.Random(trial.number).choice(untried)  # noqa: S311 - no secret
            study.enqueue_trial(left_over, user_attrs={_PLACE: place})
    return None


def _begin(study: optuna.Study, place: str) -> Trial:
    """A trial that says where it is worked on before it begins: killed in between, it is found again."""
    if not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial({}, user_attrs={_PLACE: place})
    trial = study.ask()
    trial.set_user_attr(_PLACE, place)  # it may be one that another place has queued
    return trial


def try_again(study: optuna.Study, place: str) -> int:
    """Queue what failed, each with the same values, at most `MOST_ATTEMPTS` times in all; how many there are.

    For the beginning of a search that is gone on with: by then somebody may have mended what was wrong. A trial
    whose process ended before it wrote down where it works belongs to nobody, and counts as failed.
    """
    long_ago = datetime.now() - _ORPHANED  # Optuna's times are local ones, too
    for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _PLACE not in left.user_attrs and left.datetime_start is not None and left.datetime_start < long_ago:
            with suppress(ValueError, UpdateFinishedTrialError):  # another process said so first
                study.tell(left.number, state=TrialState.FAIL)
    known = {trial.user_attrs.get(_RETRY) for trial in study.get_trials(deepcopy=False)}
    failed = [
        trial
        for trial in counted(study)
        if trial.state == TrialState.FAIL and trial.number not in known and attempt_of(trial) < MOST_ATTEMPTS
    ]
    for trial in failed:
        values = trial.params or trial.system_attrs.get("fixed_params", {})
        attempt = {_RETRY: trial.number, _ATTEMPT: attempt_of(trial) + 1}
        study.enqueue_trial(values, user_attrs={_PLACE: place, **attempt})
    return len(failed)


def attempt_of(trial: FrozenTrial) -> int:
    """The how many-th attempt at these values it is."""
    return int(trial.user_attrs.get(_ATTEMPT, 1))


def queued(study: optuna.Study) -> bool:
    """Whether something that failed waits to be tried again."""
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return any(_RETRY in trial.user_attrs for trial in waiting)


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that were really trained, or are being: without those that wait, that only repeated another, or
    that another attempt took the place of."""
    begun = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    anew = {trial.user_attrs.get(_RETRY) for trial in begun if DUPLICATE not in trial.user_attrs}
    return [trial for trial in begun if DUPLICATE not in trial.user_attrs and trial.number not in anew]


def _untried(study: optuna.Study, every: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tried = [trial.params for trial in counted(study)]
    return [each for each in every if each not in tried]


def _is_new(study: optuna.Study, trial: Trial) -> bool:
    """Whether no other trial has tried the same; one that has is put out of the count."""
    for other in counted(study):
        if other.number != trial.number and other.params == trial.params:
            trial.set_user_attr(DUPLICATE, other.number)
            # Failed, not pruned: TPE would take a pruned one for a bad place.
            study.tell(trial, state=TrialState.FAIL)
            return False
    return True

"""The step that makes a run again from its record: ``python -m pipelines.reproduce --run_id ...``.

The recorded commit is checked out beside the user's own checkout, the recorded changes are applied to it, the
data are fetched by their digest from the content-addressed store, and the very step runs with its recorded
settings in a process of its own. What comes out is held against what came out then.

On one machine a training on the CPU comes out equal to the last bit. On another processor, or with another number
of threads, sums are added up in another order, and training lets such differences grow; a GPU may differ from run
to run. So figures may differ by 0.01 (one point of a mAP, a hundredth of an object), or by 1 % of what is above 1,
unless another tolerance is given; with 0 every figure and the detector must be the very same.

What runs is the code that the run recorded, uncommitted changes included: reproduce runs of people whose code you
would run anyway.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import click
import mlflow
from mlflow import MlflowClient
from pydantic import Field

from pipelines.reproduction.comparison import Comparison, Facts, compare
from pipelines.reproduction.errors import ReproductionError
from pipelines.reproduction.facts import facts_of
from pipelines.reproduction.place import check_code, interpreter, recorded_code, scratch
from pipelines.reproduction.report import log_comparison
from pipelines.reproduction.rerun import restore_data, run_again, settings_here
from pipelines.reproduction.steps import REPEATABLE, Repeatable
from pipelines.run_params import log_params
from pipelines.settings import StepSettings, explained
from run_lineage import RunRecord, read_record
from run_lineage.run_record import ARITHMETIC

__all__ = ["REPRODUCES_TAG", "ReproduceResult", "ReproduceSettings", "main", "run"]

REPRODUCES_TAG = "reproduces"
"""Tag of a reproduction, with the run that it made again."""


class ReproduceSettings(StepSettings):
    """Which run, where its code is, and how near is near enough."""

    run_id: str = Field(description="the run that is made again")
    tolerance: float = Field(
        0.01, ge=0, description="figures may differ by this, or by this share of what is above 1; 0: by nothing"
    )
    env: Literal["same", "any", "uv"] = Field(
        "same",
        description="same: this environment, refused where its packages differ from the recorded ones; any: this "
        "environment whatever it holds; uv: one that uv builds from the recorded lock",
    )
    repository: Path = Field(Path(), description="git checkout that holds the run's commit")
    store: str | None = Field(
        None, description="content-addressed store of the data, where it is no longer where the run found it"
    )
    work: Path = Field(Path("workspace/reproduce"), description="folder for scratch places and environments")
    keep: bool = Field(False, description="keep the scratch place: code, data and what the step wrote")


@dataclass(frozen=True, slots=True)
class ReproduceResult:
    """The two runs side by side.

    Attributes
    ----------
    run_id : str
        The reproduction's run, which holds the comparison.
    rerun_id : str
        The run of the step that was run again, below it.
    comparison : Comparison
    """

    run_id: str
    rerun_id: str
    comparison: Comparison

    @property
    def reproduced(self) -> bool:
        return not self.comparison.outside and bool(self.comparison.compared)


def run(settings: ReproduceSettings) -> ReproduceResult:
    """Make a run again and compare.

    Raises
    ------
    run_lineage.RecordError
        Where the run recorded nothing, or its record was exchanged.
    ReproductionError
        Where code, environment, files or data are not to be had as they were, or the step failed this time.
    StoreError
        Where the store lacks the data, or holds altered ones.
    """
    record = read_record(settings.run_id)
    step = _repeatable(record)
    check_code(record, settings.repository)
    source = MlflowClient().get_run(settings.run_id)
    if source.info.status != "FINISHED":
        raise ReproductionError(
            f"the run {settings.run_id} is {source.info.status}: only what a finished run gave can be compared"
        )
    with (
        scratch(settings.work, keep=settings.keep) as place,
        recorded_code(record, settings.repository, place / "code", keep=settings.keep) as code,
    ):
        # Whatever is not to be had shows before a run is begun.
        if settings.keep:
            click.echo(f"kept: {place}", err=True)
        python, notes = interpreter(record, settings.env, code, settings.work / "environments")
        data = restore_data(settings.run_id, record, settings.store, place / "data") if step.data else None
        changed = settings_here(record, step, data, code, place)
        nested = mlflow.active_run() is not None
        with mlflow.start_run(run_name=f"reproduce {source.info.run_name}", nested=nested) as active:
            mlflow.set_tags({"step": "reproduce", REPRODUCES_TAG: settings.run_id})
            log_params(settings.model_dump(mode="json", include={"run_id", "tolerance", "env"}))
            click.echo(_warning(record), err=True)
            rerun_id = run_again(record, step, changed, of=settings.run_id, code=code, place=place, python=python)
            # Places, and what `mlflow run` logs under the settings' names, need not be the same.
            elsewhere = {*step.places, *step.fixed, *record.files, *([step.data] if step.data else [])}
            before, after = (facts_of(each, step, elsewhere) for each in (settings.run_id, rerun_id))
            before = _without_options(before, after, record)
            comparison = compare(before, after, settings.tolerance, exact=step.exact)
            log_comparison(comparison, settings.run_id, rerun_id, [*notes, *_notes(record)])
        return ReproduceResult(active.info.run_id, rerun_id, comparison)


def _warning(record: RunRecord) -> str:
    """Said before anything of it runs: a diff in a run's record is code that nobody may have reviewed."""
    changes = f" and its uncommitted changes of {_changed_files(record)} file(s)" if record.diff else ""
    return f"running the code of commit {record.commit}{changes} as recorded, with the rights of this process"


def _changed_files(record: RunRecord) -> int:
    return record.diff.count(b"\ndiff --git ") + 1


def _repeatable(record: RunRecord) -> Repeatable:
    step = REPEATABLE.get(record.step)
    if step is None:
        raise ReproductionError(
            f"the step {record.step!r} cannot be run again by itself, only {', '.join(REPEATABLE)}: give "
            "one of the runs below it"
        )
    if record.mixed:
        raise ReproductionError(
            "the run was interrupted and went on with other code, settings or packages (tag "
            "lineage.continued_with), so no single record makes it again"
        )
    return step


def _without_options(before: Facts, after: Facts, record: RunRecord) -> Facts:
    """Without the parameters that `mlflow run` logged because somebody gave them: the settings hold them all."""
    params = {
        name: value
        for name, value in before.params.items()
        if name in after.params or name.partition(".")[0] not in record.settings
    }
    return replace(before, params=params)


def _notes(record: RunRecord) -> list[str]:
    told = [f"not kept, taken for data: {path} ({why})" for path, why in list(record.new.items())[:20]]
    if record.diff:
        told.append(
            f"on top of the commit, the run's uncommitted changes of {_changed_files(record)} file(s) were applied"
        )
    here = {name: os.environ[name] for name in ARITHMETIC if name in os.environ}
    if here != dict(record.variables):
        told.append(
            f"variables set as the run had them: {dict(record.variables) or 'none'}, here {here or 'none'}"
        )
    return told


@explained
def main() -> None:
    """Exit code 1 where the repetition lies outside the tolerance, or could not be made."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # dozens of files of no interest
    result = run(ReproduceSettings.from_command_line())
    for row in result.comparison.outside[:20]:
        click.echo(
            f"{row.kind:7} {row.name}: was {row.recorded}, is {row.reproduced} {row.note}".rstrip(), err=True
        )
    click.echo(result.comparison.sentence)
    click.echo(f"run {result.run_id}")
    if not result.reproduced:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

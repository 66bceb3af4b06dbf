"""The optimise step: a model that counts well becomes a smaller or faster one. ``python -m pipelines.optimize``

Candidates are made, measured beside the model on the validation split, and kept where they gain something and
count hardly worse; the policy says how much. One that is kept is a logged model in a run of its own, to be
evaluated on the test split and registered like any other; of one that is refused only its figures remain.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
import mlflow
from mlflow.data.dataset import Dataset
from pydantic import Field

from model_governance import load_policy
from model_governance.policy import OptimisationRule, Policy
from pipelines.datasets.manifest import PreparedDataset, load_dataset
from pipelines.datasets.mlflow_dataset import CameraDataset
from pipelines.labelled_table import stored_source
from pipelines.optimisation import OptimisationError
from pipelines.optimisation.calibration import Calibration, choose_calibration
from pipelines.optimisation.candidates import Candidate, build
from pipelines.optimisation.kept import Kept, Record, log_candidate, parent_tags
from pipelines.optimisation.measuring import Validation, at_its_best, measure
from pipelines.optimisation.parent import Parent, opened_parent
from pipelines.optimisation.quantisation import Preset, nncf_version
from pipelines.optimisation.recipes import THRESHOLDS, Recipe, recipes
from pipelines.optimisation.report import Row, figures_of, plot, table
from pipelines.optimisation.thresholds import COUNT_ERRORS
from pipelines.optimisation.verdict import Figures, judge
from pipelines.settings import StepSettings, explained

__all__ = ["OptimizeResult", "OptimizeSettings", "main", "run"]


class OptimizeSettings(StepSettings):
    """Which model is optimised, how, and on which data."""

    model_uri: str = Field(description="models:/m-..., models:/<name>/<version>, models:/<name>@<alias>")
    data: Path = Field(
        description="folder of a prepared data set: its train split calibrates, its val split judges"
    )
    policy: Path = Field(
        Path(__file__).with_name("policy.yaml"), description="policy file; its section optimisation is read"
    )
    only: Literal["thresholds"] | None = Field(
        None, description="thresholds: fit the threshold anew, on new labels, say, and leave the detector as it is"
    )
    precisions: tuple[Literal["own", "fp16", "int8"], ...] = Field(
        ("own", "fp16", "int8"), min_length=1, description="what the weights are stored and computed in"
    )
    shapes: tuple[str, ...] = Field(
        ("own", "fit"),
        min_length=1,
        description="inputs: own, fit (the smallest that holds the pictures at the same scale), <width>x<height>",
    )
    preset: Preset = Field("mixed", description="INT8: mixed keeps more, performance is faster on some machines")
    calibration: int = Field(300, ge=1, description="INT8: pictures of the train split, evenly from its cameras")
    timed: int = Field(40, ge=1, description="pictures of the val split that are timed")
    rounds: int = Field(3, ge=1, description="how often each of them is timed")
    seed: int = Field(0, ge=0, description="of the choice of calibration pictures and of the resampling of times")
    keep: bool = Field(False, description="also keep what gains nothing; never what counts worse than allowed")


@dataclass(frozen=True, slots=True)
class OptimizeResult:
    """What came of it.

    Attributes
    ----------
    run_id : str
        Of the comparison, with table and plot.
    model : Figures
        Of the model that was optimised, at its own threshold.
    rows : tuple of Row
        One per candidate.
    kept : tuple of Kept
        The accepted ones, the fastest first.
    """

    run_id: str
    model: Figures
    rows: tuple[Row, ...]
    kept: tuple[Kept, ...]


def run(settings: OptimizeSettings) -> OptimizeResult:
    """Make candidates of a model, judge them by the policy's margin, log those that are kept.

    Raises
    ------
    OptimisationError
        Where the policy allows nothing, the data do not serve, or there is nothing to make of this model.
    model_governance.GovernanceError, camera_counting.errors.CountingError
        Where there is no such policy or model, or it cannot be opened.
    """
    policy = load_policy(settings.policy)
    rule = _allowed(policy, settings.policy)
    dataset = load_dataset(settings.data)
    with opened_parent(settings.model_uri) as parent, tempfile.TemporaryDirectory(prefix="optimise-") as folder:
        validation = Validation.of(dataset, parent.detector.names)
        wanted = _wanted(settings, parent, dataset)
        calibration = _calibration(settings, dataset, wanted)
        record = Record(
            tags={"step": "optimize", "policy_digest": policy.digest, **parent_tags(parent)},
            params=_params(settings, dataset, calibration),
            data=_inputs(dataset, calibration),
            # An alias may stand on another version tomorrow: the record names the model itself.
            settings=settings.model_copy(update={"model_uri": f"models:/{parent.model_id}"}),
            digest=dataset.digest,
            parent=parent.model_id,
        )
        nested = mlflow.active_run() is not None
        with mlflow.start_run(
            run_name=f"optimise {parent.model_id}",
            nested=nested,
            parent_run_id=None if nested else parent.run_id,
            log_system_metrics=False,
        ) as active:
            record.log()
            if calibration is not None:
                mlflow.log_dict({"pictures": [each.file for each in calibration.entries]}, "calibration.json")
            made, failed = _make(wanted, parent, calibration, settings.preset, validation, Path(folder))
            timing = {"timed": settings.timed, "rounds": settings.rounds, "seed": settings.seed}
            model, figures, refitted = measure(parent, made, validation, **timing)
            if settings.only == "thresholds":
                made, figures = [refitted.candidate], {THRESHOLDS.name: refitted.figures}
                reference = model
            else:
                reference = at_its_best(model, refitted.figures)
            rows = [_row(each.recipe, reference, figures, rule, settings.keep) for each in made]
            _log_comparison(reference, [*rows, *failed], rule)
            accepted = [each for each, row in zip(made, rows, strict=True) if row.accepted]
            accepted.sort(key=lambda each: figures[each.recipe.name].latency.p50_ms)
            kept = [log_candidate(each, parent, reference, figures[each.recipe.name], record) for each in accepted]
    return OptimizeResult(str(active.info.run_id), model, (*rows, *failed), tuple(kept))


def _allowed(policy: Policy, path: Path) -> OptimisationRule:
    """What the policy lets an optimised model lose."""
    rule = policy.optimisation
    if rule is None:
        raise OptimisationError(
            f"the policy {path} does not say how much an optimised model may lose: give it a section optimisation "
            "with metric, worse_by_at_most and reason"
        )
    if rule.metric not in COUNT_ERRORS:
        raise OptimisationError(
            f"the policy {path} names the metric {rule.metric!r} in its section optimisation; expected a count "
            f"error that a validation split gives: {', '.join(COUNT_ERRORS)}"
        )
    return rule


def _wanted(settings: OptimizeSettings, parent: Parent, dataset: PreparedDataset) -> tuple[Recipe, ...]:
    if settings.only == "thresholds":
        return ()
    stored = parent.graph.precision
    rounded = [each for each in settings.precisions if each != "own"]
    if stored == "int8" and rounded:
        raise OptimisationError(
            f"{parent.model_id} is INT8 already, {' and '.join(rounded)} could only lose: give the model that it "
            "was made of, --precisions own for other inputs, or --only thresholds"
        )
    # half precision of what is stored in half precision is the model itself
    precisions = [each for each in settings.precisions if (each, stored) != ("fp16", "fp16")]
    sizes = [(entry.width, entry.height) for split in dataset.manifest.splits.values() for entry in split]
    wanted = recipes(precisions, settings.shapes, parent.graph.spec, sizes)
    if not wanted:
        raise OptimisationError(
            f"{parent.model_id} is {stored} and its input of {parent.graph.spec.width}x{parent.graph.spec.height} "
            "fits the pictures: there is nothing to make of it; ask for another precision or shape"
        )
    return wanted


def _calibration(
    settings: OptimizeSettings, dataset: PreparedDataset, wanted: Sequence[Recipe]
) -> Calibration | None:
    if not any(recipe.precision == "int8" for recipe in wanted):
        return None
    calibration = choose_calibration(dataset, settings.calibration, settings.seed)
    calibration.verify()
    return calibration


def _params(
    settings: OptimizeSettings, dataset: PreparedDataset, calibration: Calibration | None
) -> dict[str, object]:
    params: dict[str, object] = {"seed": settings.seed, "dataset_digest": dataset.digest, "keep": settings.keep}
    if calibration is not None:
        params |= {
            "preset": settings.preset,
            "calibration_pictures": len(calibration.entries),
            "calibration_digest": calibration.digest,
            "nncf": nncf_version(),
        }
    return params


def _inputs(dataset: PreparedDataset, calibration: Calibration | None) -> list[tuple[Dataset, str]]:
    source = stored_source(dataset)
    data: list[tuple[Dataset, str]] = [(CameraDataset(dataset, source, "val"), "thresholds")]
    if calibration is not None:
        data.append((CameraDataset(dataset, source, "train"), "calibration"))
    return data


def _make(
    wanted: Sequence[Recipe],
    parent: Parent,
    calibration: Calibration | None,
    preset: Preset,
    validation: Validation,
    folder: Path,
) -> tuple[list[Candidate], list[Row]]:
    """The candidates, and a row with the reason for each that cannot be made."""
    made, failed = [], []
    for recipe in wanted:
        try:
            made.append(build(recipe, parent, calibration, preset, validation.pictures, folder))
        except OptimisationError as error:
            failed.append(Row(recipe.name, None, None, (str(error),)))
    return made, failed


def _row(
    recipe: Recipe, reference: Figures, figures: dict[str, Figures], rule: OptimisationRule, keep: bool
) -> Row:
    verdict = judge(recipe, reference, figures[recipe.name], rule, keep=keep)
    return Row(recipe.name, figures[recipe.name], verdict, verdict.refusals)


def _log_comparison(model: Figures, rows: Sequence[Row], rule: OptimisationRule) -> None:
    mlflow.log_metrics(figures_of(model, "before"))
    for row in rows:
        if row.figures is not None:
            after = figures_of(row.figures, "after")
            ratio = {f"optimisation/{row.name}/latency_ratio": row.figures.latency.ratio}
            mlflow.log_metrics(
                {name.replace("optimisation/", f"optimisation/{row.name}/"): v for name, v in after.items()}
                | ratio
            )
    mlflow.log_table(table(model, rows, rule), "optimisation.json")
    mlflow.log_figure(plot(model, rows, rule), "optimisation/comparison.png")
    mlflow.set_tags({f"accepted.{row.name}": str(row.accepted).lower() for row in rows})


@explained
def main() -> None:
    """Optimise from the command line; exit code 1, with the reasons, where nothing was kept."""
    result = run(OptimizeSettings.from_command_line())
    for row in result.rows:
        click.echo(row.sentence(), err=not row.accepted)
    for kept in result.kept:
        click.echo(f"model {kept.model_uri} ({kept.name}, run {kept.run_id}): evaluate it before it is registered")
    click.echo(f"run {result.run_id}")
    if not result.kept:
        raise SystemExit("nothing was kept: the model stays as it is")


if __name__ == "__main__":
    main()

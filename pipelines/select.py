"""The choice step: candidates on the same data, a leaderboard, and the one that the policy prefers.

``python -m pipelines.select``. It registers nothing: what was chosen goes through the gates like any other model.
Whoever is the best of many on a test split is a little lucky there, so candidates should be few: of a search, by
default, only those that no other trial beats on the validation split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import click
import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow import MlflowClient
from pydantic import Field, model_validator

from counting_evaluator.whole_table import log_whole_table
from model_governance import Policy, Ranked, load_policy, select
from pipelines.datasets.manifest import load_dataset
from pipelines.labelled_table import labelled_dataset, require_pictures
from pipelines.run_params import log_params
from pipelines.search.candidates import (
    measure,
    models_below,
    models_given,
    models_of_experiment,
)
from pipelines.search.leaderboard import FIGURES, as_markdown, as_page, leaderboard_table, plot_candidates
from pipelines.search.space import SearchError
from pipelines.settings import StepSettings, explained
from pipelines.step_record import record_step

__all__ = ["SelectResult", "SelectSettings", "main", "run"]

TABLE = "leaderboard.json"


class SelectSettings(StepSettings):
    """Which candidates, on which data, by which policy."""

    data: Path = Field(description="folder of a prepared data set; its test split and its clips are used")
    models: tuple[str, ...] = Field((), description="candidates by their URIs, separated by commas")
    parent: str | None = Field(None, description="or a run, such as a search: the models of the runs below it")
    experiment: str | None = Field(None, description="or the name of an experiment: all its models")
    front: bool = Field(True, description="of a search, only what no trial beats on its validation split")
    policy: Path = Field(
        Path(__file__).with_name("policy.yaml"), description="policy file; its key selection decides"
    )
    clips: bool = Field(True, description="count the data set's clips as well")
    anew: bool = Field(False, description="evaluate again what was: latencies of one hour compare")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("models", "parent", "experiment") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                f"expected one of models, parent and experiment, got {' and '.join(given) or 'none of them'}"
            )
        return self


@dataclass(frozen=True, slots=True)
class SelectResult:
    """The chosen model, why, and the leaderboard."""

    run_id: str
    model_uri: str
    why: str
    table: pd.DataFrame


def run(settings: SelectSettings) -> SelectResult:
    """Measure what was not measured on these data, rank, log the leaderboard, choose.

    Raises
    ------
    SearchError
        Where there is no candidate, none can be measured, or the policy has no rule.
    model_governance.PolicyError
        Where the policy cannot be read.
    """
    policy = _policy(settings.policy)  # before hours of measuring, not after them
    dataset = load_dataset(settings.data)
    require_pictures(dataset, "test")
    uris = _candidates(settings)
    with mlflow.start_run(
        run_name="select", nested=mlflow.active_run() is not None, log_system_metrics=False
    ) as active:
        run_id = str(active.info.run_id)
        mlflow.set_tag("step", "select")
        record_step("select", settings, data=(dataset.digest,), files={"policy": settings.policy})
        log_params({"candidates": len(uris), "dataset_digest": dataset.digest, "policy": str(settings.policy)})
        mlflow.log_artifact(str(settings.policy))
        table = labelled_dataset(dataset, "test")
        mlflow.log_input(table, context="test")
        found = measure(uris, settings.data, str(table.digest), clips=settings.clips, anew=settings.anew)
        for candidate in found:
            if candidate.trouble:
                who = f"{candidate.model_uri} ({candidate.label})"
                click.echo(f"{who} cannot be measured: {candidate.trouble}", err=True)
        ranking = _rank(policy, {candidate.model_uri: candidate.metrics for candidate in found})
        first = ranking[0]
        board = leaderboard_table(found, ranking)
        _log(run_id, board, plot_candidates(found, first.name), dataset.name, first.name, first.why)
    return SelectResult(run_id, first.name, first.why, board)


def _policy(path: Path) -> Policy:
    policy = load_policy(path)
    if policy.selection is None:
        raise SearchError(f"{path} has no key selection, so nobody knows which candidate it prefers: write one")
    return policy


def _rank(policy: Policy, candidates: Mapping[str, Mapping[str, float]]) -> tuple[Ranked, ...]:
    try:
        return select(policy, candidates)
    except ValueError as error:
        raise SearchError(str(error)) from error


def _candidates(settings: SelectSettings) -> list[str]:
    if settings.parent is not None:
        return models_below(settings.parent, front=settings.front)
    if settings.experiment is not None:
        return models_of_experiment(settings.experiment)
    return models_given(settings.models)


def _log(run_id: str, table: pd.DataFrame, figure: Figure, data: str, chosen: str, why: str) -> None:
    log_whole_table(run_id, table, TABLE)
    title = f"Leaderboard on {data}"
    explanation = f"The policy prefers {chosen}: {why}. Figures are those of the test split."
    mlflow.log_figure(figure, "leaderboard.png")
    mlflow.log_text(as_markdown(table, title), "leaderboard.md")
    mlflow.log_text(as_page(table, title, explanation, figure), "leaderboard.html")
    client = MlflowClient()
    client.set_tag(run_id, "selected_model", chosen)
    client.set_tag(run_id, "selected_because", why)
    best = table.iloc[0].to_dict()
    shown = {name: float(best[name]) for name in FIGURES if pd.notna(best.get(name))}
    mlflow.log_metrics({f"selected/{name}": value for name, value in shown.items()})


@explained
def main() -> None:
    """Choose from the command line; prints the places and the chosen model's URI."""
    result = run(SelectSettings.from_command_line())
    for row in result.table.to_dict("records"):
        click.echo(f"{row['place']:3}. {row['model_uri']}  {row['name']}: {row['why']}")
    click.echo(f"model {result.model_uri}")
    click.echo(f"run {result.run_id}")


if __name__ == "__main__":
    main()

"""What a model is held against: a baseline that looks at nothing, the champion, any other version.

All of them on the same frames. What an earlier evaluation recorded of the other model on these data is used again;
where none did, the other model is measured now.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import click
import numpy as np
import pandas as pd
from mlflow import MlflowClient

import camera_counting
from counting_evaluator import EvaluationError
from counting_evaluator.baseline import CountBaseline, Moment
from counting_evaluator.comparison import against_metrics, compare_crossings, compare_pictures
from counting_evaluator.sample import choose
from counting_evaluator.truth import read_table
from counting_evaluator.turns import latency_ratio
from model_governance.artifact import artifact_digest
from model_governance.binding import require_same_table
from model_governance.errors import TamperError
from model_governance.evaluation import Evaluation, recorded_evaluations
from model_governance.kept import run_file
from model_governance.source import locate
from pipelines.current_champion import CHAMPION, current_champion
from pipelines.datasets.manifest import PictureEntry, PreparedDataset
from pipelines.labelled_table import labelled_table

__all__ = [
    "BASELINE",
    "Other",
    "Tables",
    "as_table",
    "baseline_metrics",
    "compared",
    "find_other",
    "recorded_tables",
    "tables_of_others",
]

BASELINE = "baseline"

_TIMED = 24  # pictures


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """What an evaluation recorded: counts by picture, and crossings where there were clips."""

    pictures: pd.DataFrame
    crossings: pd.DataFrame | None


@dataclass(frozen=True, slots=True)
class Other:
    """Another model: its name in ``against/<name>/...``, and where it is."""

    name: str
    uri: str


def find_other(wanted: str, registered: str) -> Other | None:
    """The model that an option speaks of.

    Parameters
    ----------
    wanted : str
        ``champion``, ``v<N>`` or a model's address.
    registered : str
        Name of the registered model whose champion or version is meant.

    Returns
    -------
    Other or None
        None where no champion has been approved yet. ``champion`` and ``v<N>`` are names of the registered model's
        own alone: version 3 of another model ``hall`` is ``hall_v3``, an artefact ``baseline`` ``model_baseline``.
    """
    if wanted == CHAMPION:
        champion = current_champion(registered)
        return None if champion is None else Other(CHAMPION, f"models:/{registered}/{champion.version}")
    if re.fullmatch(r"v\d+", wanted):
        return Other(wanted, f"models:/{registered}/{wanted[1:]}")
    numbered = re.fullmatch(r"models:/+([^/]+)/(\d+)", wanted)
    if numbered and numbered[1] == registered:
        return Other(f"v{numbered[2]}", wanted)
    name = re.sub(r"[^\w.-]", "_", f"{numbered[1]}_v{numbered[2]}" if numbered else wanted.rpartition("/")[2])
    # Whoever judges would read these names as the baseline, the champion or a version of the registered model.
    own = name in (BASELINE, CHAMPION) or re.fullmatch(r"v\d+", name) or not name.strip(".")
    return Other(f"model_{name}" if own else name, wanted)


def recorded_tables(uri: str, dataset: PreparedDataset, *, clips: bool) -> Tables | None:
    """What the newest evaluation of these very files on these very data recorded; None where there is none.

    Parameters
    ----------
    clips : bool
        Whether it must have counted the clips, too.
    """
    source, client = locate(uri), MlflowClient()
    digest = artifact_digest(source.location)
    for evaluation in reversed(recorded_evaluations(client, source)):
        if evaluation.digest != digest or dataset.digest[:16] not in evaluation.data:
            continue
        files = {each.path for each in client.list_artifacts(evaluation.run_id)}
        if "evaluation_table.json" not in files or (clips and "line_counts.json" not in files):
            continue
        try:
            pictures = _load(client, evaluation, "evaluation_table.json")
            crossings = _load(client, evaluation, "line_counts.json") if "line_counts.json" in files else None
        except TamperError as error:
            click.echo(f"{uri} is measured anew: {error}", err=True)
            continue
        if pictures is not None and "digest" in pictures and (crossings is not None or not clips):
            return Tables(pictures, crossings)
    return None


def _load(client: MlflowClient, evaluation: Evaluation, file: str) -> pd.DataFrame | None:
    """A table that the evaluation vouches for; None where it does not."""
    content = run_file(client, [evaluation.run_id], file)
    if content is None or require_same_table(evaluation.run_id, file, content, evaluation.tables):
        return None
    return as_table(json.loads(content))


def as_table(content: Mapping[str, Any]) -> pd.DataFrame:
    """A table as MLflow keeps it in JSON."""
    return pd.DataFrame(content["data"], columns=content["columns"])


def compared(
    mine: Tables, theirs: Tables, other: Other, my_uri: str, dataset: PreparedDataset
) -> dict[str, float]:
    """``against/<other>/...``: counts per picture, crossings, and latency measured in turns."""
    differences = compare_pictures(mine.pictures, theirs.pictures)
    if mine.crossings is not None and theirs.crossings is not None:
        differences |= compare_crossings(mine.crossings, theirs.crossings)
    metrics = against_metrics(other.name, differences)
    pictures = read_table(labelled_table(dataset, "test"))
    timed = [pictures[place] for place in choose(pictures, _TIMED, seed=0)]
    ratio = latency_ratio(camera_counting.load_model(my_uri), camera_counting.load_model(other.uri), timed)
    return metrics | ratio.metrics(f"against/{other.name}/latency")


def baseline_metrics(mine: Tables, dataset: PreparedDataset) -> dict[str, float]:
    """``against/baseline/...``: the mean of the training pictures by camera and hour, of the camera, of all."""
    learnt = dataset.manifest.splits.get("train", ())
    if not learnt:
        click.echo("the data set has no training pictures, so there is no baseline to compare with", err=True)
        return {}
    classes = [name.removeprefix("true_") for name in mine.pictures.columns if name.startswith("true_")]
    counts = np.array([[entry.labels.count(name) for name in classes] for entry in learnt])
    baseline = CountBaseline.fit([_moment(entry) for entry in learnt], counts, classes)
    tested = {entry.sha256: _moment(entry) for entry in dataset.manifest.splits["test"]}
    altered = mine.pictures.loc[~mine.pictures["digest"].isin(list(tested)), "image"]
    if len(altered):
        raise EvaluationError(
            f"the test picture {altered.iloc[0]} is not the one of the data set's manifest: it was altered "
            "since it was prepared; prepare the set again or restore it from the store"
        )
    moments = [tested[digest] for digest in mine.pictures["digest"]]
    differences = compare_pictures(mine.pictures, baseline.table(mine.pictures, moments))
    return against_metrics(BASELINE, differences)


def _moment(entry: PictureEntry) -> Moment:
    return Moment(entry.camera, None if entry.time is None else entry.time.astimezone(UTC).hour)


def tables_of_others(
    wanted: tuple[str, ...],
    registered: str,
    dataset: PreparedDataset,
    *,
    clips: bool,
    measure: Callable[[str], Tables],
) -> list[tuple[Other, Tables]]:
    """What is recorded of each of the other models on these data; those of which nothing is are measured now.

    Raises
    ------
    EvaluationError
        Where another model cannot be measured on these data, having learnt from them, say, or not knowing a class;
        or where two of them would go by the same name.
    """
    found: dict[str, tuple[Other, Tables]] = {}
    for name in dict.fromkeys(wanted):
        if name == BASELINE:
            continue
        other = find_other(name, registered)
        if other is None:
            click.echo(f"{registered} has no champion yet to compare with", err=True)
            continue
        if other.name in found:
            raise EvaluationError(
                f"{found[other.name][0].uri} and {other.uri} would both be called {other.name}: compare with one"
            )
        try:
            tables = recorded_tables(other.uri, dataset, clips=clips) or measure(other.uri)
        except EvaluationError as error:
            raise EvaluationError(f"{other.uri}, to be compared with, cannot be measured: {error}") from error
        found[other.name] = (other, tables)
    return list(found.values())

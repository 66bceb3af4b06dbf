"""The step that makes a data set ready: ``python -m pipelines.prepare --source generated``.

Read or generate, check, split, describe, keep, record: what comes out is a folder with a digest, a copy of it in
the content-addressed store, and an MLflow run with the data set as its input.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import mlflow
from rich.console import Console

from pipelines.datasets.building import build
from pipelines.datasets.errors import InvalidDataError
from pipelines.datasets.fingerprint import fingerprint
from pipelines.datasets.manifest import PreparedDataset
from pipelines.datasets.mlflow_dataset import CameraDataset, StoredSource
from pipelines.datasets.place import existing, note_store, refuse_foreign
from pipelines.datasets.progress import progress
from pipelines.datasets.statistics import dataset_statistics
from pipelines.datasets.store import ContentStore
from pipelines.datasets.validation import ValidationReport
from pipelines.prepare_settings import PrepareSettings
from pipelines.run_params import log_params
from pipelines.settings import explained
from pipelines.step_record import record_step

__all__ = ["PrepareResult", "PrepareSettings", "main", "run"]


@dataclass(frozen=True, slots=True)
class PrepareResult:
    """What came of it.

    Parameters
    ----------
    folder : Path
        Of the prepared data set.
    digest : str
        64 hexadecimal digits.
    run_id : str
        The MLflow run.
    report : ValidationReport
    statistics : dict
    store : str
        URI of the store that keeps it.
    reused : bool
        Whether the same set was there already.
    """

    folder: Path
    digest: str
    run_id: str
    report: ValidationReport
    statistics: dict[str, Any]
    store: str
    reused: bool


def run(settings: PrepareSettings, console: Console | None = None) -> PrepareResult:
    """Prepare a data set; if the same is there already, verify it and use it.

    Raises
    ------
    UnreadableSourceError
        Where the source is not what its format says.
    InvalidDataError
        Where the validation found something and `on_invalid` is fail; the report is in the error.
    FileExistsError
        Where `out` holds something that is no prepared data set.
    """
    made_of = fingerprint(settings)
    found = existing(settings.out, made_of)
    reused = found is not None
    if reused:
        note_store(settings.out, settings.store_uri)
    if found is None:
        refuse_foreign(settings.out)
        with progress(console) as bar:
            found = build(settings, made_of, bar)
    report = _read_report(settings.out)
    ContentStore(settings.store_uri).put_dataset(settings.out)
    statistics = dataset_statistics(found.manifest)
    run_id = _record_run(settings, found, report, statistics, reused)
    return PrepareResult(settings.out, found.digest, run_id, report, statistics, settings.store_uri, reused)


def _record_run(
    settings: PrepareSettings,
    dataset: PreparedDataset,
    report: ValidationReport,
    statistics: dict[str, Any],
    reused: bool,
) -> str:
    source = StoredSource(settings.store_uri, dataset.digest, settings.origin)
    with mlflow.start_run(run_name=f"prepare {settings.name}", nested=mlflow.active_run() is not None) as active:
        mlflow.set_tags({"step": "prepare", "dataset_digest": dataset.digest, "reused": str(reused).lower()})
        record_step("prepare", settings, data=(dataset.digest,))
        log_params(_flat(settings.model_dump(mode="json")))
        for split in dataset.splits:
            if dataset.manifest.splits[split]:
                mlflow.log_input(CameraDataset(dataset, source, split), context=split)
        metrics = {"validation/findings": float(len(report.findings))}
        for split in (*dataset.splits, "all"):
            metrics[f"pictures/{split}"] = float(statistics[split]["pictures"])
            metrics[f"boxes/{split}"] = float(statistics[split]["boxes"])
        metrics |= {f"boxes/all/{c}": float(n) for c, n in statistics["all"]["classes"].items()}
        mlflow.log_metrics(metrics)
        for name in ("dataset.json", "data.yaml", "statistics.json", "statistics.md", "validation.json"):
            mlflow.log_artifact(str(dataset.folder / name), "dataset")
        mlflow.log_artifact(str(dataset.folder / "reference_profile.parquet"), "dataset")
        mlflow.log_artifact(str(dataset.folder / "contact_sheet.png"), "dataset")
        for clip in dataset.clips:
            for path in (clip.truth, clip.scene):
                if path is not None:
                    mlflow.log_artifact(str(path), "dataset/clips")
        return str(active.info.run_id)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = ",".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _read_report(out: Path) -> ValidationReport:
    return ValidationReport.from_json((out / "validation.json").read_text(encoding="utf-8"))


@explained
def main() -> None:
    """Run from the command line."""
    settings = PrepareSettings.from_command_line()
    console = Console(stderr=True)
    try:
        result = run(settings, console)
    except InvalidDataError as error:
        console.print(error.report.table())
        raise
    click.echo(f"{result.report.summary()}{' (was there already)' if result.reused else ''}")
    for note in result.report.notes:
        click.echo(f"note      {note}")
    click.echo(f"data set  {result.folder}")
    click.echo(f"digest    {result.digest}")
    click.echo(f"kept in   {result.store}")
    click.echo(f"run       {result.run_id}")


if __name__ == "__main__":
    main()

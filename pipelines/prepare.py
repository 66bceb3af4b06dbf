"""The step that makes a data set ready: ``python -m pipelines.prepare --source generated``.

Read or generate, check, split, describe, keep, record: what comes out is a folder with a digest, a copy of it in
the content-addressed store, and an MLflow run with the data set as its input.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import mlflow
from pydantic import Field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipelines.datasets.clip_series import ClipRecipe, draw_clips
from pipelines.datasets.contact_sheet import contact_sheet
from pipelines.datasets.duplicates import across_splits, near_duplicates
from pipelines.datasets.errors import BrokenDatasetError, InvalidDataError
from pipelines.datasets.generator.pictures import Mixture
from pipelines.datasets.layout import write_dataset
from pipelines.datasets.manifest import SPLITS, PreparedDataset, load_dataset
from pipelines.datasets.mlflow_dataset import CameraDataset, StoredSource
from pipelines.datasets.profile import reference_profile
from pipelines.datasets.readers import READERS, GeneratedReader, GeneratedRecipe, reader
from pipelines.datasets.records import Clip, Reading, Record
from pipelines.datasets.splits import SplitRule, split_by_camera_and_time
from pipelines.datasets.statistics import dataset_statistics, statistics_markdown
from pipelines.datasets.store import ContentStore
from pipelines.datasets.validation import ValidationReport, validate
from pipelines.settings import StepSettings

__all__ = ["PrepareResult", "PrepareSettings", "main", "run"]

_RECORD = "prepare.json"
Tick = Callable[[], None]


class PrepareSettings(StepSettings):
    """Where the data comes from, what is done with it, and where it goes."""

    source: str = Field("generated", description="'generated', or the folder or file that the format starts from")
    format: str = Field("generated", description=f"one of {', '.join(READERS)}")
    out: Path = Field(Path("data/prepared"), description="folder of the prepared data set")
    name: str = Field("cameras", pattern=r"^[\w.-]+$", description="name of the data set")
    store: str | None = Field(
        None, description="content-addressed store: folder or s3://bucket/prefix; beside `out` if not given"
    )
    classes: tuple[str, ...] = Field((), description="classes to keep the names of, in order; empty: the source's")
    on_invalid: Literal["fail", "drop"] = Field("fail", description="what follows a finding of the validation")

    pictures: int = Field(320, gt=0, description="generated: how many pictures")
    cameras: int = Field(3, gt=0, description="generated: how many cameras")
    width: int = Field(320, ge=64, description="generated: width of the pictures, pixels")
    height: int = Field(240, ge=64, description="generated: height of the pictures, pixels")
    seed: int = Field(0, ge=0, description="generated: of all that happens")
    town: int = Field(0, ge=0, description="generated: which cameras")
    days: int = Field(14, gt=0, description="generated: over how many days the pictures are spread")
    density: Literal["easy", "street", "crowded"] = Field("easy", description="generated: how much is going on")
    mixture: Mixture = Field(Mixture(), description="generated: how often each light and weather occurs")
    clips: int = Field(2, ge=0, description="generated: how many test clips")
    clip_seconds: float = Field(15.0, gt=0, description="generated: length of a clip")
    clip_fps: float = Field(10.0, gt=0, description="generated: frames per second")
    clip_width: int = Field(320, ge=64, multiple_of=2, description="generated: width of the clips, pixels")
    clip_height: int = Field(240, ge=64, multiple_of=2, description="generated: height of the clips, pixels")
    clip_crossings: int = Field(6, ge=0, description="generated: fewest crossings of a clip")

    every: int = Field(1, ge=1, description="mot, video: take every n-th frame")

    split: Literal["time", "given"] = Field("time", description="by camera and time, or as the source has it")
    val: float = Field(0.15, ge=0, lt=1, description="share of each camera's blocks of time for validation")
    test: float = Field(0.15, ge=0, lt=1, description="share of each camera's last blocks for the test")
    holdout_cameras: tuple[str, ...] = Field((), description="cameras that are in the test alone")
    block_minutes: float = Field(60.0, gt=0, description="pictures of a camera this near in time are never parted")

    @property
    def store_uri(self) -> str:
        """Where the data set is kept."""
        return self.store or str(self.out.resolve().parent / "store")


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
    fingerprint = _fingerprint(settings)
    found = _existing(settings.out, fingerprint)
    reused = found is not None
    if found is None:
        _refuse_foreign(settings.out)
        with _progress(console) as bar:
            found = _build(settings, fingerprint, bar)
    report = _read_report(settings.out)
    ContentStore(settings.store_uri).put_dataset(settings.out)
    statistics = dataset_statistics(found.manifest)
    run_id = _record_run(settings, found, report, statistics, reused)
    return PrepareResult(settings.out, found.digest, run_id, report, statistics, settings.store_uri, reused)


class _Bar:
    """A progress bar for each part that takes more than a moment."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def part(self, title: str, total: int | None) -> Tick:
        task = self._progress.add_task(title, total=total)
        return lambda: self._progress.update(task, advance=1)


@contextmanager
def _progress(console: Console | None) -> Iterator[_Bar]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console or Console(stderr=True)) as progress:
        yield _Bar(progress)


def _build(settings: PrepareSettings, fingerprint: str, bar: _Bar) -> PreparedDataset:
    """Everything happens in a folder beside `out`, which then takes its place in one step."""
    out = settings.out
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(out)
    building = out.with_name(f".{out.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.building")
    workspace = building / "source"
    workspace.mkdir(parents=True)
    try:
        reading = _read(settings, workspace, bar)
        report, records, classes = _validated(settings, reading, bar)
        splits, report = _split(settings, records, report)
        clips = _clips(settings, reading, workspace, bar)
        target = building / "set"
        tick = bar.part("write", sum(map(len, splits.values())))
        manifest = write_dataset(
            target,
            name=settings.name,
            source=_origin(settings),
            classes=classes,
            splits=splits,
            clips=clips,
            on_picture=tick,
        )
        dataset = PreparedDataset(target, manifest)
        _describe(dataset, report, bar)
        record = {"fingerprint": fingerprint, "settings": settings.model_dump(mode="json")}
        (target / _RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        _swap(target, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return load_dataset(out)


def _read(settings: PrepareSettings, workspace: Path, bar: _Bar) -> Reading:
    if settings.format == "generated" and settings.source == "generated":
        recipe = GeneratedRecipe.model_validate(
            {
                **{key: getattr(settings, key) for key in ("pictures", "cameras", "width", "height", "seed")},
                **{key: getattr(settings, key) for key in ("town", "days", "density", "mixture")},
                **({"classes": settings.classes} if settings.classes else {}),
            }
        )
        return GeneratedReader().generate(recipe, workspace, bar.part("generate pictures", recipe.pictures))
    return reader(settings.format, settings.every).read(Path(settings.source), workspace, bar.part("read", None))


def _validated(
    settings: PrepareSettings, reading: Reading, bar: _Bar
) -> tuple[ValidationReport, tuple[Record, ...], tuple[str, ...]]:
    classes = settings.classes or reading.classes
    report, usable = validate(reading, classes, bar.part("validate", len(reading.records)))
    if not report.clean and settings.on_invalid == "fail":
        raise _invalid(report)
    if not usable:
        raise InvalidDataError(
            f"expected at least one usable picture in {settings.source}: {report.summary()}", report
        )
    return report, usable, tuple(classes)


def _split(
    settings: PrepareSettings, records: tuple[Record, ...], report: ValidationReport
) -> tuple[dict[str, list[Record]], ValidationReport]:
    alike = near_duplicates(records)
    if settings.split == "time":
        rule = SplitRule(settings.val, settings.test, settings.holdout_cameras, settings.block_minutes)
        return split_by_camera_and_time(records, rule, alike), report
    without = [r.name for r in records if r.split not in SPLITS]
    if without:
        raise ValueError(
            f"expected the source to say the split of every picture, not so for {without[0]}: use --split time"
        )
    leaks = across_splits(records, alike)
    report = report.with_findings(leaks)
    if leaks and settings.on_invalid == "fail":
        raise _invalid(report)
    leaking = {finding.file for finding in leaks}
    splits = {s: [r for r in records if r.split == s and r.name not in leaking] for s in SPLITS}
    return splits, report


def _invalid(report: ValidationReport) -> InvalidDataError:
    first = "; ".join(f"{f.file}: {f.reason}, {f.detail}" for f in report.findings[:3])
    return InvalidDataError(
        f"expected clean data, got {report.summary()}. First: {first}. Mend them, or leave exactly these out with "
        "--on_invalid drop",
        report,
    )


def _clips(settings: PrepareSettings, reading: Reading, workspace: Path, bar: _Bar) -> tuple[Clip, ...]:
    if settings.format != "generated" or not settings.clips:
        return reading.clips
    recipe = ClipRecipe(
        count=settings.clips,
        cameras=settings.cameras,
        seconds=settings.clip_seconds,
        fps=settings.clip_fps,
        width=settings.clip_width,
        height=settings.clip_height,
        seed=settings.seed,
        town=settings.town,
        density=settings.density,
        crossings=settings.clip_crossings,
        every_line=settings.clip_crossings > 0,
        classes=reading.classes,
        after=max((r.time for r in reading.records if r.time), default=None),
    )
    folder = workspace / "clips"
    frames = round(settings.clip_seconds * settings.clip_fps) * settings.clips
    return draw_clips(recipe, folder, bar.part("draw clips", frames))


def _describe(dataset: PreparedDataset, report: ValidationReport, bar: _Bar) -> None:
    """Statistics, the validation's report, the reference profile and the contact sheet."""
    folder, statistics = dataset.folder, dataset_statistics(dataset.manifest)
    (folder / "statistics.json").write_text(json.dumps(statistics, indent=1) + "\n", encoding="utf-8")
    text = statistics_markdown(dataset.name, dataset.digest, statistics)
    (folder / "statistics.md").write_text(text, encoding="utf-8")
    (folder / "validation.json").write_text(report.to_json(), encoding="utf-8")
    train = dataset.samples("train")
    profile = reference_profile(train, dataset.classes, bar.part("describe", len(train)))
    profile.to_parquet(folder / "reference_profile.parquet", index=False)
    everything = [sample for split in SPLITS for sample in dataset.samples(split)]
    if everything:
        from PIL import Image

        Image.fromarray(contact_sheet(train or everything, dataset.classes)).save(folder / "contact_sheet.png")


def _record_run(
    settings: PrepareSettings,
    dataset: PreparedDataset,
    report: ValidationReport,
    statistics: dict[str, Any],
    reused: bool,
) -> str:
    source = StoredSource(settings.store_uri, dataset.digest, _origin(settings))
    with mlflow.start_run(run_name=f"prepare {settings.name}", nested=mlflow.active_run() is not None) as active:
        mlflow.set_tags({"step": "prepare", "dataset_digest": dataset.digest, "reused": str(reused).lower()})
        mlflow.log_params(_flat(settings.model_dump(mode="json")))
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


def _origin(settings: PrepareSettings) -> str:
    if settings.source == "generated":
        return f"generated:seed={settings.seed},town={settings.town}"
    return f"{settings.format}:{settings.source}"


def _fingerprint(settings: PrepareSettings) -> str:
    """What the result depends on: the settings, the source's files, and the code that makes it."""
    ignored = {"out", "store"}
    lines = [settings.model_dump_json(exclude=ignored)]
    for path in sorted(Path(__file__).with_name("datasets").rglob("*.py")):
        lines.append(hashlib.sha256(path.read_bytes()).hexdigest())
    source = Path(settings.source)
    if settings.source != "generated" and source.exists():
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_file():
                stat = path.stat()
                lines.append(f"{path.relative_to(source)} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _existing(out: Path, fingerprint: str) -> PreparedDataset | None:
    """The set that is there, if it was made by the same settings and no file of it was altered."""
    record = out / _RECORD
    if not record.is_file():
        return None
    try:
        if json.loads(record.read_text(encoding="utf-8")).get("fingerprint") != fingerprint:
            return None
        return load_dataset(out, verify=True)
    except (BrokenDatasetError, json.JSONDecodeError) as error:
        click.echo(f"prepared data set in {out} is damaged and is made again: {error}", err=True)
        return None


def _read_report(out: Path) -> ValidationReport:
    return ValidationReport.from_json((out / "validation.json").read_text(encoding="utf-8"))


def _refuse_foreign(out: Path) -> None:
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / _RECORD).is_file())):
        raise FileExistsError(
            f"expected {out} to be absent, empty or a data set that this step prepared; it holds something else, "
            "which would be lost: choose another --out"
        )


def _swap(new: Path, out: Path) -> None:
    """Put `new` in the place of `out`; after a kill in between the next run makes it again."""
    old = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.old")
    if out.exists():
        out.rename(old)
    new.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _remove_leftovers(out: Path) -> None:
    """What a killed run of this step left behind: its process is gone."""
    for path in out.parent.glob(f".{out.name}.*.building"):
        process = path.name.removeprefix(f".{out.name}.").split(".")[0]
        if not Path(f"/proc/{process}").exists():
            shutil.rmtree(path, ignore_errors=True)
    for path in out.parent.glob(f".{out.name}.*.old"):
        shutil.rmtree(path, ignore_errors=True)


def main() -> None:
    """Run from the command line."""
    settings = PrepareSettings.from_command_line()
    console = Console(stderr=True)
    try:
        result = run(settings, console)
    except InvalidDataError as error:
        console.print(error.report.table())
        raise click.ClickException(str(error)) from error
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{result.report.summary()}{' (was there already)' if result.reused else ''}")
    click.echo(f"data set  {result.folder}")
    click.echo(f"digest    {result.digest}")
    click.echo(f"kept in   {result.store}")
    click.echo(f"run       {result.run_id}")


if __name__ == "__main__":
    main()

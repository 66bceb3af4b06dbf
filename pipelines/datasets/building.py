"""Building a data set: read or generate, check, split, write, describe."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.datasets.clip_series import ClipRecipe, draw_clips
from pipelines.datasets.contact_sheet import contact_sheet
from pipelines.datasets.duplicates import across_splits, near_duplicates
from pipelines.datasets.errors import InvalidDataError
from pipelines.datasets.layout import write_dataset
from pipelines.datasets.manifest import SPLITS, PreparedDataset, load_dataset
from pipelines.datasets.place import RECORD, building_beside, take_place
from pipelines.datasets.profile import reference_profile
from pipelines.datasets.progress import Bars
from pipelines.datasets.readers import GeneratedReader, GeneratedRecipe, reader
from pipelines.datasets.records import Clip, Reading, Record
from pipelines.datasets.splits import SplitRule, split_by_camera_and_time
from pipelines.datasets.statistics import dataset_statistics, statistics_markdown
from pipelines.datasets.validation import ValidationReport, validate
from pipelines.prepare_settings import PrepareSettings

__all__ = ["build"]


def build(settings: PrepareSettings, fingerprint: str, bar: Bars) -> PreparedDataset:
    """Everything happens in a folder beside `out`, which then takes its place in one step."""
    with building_beside(settings.out) as building:
        workspace = building / "source"
        workspace.mkdir()
        reading = _read(settings, workspace, bar)
        report, records, classes = _validated(settings, reading, bar)
        splits, report = _split(settings, records, report)
        clips = _clips(settings, reading, workspace, bar)
        target = building / "set"
        tick = bar.part("write", sum(map(len, splits.values())))
        manifest = write_dataset(
            target,
            name=settings.name,
            source=settings.origin,
            classes=classes,
            splits=splits,
            clips=clips,
            on_picture=tick,
        )
        dataset = PreparedDataset(target, manifest)
        _describe(dataset, report, bar)
        record = {"fingerprint": fingerprint, "settings": settings.model_dump(mode="json")}
        (target / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        take_place(target, settings.out)
    return load_dataset(settings.out)


def _read(settings: PrepareSettings, workspace: Path, bar: Bars) -> Reading:
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
    settings: PrepareSettings, reading: Reading, bar: Bars
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


def _clips(settings: PrepareSettings, reading: Reading, workspace: Path, bar: Bars) -> tuple[Clip, ...]:
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


def _describe(dataset: PreparedDataset, report: ValidationReport, bar: Bars) -> None:
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

"""Building a data set: read or generate, check, split, write, describe."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from pipelines.datasets.clip_series import ClipRecipe, draw_clips
from pipelines.datasets.contact_sheet import contact_sheet
from pipelines.datasets.duplicates import across_splits, near_duplicates
from pipelines.datasets.errors import EmptySplitError, InvalidDataError
from pipelines.datasets.layout import write_dataset
from pipelines.datasets.manifest import SPLITS, PreparedDataset, load_dataset
from pipelines.datasets.place import building_beside, report_beside, take_place, write_record
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
        splits, report = _split(settings, records, report, bar)
        clips, report = _clips(settings, reading, splits, report, workspace, bar)
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
        write_record(target, fingerprint, settings.model_dump(mode="json"), settings.store_uri)
        take_place(target, settings.out)
        report_beside(settings.out).unlink(missing_ok=True)
    return load_dataset(settings.out)


def _read(settings: PrepareSettings, workspace: Path, bar: Bars) -> Reading:
    if settings.generates:
        recipe = GeneratedRecipe.model_validate(
            {
                **{key: getattr(settings, key) for key in ("pictures", "cameras", "width", "height", "seed")},
                **{key: getattr(settings, key) for key in ("town", "days", "density", "mixture")},
                **({"classes": settings.classes} if settings.classes else {}),
            }
        )
        return GeneratedReader().generate(recipe, workspace, bar.part("generate pictures", recipe.pictures))
    reads = reader(settings.format, settings.every, settings.unlabelled)
    return reads.read(Path(settings.source), workspace, bar.part("read", None))


def _validated(
    settings: PrepareSettings, reading: Reading, bar: Bars
) -> tuple[ValidationReport, tuple[Record, ...], tuple[str, ...]]:
    classes = settings.classes or reading.classes
    report, usable = validate(reading, classes, bar.part("validate", len(reading.records)))
    if not report.clean and settings.on_invalid == "fail":
        raise _invalid(settings, report)
    if not usable:
        raise InvalidDataError(
            f"expected at least one usable picture in {settings.source}: {report.summary()}", report
        )
    return report, usable, tuple(classes)


def _split(
    settings: PrepareSettings, records: tuple[Record, ...], report: ValidationReport, bar: Bars
) -> tuple[dict[str, list[Record]], ValidationReport]:
    alike = near_duplicates(records, bar.part("compare", len(records)))
    if settings.split == "time" or (settings.split == "auto" and not _given(records)):
        rule = SplitRule(settings.val, settings.test, settings.holdout_cameras, settings.block_minutes)
        splits = split_by_camera_and_time(records, rule, alike)
        left_out = len(records) - sum(map(len, splits.values()))
        if left_out:
            reason = "they lie next to a cut between two splits, or look like a picture on its other side"
            report = report.with_notes(f"{left_out} pictures are left out: {reason}")
        _refuse_empty(
            settings,
            splits,
            f"{left_out} more look like one of another split or lie next to it; a camera needs three stretches of "
            f"--block_minutes {settings.block_minutes:g} with pictures in them: ask for "
            "shorter ones, hold out a camera with --holdout_cameras,",
        )
        return splits, report
    without = [r.name for r in records if r.split not in SPLITS]
    if without:
        raise ValueError(
            f"expected the source to say the split of every picture, not so for {without[0]}: use --split time"
        )
    leaks = across_splits(records, alike)
    report = report.with_findings(leaks)
    if leaks and settings.on_invalid == "fail":
        raise _invalid(settings, report)
    leaking = {finding.file for finding in leaks}
    splits = {s: [r for r in records if r.split == s and r.name not in leaking] for s in SPLITS}
    _refuse_empty(settings, splits, "that is how the source has them: deal them out with --split time,")
    return splits, report


def _given(records: tuple[Record, ...]) -> bool:
    """Whether the source says what is to be trained on, and what not."""
    splits = {record.split for record in records}
    return splits <= set(SPLITS) and "train" in splits and len(splits) > 1


def _refuse_empty(settings: PrepareSettings, splits: dict[str, list[Record]], way_out: str) -> None:
    wanted = [name for name in SPLITS if name == "train" or getattr(settings, name)]
    empty = [name for name in wanted if not splits[name]]
    if not empty:
        return
    numbers = ", ".join(f"{len(splits[name])} in {name}" for name in SPLITS)
    options = " ".join(f"--{name} 0" for name in empty if name != "train")
    raise EmptySplitError(
        f"expected pictures in {' and '.join(wanted)}, got {numbers}: {way_out} "
        + (f"or ask for none with {options}" if options else "or give more pictures")
    )


def _invalid(settings: PrepareSettings, report: ValidationReport) -> InvalidDataError:
    path = report_beside(settings.out)
    path.write_text(report.to_json(), encoding="utf-8")
    first = "; ".join(f"{f.file}: {f.reason}, {f.detail}" for f in report.findings[:3])
    return InvalidDataError(
        f"expected clean data, got {report.summary()}. First: {first}; all of them are in {path}. Mend them, or "
        "leave exactly these out with --on_invalid drop",
        report,
    )


def _clips(
    settings: PrepareSettings,
    reading: Reading,
    splits: dict[str, list[Record]],
    report: ValidationReport,
    workspace: Path,
    bar: Bars,
) -> tuple[tuple[Clip, ...], ValidationReport]:
    if settings.format == "generated" and settings.clips:
        return _generated_clips(settings, reading, workspace, bar), report
    return _unseen_clips(reading.clips, splits, report)


def _unseen_clips(
    clips: tuple[Clip, ...], splits: dict[str, list[Record]], report: ValidationReport
) -> tuple[tuple[Clip, ...], ValidationReport]:
    """Clips without a frame to learn from: counting on the others would measure what was learnt by heart."""
    of = {record.clip: split for split in reversed(SPLITS) for record in splits[split]}  # the earliest stays
    clips = tuple(replace(clip, split=of.get(clip.name)) for clip in clips)
    unseen = tuple(clip for clip in clips if clip.split in (None, "test"))
    if len(unseen) < len(clips):
        seen = ", ".join(clip.name for clip in clips if clip not in unseen)
        left = f"{len(unseen)} clips are" if unseen else "no clip is"
        report = report.with_notes(
            f"{left} left for line errors: frames of {seen} are trained or validated on"
            + ("" if unseen else "; two videos or more leave one whole")
        )
    return unseen, report


def _generated_clips(settings: PrepareSettings, reading: Reading, workspace: Path, bar: Bars) -> tuple[Clip, ...]:
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

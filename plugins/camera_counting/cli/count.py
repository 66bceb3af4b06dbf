"""`camera-counting count`: count on a clip, a live camera, a picture, a folder of pictures, or published
detections.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from camera_counting.cli.annotated import AnnotatedClip
from camera_counting.cli.calendar import Calendar, interval_options
from camera_counting.cli.live import until_stopped
from camera_counting.cli.numbers import Positive
from camera_counting.cli.output import check_writable, write_json
from camera_counting.cli.recorded import Recorded, count_recorded
from camera_counting.cli.tables import show_clip
from camera_counting.errors import PictureError, SourceError
from camera_counting.pictures import read_picture
from camera_counting.scene import Scene
from camera_counting.video import LiveSource, PictureFolder, VideoSource, open_source
from camera_counting.video.address import is_camera, redacted
from camera_counting.whole_file import is_device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from camera_counting.counting import Economy, FrameCount
    from camera_counting.counting.intervals import Interval
    from camera_counting.model import CountingModel
    from camera_counting.pictures import Picture

__all__ = ["count"]

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("source", required=False)
@click.option("--model", "model_uri", metavar="URI", help="Model: a folder or any MLflow model URI.")
@click.option("--scene", "scene_file", type=_FILE, metavar="FILE", help="Lines and zones, YAML or JSON.")
@click.option("--json", "json_file", type=_FILE, metavar="OUT", help="Write the counts as JSON; - prints them.")
@click.option("--video", "video_file", type=_FILE, metavar="OUT", help="Write the annotated clip (mp4).")
@click.option("--confidence", type=click.FloatRange(0, 1), help="Score a detection needs; default: the model's.")
@click.option("--classes", metavar="A,B,...", help="Count these classes only.")
@click.option(
    "--fps",
    type=Positive(1000.0),
    help="Take a folder's pictures, or --detections, for the frames of a clip with this rate.",
)
@click.option(
    "--detections",
    type=_FILE,
    metavar="FILE",
    help="Count detections that were made elsewhere (MOT format), without SOURCE and model.",
)
@click.option("--size", metavar="WIDTHxHEIGHT", help="With --detections: size of the frames in pixels.")
@click.option(
    "--labels",
    metavar="A,B,...",
    help="With --detections: names of the class numbers 1, 2, ...; default: MOT16's numbers.",
)
@click.option(
    "--seconds",
    type=Positive(366 * 86_400.0),
    help="Count on a live camera for so long; default: until Ctrl-C.",
)
@click.option("--exact", "thrift", flag_value="exact", help="Detect in every frame.")
@click.option(
    "--fast",
    "thrift",
    flag_value="fast",
    help="Spare all the work that can be spared: few detections, and only around lines and zones.",
)
@interval_options
@click.option("--quiet", is_flag=True, help="No progress bar, no table; warnings only.")
def count(
    source: str | None,
    model_uri: str | None,
    scene_file: Path | None,
    json_file: Path | None,
    video_file: Path | None,
    confidence: float | None,
    classes: str | None,
    fps: float | None,
    detections: Path | None,
    size: str | None,
    labels: str | None,
    seconds: float | None,
    thrift: str | None,
    interval: Interval | None,
    start: str | None,
    quiet: bool,
) -> None:
    """Count on SOURCE: a clip, a picture, a folder of pictures, or a live camera (rtsp://, http://, /dev/video0).

    On a live camera it counts until Ctrl-C. Without SOURCE it counts the detections of a file.
    In a clip only those frames are detected that the count needs; --exact detects them all, --fast fewer still.

    Over a line, `in` is from its left-hand to its right-hand side as seen along its direction; `camera-counting
    draw` shows it.
    """
    console = Console(stderr=True, quiet=quiet)
    clip = AnnotatedClip(video_file)
    recorded = Recorded(detections, size, labels)
    from_file = recorded.checked(source, model_uri, video_file, fps)
    check_writable(json_file, detections if source is None else Path(source), scene_file, video_file)
    wanted = [name.strip() for name in classes.split(",") if name.strip()] if classes is not None else None
    scene = None if scene_file is None else Scene.load(scene_file)
    live = source is not None and is_camera(source)
    calendar = Calendar.of(interval, start, scene, live=live)
    if source is None or model_uri is None or from_file:
        told = count_recorded(recorded, fps or 0.0, scene, confidence, wanted, calendar)
    else:
        settings: dict[str, Any] = {"scene": scene, "confidence": confidence, "classes": wanted}
        check_writable(video_file, Path(source), scene_file)
        told = _count_source(source, model_uri, clip, fps, seconds, console, calendar, _economy(thrift), settings)
    # before anything is shown: what was counted for hours must not depend on a terminal, nor on a disk
    unwritten: click.ClickException | None = None
    if json_file is not None:
        try:
            write_json(json_file, told)
        except click.ClickException as error:
            unwritten = error
    show = _show_pictures if "pictures" in told else show_clip
    show(told, console)
    for warning in told.get("warnings", []):
        click.secho(f"warning: {warning}", fg="yellow", err=True)
    if video_file is not None and clip.trouble is None:
        console.print(f"annotated clip: {video_file}", markup=False, highlight=False)
    if unwritten is not None or clip.trouble is not None:
        raise unwritten or click.ClickException(str(clip.trouble))


def _count_source(
    source: str,
    model_uri: str,
    clip: AnnotatedClip,
    fps: float | None,
    seconds: float | None,
    console: Console,
    calendar: Calendar | None,
    economy: Economy,
    settings: dict[str, Any],
) -> dict[str, Any]:
    if clip.path is not None and clip.path.suffix.lower() != ".mp4" and not is_device(clip.path):
        raise click.UsageError(f"--video {clip.path}: expected the name of a file that ends in .mp4")
    opened = open_source(source, fps=fps)
    with opened:
        if fps is not None and not Path(source).is_dir():
            raise click.UsageError(f"--fps is the rate of a folder of pictures; {redacted(source)} is none")
        if seconds is not None and not isinstance(opened, LiveSource):
            raise click.UsageError(f"--seconds is for live cameras; {source} is none")
        single = isinstance(opened, PictureFolder) and fps is None
        if single and clip.path is not None:
            raise click.UsageError("--video needs a clip, or a folder of pictures with --fps")
        if single and calendar is not None:
            raise click.UsageError("--interval needs a clip, or a folder of pictures with --fps")
        with console.status("loading the model"):
            model = _load(model_uri)
        if single and isinstance(opened, PictureFolder):
            return _count_pictures(model, opened, console, **settings)
        with until_stopped(opened, seconds) if isinstance(opened, LiveSource) else nullcontext():
            return _count_clip(model, opened, clip, console, calendar, economy=economy, **settings)


def _economy(thrift: str | None) -> Economy:
    from camera_counting.counting import Economy

    return {"exact": Economy.exact, "fast": Economy.fast}.get(thrift or "", Economy.default)()


def _load(model_uri: str) -> CountingModel:
    from camera_counting import load_model

    return load_model(model_uri)


def _count_clip(
    model: CountingModel,
    source: VideoSource,
    clip: AnnotatedClip,
    console: Console,
    calendar: Calendar | None,
    **settings: Any,
) -> dict[str, Any]:
    with clip.at(source.fps), _progress(console) as progress:
        task = progress.add_task("counting", total=source.frame_count)

        def on_frame(counted: FrameCount) -> None:
            nonlocal calendar
            if calendar is not None:
                calendar = calendar.seen(counted.frame)
            clip.write(counted)
            progress.advance(task)

        result = model.count_video(source, on_frame=on_frame, **settings)
        progress.update(task, total=result.frames)
    return result.to_dict() if calendar is None else calendar.told(result)


def _count_pictures(
    model: CountingModel,
    folder: PictureFolder,
    console: Console,
    scene: Scene | None,
    confidence: float | None,
    classes: list[str] | None,
) -> dict[str, Any]:
    wanted = model.check_classes(classes)
    model.check_confidence(confidence)
    if scene is not None:
        scene.check_classes(model.names)
    names: list[str] = []
    warnings: list[str] = []

    def sound() -> Iterator[Picture]:
        for file in folder.files:
            try:
                picture = read_picture(file)
            except PictureError as error:
                warnings.append(str(error))
                continue
            names.append(file.name)
            yield picture

    pictures = []
    with _progress(console) as progress:
        task = progress.add_task("counting", total=len(folder.files))
        for i, counted in enumerate(model.count_each(sound(), scene=scene, confidence=confidence, classes=wanted)):
            pictures.append({"file": names[i], **counted.to_dict()})
            progress.advance(task)
    if not pictures:
        raise SourceError(f"{folder.name}: not one picture could be read; {warnings[-1]}")
    if scene is not None and scene.lines:
        warnings.append("lines were not counted: crossings need a clip, or a folder of pictures with --fps")
    told: dict[str, Any] = {"source": folder.name, "pictures": pictures}
    if warnings:
        told["warnings"] = warnings
    return told


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


# Names are `Text`: the square brackets in them are no markup of Rich's.
def _show_pictures(told: dict[str, Any], console: Console) -> None:
    classes = sorted({name for picture in told["pictures"] for name, n in picture["counts"].items() if n})
    table = Table("picture")
    for name in classes:
        table.add_column(Text(name), justify="right")
    table.add_column("all", justify="right")
    for picture in told["pictures"][:50]:
        numbers = [str(picture["counts"].get(name, 0)) for name in classes]
        table.add_row(Text(picture["file"]), *numbers, str(picture["total"]))
    if len(told["pictures"]) > 50:
        table.add_row(f"... and {len(told['pictures']) - 50} more (--json has all)", *[""] * len(classes), "")
    if len(told["pictures"]) > 1:
        sums = [str(sum(picture["counts"].get(name, 0) for picture in told["pictures"])) for name in classes]
        table.add_row("sum", *sums, str(sum(picture["total"] for picture in told["pictures"])), style="bold")
    console.print(table)

"""`camera-counting draw`: a picture of a scene's lines and zones."""

from __future__ import annotations

from pathlib import Path

import click

from camera_counting.cli.output import check_writable, write_whole
from camera_counting.errors import SourceError
from camera_counting.scene import Scene

__all__ = ["draw"]


@click.command()
@click.argument("scene_file", metavar="SCENE", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("frame", metavar="FRAME")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where the picture goes (.png or .jpg); default: the scene's name with .png, here.",
)
def draw(scene_file: Path, frame: str, out: Path | None) -> None:
    """Draw the lines and zones of SCENE on FRAME: a picture, or a clip, whose first frame is taken.

    The arrow on a line shows which way is `in`; flows stand in a corner.
    """
    import cv2

    from camera_counting.annotate import draw_scene
    from camera_counting.video import open_source

    target = out or Path(f"{scene_file.stem}.png")
    if target.suffix.lower() not in {".png", ".jpg", ".jpeg"}:
        raise click.UsageError(f"{target}: expected a name that ends in .png or .jpg")
    check_writable(target, scene_file, Path(frame))
    scene = Scene.load(scene_file)
    with open_source(frame) as source:
        first = next(iter(source), None)
    if first is None:
        raise SourceError(f"{frame}: no frame can be read")
    image = first.image
    _, encoded = cv2.imencode(target.suffix.lower(), draw_scene(image, scene)[..., ::-1])
    write_whole(target, encoded.tobytes())
    drawn = f"{len(scene.lines)} line(s), {len(scene.zones)} zone(s)"
    if scene.flows:
        drawn += f", {len(scene.flows)} flow(s)"
    click.echo(f"{target}: {drawn} on {image.shape[1]}x{image.shape[0]}")

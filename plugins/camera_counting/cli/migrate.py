"""`camera-counting migrate`: a model that an older version of this package saved becomes one of today's format."""

from __future__ import annotations

from pathlib import Path

import click

from camera_counting.errors import ArtifactError

__all__ = ["migrate"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--to", "out", type=click.Path(path_type=Path), help="Folder of the new model; must not exist.")
@click.option("--in-place", is_flag=True, help="Put the new model in the old one's place; that is kept beside it.")
def migrate(folder: Path, out: Path | None, in_place: bool) -> None:
    """Write the saved model FOLDER in the newest format, with today's code beside the same detector.

    Every format loads as it is, so nobody has to migrate in order to count. The new model has digests of its own:
    register it like any other.
    """
    from camera_counting.migration import migrate_model

    if (out is None) == (not in_place):
        raise click.UsageError("expected --to FOLDER or --in-place, one of the two")
    folder = folder.resolve()
    kept = folder.with_name(f"{folder.name}.before-migration")
    made = folder.with_name(f".{folder.name}.migrated")
    if in_place and not folder.exists() and kept.is_dir() and made.is_dir():
        # A call was killed between its two renamings; the new model is whole, else it would not be there.
        click.echo(f"finished a migration that was interrupted; the old model is kept in {kept}", err=True)
        click.echo(made.rename(folder))
        return
    if not (folder / "MLmodel").is_file():
        raise ArtifactError(
            f"{folder} is no saved model: it has no file MLmodel. Download it first, or name its folder"
        )
    if in_place and kept.exists():
        raise ArtifactError(f"{kept} is there already, from an earlier migration; move it away first")
    done = migrate_model(folder, out or made)
    where = done.folder
    if in_place:
        folder.rename(kept)
        where = done.folder.rename(folder)
        click.echo(f"the old model is kept in {kept}", err=True)
    click.echo(
        f"format {done.format_before} -> {done.format_after}, digest {done.digest_before[:12]} -> "
        f"{done.digest_after[:12]}",
        err=True,
    )
    click.echo(where)

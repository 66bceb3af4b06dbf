"""`model-governance changelog` and `tag`: what changed from version to version, in words and in git."""

from __future__ import annotations

from pathlib import Path

import click

from model_governance.cli.commands import _explained as explained

__all__ = ["changelog", "tag"]


@click.command()
@click.argument("name")
@click.argument("version", required=False)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it there instead.")
@explained
def changelog(name: str, version: str | None, out: Path | None) -> None:
    """Print what changed from version to version of NAME, or with one VERSION alone, as Markdown."""
    from model_governance.change_log import change_log, release_notes

    text = change_log(name) if version is None else release_notes(name, version).to_markdown()
    if out is None:
        click.echo(text, nl=False)
        return
    # Whole or not at all: somebody may be reading the one that is there.
    part = out.with_name(f".{out.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(out)


@click.command()
@click.argument("name")
@click.argument("version")
@click.option(
    "--repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Checkout of the repository that the version was made from; this folder by default.",
)
@explained
def tag(name: str, version: str, repository: Path) -> None:
    """Set the annotated git tag model/NAME/<semantic version> on the commit that VERSION was made from."""
    from model_governance.git_tag import tag_commit

    click.echo(tag_commit(name, version, repository))

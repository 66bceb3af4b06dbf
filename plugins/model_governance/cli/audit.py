"""`model-governance audit`: read, check and export the log of a governed registry, and keep its signed head."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_governance.cli.commands import _explained as explained
from model_governance.errors import EvidenceError, TamperError

if TYPE_CHECKING:
    from model_governance.governed.audit import Head, Record, Verification
    from model_governance.governed.audit.logs import Log

__all__ = ["audit", "registry_uri", "require_database"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW = click.Path(dir_okay=False, path_type=Path)


@click.group()
@click.option(
    "--registry",
    help="The governed server (http://...) or the registry's database; "
    "MLFLOW_REGISTRY_URI, MLFLOW_TRACKING_URI or MLFLOW_BACKEND_STORE_URI by default.",
)
@click.pass_context
def audit(context: click.Context, registry: str | None) -> None:
    """Read and check the audit log of a governed registry: who did what, when and why."""
    require_database()
    context.obj = registry


@audit.command()
@click.option("--heads", help="Folder or s3://bucket/prefix of heads that were kept; needs --public-key.")
@click.option("--public-key", "public_keys", type=_FILE, multiple=True, help="Of whoever signed them; or several.")
@click.option("--export", "exported", type=_FILE, help="Check a file that `audit export` wrote, and no database.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")
@click.pass_obj
@explained
def verify(
    registry: str | None, heads: str | None, public_keys: tuple[Path, ...], exported: Path | None, as_json: bool
) -> None:
    """Check the whole log; exit code 1 where an entry was changed, removed, reordered or inserted."""
    from model_governance.governed.audit import verify_export

    kept = _kept(heads, public_keys)
    if exported is not None:
        with exported.open(encoding="utf-8", errors="replace") as lines:
            found = verify_export(lines, kept)
    else:
        with _opened(registry) as log:
            found = log.verify(kept)
    if as_json:
        click.echo(json.dumps(_verified(found, len(kept))))
    else:
        for problem in found.problems:
            click.echo(problem)
    if not found.whole:
        raise TamperError(
            f"the log is not what was written: {len(found.problems)} problems in {found.entries} entries"
        )
    if not as_json:
        click.echo(
            f"{found.entries} entries, none changed, removed, reordered or inserted; the last one's hash is "
            f"{found.head.hash[:16]}..."
            + (f"; goes through {len(kept)} kept head{'s' if len(kept) > 1 else ''}" if kept else "")
        )


@audit.command()
@click.option("--model", help="Only of this registered model.")
@click.option("--version", help="Only of this version.")
@click.option("--actor", help="Only what this user asked.")
@click.option("--action", help="Only this action.")
@click.option("--outcome", type=click.Choice(["done", "refused"]), help="Only what happened, or what was refused.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="From then on, UTC.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="Before then, UTC.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.pass_obj
@explained
def show(
    registry: str | None,
    /,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Show entries, the newest last."""
    with _opened(registry) as log:
        found = log.show(wanted, _ms(since), _ms(until), limit)
    for record in reversed(found):
        click.echo(json.dumps(record.to_dict()) if as_json else _line(record))


@audit.command()
@click.option("--out", type=_NEW, help="Write it there instead.")
@click.pass_obj
@explained
def export(registry: str | None, out: Path | None) -> None:
    """Write the whole log as lines of JSON, which `audit verify --export` checks without the database."""
    with _opened(registry) as log:
        if out is None:
            for line in log.export():
                click.echo(line)
            return
        # Whole or not at all: an export that breaks off would look like a log whose end was cut.
        part = out.with_name(f".{out.name}.part")
        try:
            with part.open("w", encoding="utf-8") as file:
                for line in log.export():
                    file.write(f"{line}\n")
                file.flush()
                os.fsync(file.fileno())
            part.replace(out)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()


@audit.command()
@click.argument("where")
@click.option("--key", required=True, type=_FILE, help="Ed25519 private key in PEM; `audit key` makes one.")
@click.pass_obj
@explained
def head(registry: str | None, where: str, key: Path) -> None:
    """Check the log, sign its head and keep it in WHERE, a folder or s3://bucket/prefix.

    Run it by the clock, from a machine that is not the database's: what was kept cannot be written anew.
    """
    from model_governance.governed.audit.heads import keep_head, sign_head

    with _opened(registry) as log:
        found = log.verify(())
    if not found.whole:
        raise TamperError(f"the log is not what was written, and is not signed: {found.problems[0]}")
    kept = keep_head(sign_head(found.head, key), where)
    click.echo(kept or f"{where} holds the head of entry {found.head.seq} already")


@audit.command()
@click.argument("path", type=_NEW)
@explained
def key(path: Path) -> None:
    """Make a key to sign heads with: the private one in PATH, the public one in PATH.pub."""
    from model_governance.governed.audit.heads import make_key

    try:
        public = make_key(path)
    except OSError as error:
        raise EvidenceError(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"{path} signs heads; keep it where the database's owner cannot read it. {public} checks them.")


def require_database() -> None:
    """A sentence instead of a traceback where only what serves is installed."""
    if find_spec("sqlalchemy") is None:
        raise click.ClickException("sqlalchemy is missing: install mlflow-camera-counting[governed]")


def registry_uri(given: str | None) -> str:
    """Which registry is asked: the option, the one before the command, or what MLflow's own variables say."""
    names = ("MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI", "MLFLOW_BACKEND_STORE_URI")
    further = [click.get_current_context().find_root().params.get("tracking_uri"), *map(os.environ.get, names)]
    uri = given or next(filter(None, further), None)
    if uri is None:
        raise EvidenceError(f"which registry? Give --registry, or set one of {', '.join(names)}")
    return uri


@contextmanager
def _opened(registry: str | None) -> Iterator[Log]:
    from model_governance.governed.audit.logs import open_log

    with open_log(registry_uri(registry)) as log:
        yield log


def _kept(heads: str | None, public_keys: tuple[Path, ...]) -> list[Head]:
    if (heads is None) != (not public_keys):
        raise click.UsageError("--heads and --public-key go together")
    if heads is None:
        return []
    from model_governance.governed.audit.heads import kept_heads, read_public_key

    return [signed.head for signed in kept_heads(heads, map(read_public_key, public_keys))]


def _verified(found: Verification, heads: int) -> dict[str, Any]:
    return {
        "whole": found.whole,
        "entries": found.entries,
        "problems": found.problems,
        "head": {"seq": found.head.seq, "hash": found.head.hash},
        "heads": heads,
    }


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.replace(tzinfo=UTC).timestamp() * 1000)


def _line(record: Record) -> str:
    about = "/".join(filter(None, (record.model, record.version)))
    unmoved = record.before is None and record.after is None
    moved = "" if unmoved else f"{record.before or '-'} -> {record.after or '-'}"
    asked = " ".join(filter(None, (record.action, about, moved)))
    who = f"{record.actor or 'nobody'}{f' ({record.address})' if record.address else ''}"
    text = f"{record.seq} {_when(record.at)} {who} {asked}: {record.outcome}"
    if record.comment:
        text += f'; "{record.comment}"'
    if record.detail:
        text += f" {json.dumps(record.detail, ensure_ascii=False)[:300]}"
    # nobody who wrote a comment writes to the reader's terminal
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _when(at: int) -> str:
    try:
        return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (TypeError, ValueError, OverflowError, OSError):  # somebody changed it; `verify` says so
        return str(at)

"""`model-governance notify`: send what waits in the outbox, see how it stands, and try the channels."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_governance.cli.audit import registry_uri, require_database
from model_governance.cli.commands import _explained as explained
from model_governance.errors import EvidenceError

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

__all__ = ["notify"]


@click.group()
@click.option("--database", help="The registry's database; MLFLOW_REGISTRY_URI, ... by default, as for `audit`.")
@click.option(
    "--settings",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Where messages go (YAML); MODEL_GOVERNANCE_NOTIFY by default.",
)
@click.pass_context
def notify(context: click.Context, database: str | None, settings: Path | None) -> None:
    """Tell people of submissions, approvals, refusals, promotions, rollbacks and broken glass."""
    require_database()
    from model_governance.governed.notify.settings import NOTIFY_FILE

    if settings is not None:
        os.environ[NOTIFY_FILE] = str(settings)
    context.obj = database


@notify.command()
@click.option("--forever", is_flag=True, help="Go on until interrupted; the server's own sender does the same.")
@click.pass_obj
@explained
def send(database: str | None, forever: bool) -> None:
    """Send what is due; exit code 1 where something was not delivered."""
    from model_governance.governed.notify.sender import Sender
    from model_governance.governed.notify.settings import current_notify

    settings = current_notify()
    if settings is None:
        raise EvidenceError("where to? Give --settings, or set MODEL_GOVERNANCE_NOTIFY")
    with _opened(database) as engine:
        sender = Sender(engine, settings)
        sent = sender.send_due()
        for trouble in sent.troubles:
            click.echo(trouble, err=True)
        if forever:
            sender.run(threading.Event())
    click.echo(f"{sent.delivered} delivered, {len(sent.troubles)} not")
    if sent.troubles:
        raise SystemExit(1)


@notify.command()
@click.pass_obj
@explained
def status(database: str | None) -> None:
    """Show what waits, channel by channel."""
    from model_governance.governed.notify.outbox import queues

    with _opened(database) as engine, engine.connect() as connection:
        found = queues(connection)
    for queue in found:
        click.echo(
            f"{queue.channel}: {queue.waiting} waiting, {queue.set_aside} set aside, {queue.delivered} delivered"
            + (f", {queue.not_to_all} of them not to everybody" if queue.not_to_all else "")
            + (f"; {queue.trouble}" if queue.trouble else "")
        )
    if not found:
        click.echo("the outbox is empty")


@notify.command()
@click.pass_obj
@explained
def retry(database: str | None) -> None:
    """Make everything due now that is not delivered, also what was set aside."""
    from model_governance.governed.notify import outbox

    with _opened(database) as engine, engine.begin() as connection:
        count = outbox.retry(connection, round(time.time() * 1000))
    click.echo(f"{count} due now")


@notify.command()
@explained
def test() -> None:
    """Send a message to every channel at once, past the outbox; exit code 1 where one does not take it."""
    from model_governance.governed.notify.channels import CarryError
    from model_governance.governed.notify.outbox import Message
    from model_governance.governed.notify.sender import deliver
    from model_governance.governed.notify.settings import current_notify

    settings = current_notify()
    if settings is None:
        raise EvidenceError("where to? Give --settings, or set MODEL_GOVERNANCE_NOTIFY")
    now = datetime.now(UTC)
    message = Message(
        id=f"test-{now:%Y%m%d%H%M%S%f}",
        event="submitted",
        seq=0,
        at=now.isoformat(timespec="seconds"),
        actor="model-governance notify test",
        action="test",
        comment="This is a test; nothing waits for review.",
        link=settings.link,
    )
    failed = False
    for channel in settings.channels:
        try:
            deliver(channel, message, settings.deadline_s)
            click.echo(f"{channel.name}: delivered")
        except CarryError as error:
            failed = True
            click.echo(f"{channel.name}: {error}", err=True)
    if failed:
        raise SystemExit(1)


@contextmanager
def _opened(database: str | None) -> Iterator[Engine]:
    """The registry's database: messages wait there, and a server gives none away."""
    from model_governance.governed.audit.database import open_database

    engine = open_database(registry_uri(database))
    try:
        yield engine
    finally:
        engine.dispose()

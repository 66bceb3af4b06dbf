"""`model-governance`: register, accept, show, check, promote, reject, reopen, rollback, sync, schema.

Exit codes: 0 done; 1 refused, or something disagrees (with the rows that say why); 2 wrong usage.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from model_governance.errors import GovernanceError

__all__ = ["main"]

_DECIDED_BY = {"approved": "approved_by", "rejected": "rejected_by", "rolled back": "rolled_back_by"}

P = ParamSpec("P")
R = TypeVar("R")


def _explained(command: Callable[P, R]) -> Callable[P, R]:
    """A refusal is a sentence on stderr and exit code 1, never a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except GovernanceError as error:
            raise click.ClickException(str(error)) from error

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--tracking-uri", help="MLflow server or database; MLFLOW_TRACKING_URI by default.")
def main(tracking_uri: str | None) -> None:
    """Govern MLflow models: gates before registration, a named person's yes before promotion, and a way back."""
    if tracking_uri:
        import mlflow

        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(tracking_uri)


@main.command()
@click.argument("model_uri")
@click.argument("name")
@click.option("--policy", required=True, type=click.Path(exists=True, dir_okay=False), help="Policy file (YAML).")
@_explained
def register(model_uri: str, name: str, policy: str) -> None:
    """Judge MODEL_URI by a policy and register it as a version of NAME."""
    from model_governance.policy import load_policy
    from model_governance.registration import register as register_model

    done = register_model(model_uri, name, load_policy(policy))
    _print_verdict([row.model_dump() for row in done.verdict.rows])
    click.echo(
        f"{name} version {done.version} ({done.semantic_version}), "
        f"{'new' if done.created else 'known before'}, gates {'passed' if done.passed else 'failed'}"
    )
    done.require_passed()


@main.command()
@click.argument("model_uri")
@click.option("--by", required=True, help="Who signs.")
@click.option("--comment", required=True, help="What was looked at, and what was seen.")
@click.option(
    "--artifact", help="Path of the artefact that was looked at, in the model's run or its evaluation's."
)
@click.option(
    "--reject", "no", is_flag=True, help="Say no to it: the gate fails until the same person accepts it."
)
@click.option("--mitigation", help="Name of a mitigation in the policy's risks, in place of --artifact.")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), help="Last day on which the mitigation is accepted.")
@_explained
def accept(
    model_uri: str,
    by: str,
    comment: str,
    artifact: str | None,
    no: bool,
    mitigation: str | None,
    expires: datetime | None,
) -> None:
    """Sign for what you looked at of MODEL_URI, or accept a mitigation; registering it again judges it anew."""
    from model_governance.signatures import accept as sign
    from model_governance.signatures import accept_mitigation

    if (artifact is None) == (mitigation is None):
        raise click.UsageError("give either --artifact, what was looked at, or --mitigation, what is accepted")
    if artifact is not None:
        if expires is not None:
            raise click.UsageError("--expires goes with --mitigation; a signature holds for what was looked at")
        signed = sign(model_uri, by, comment, artifact, verdict="rejected" if no else "accepted")
        click.echo(f"{signed.by} {signed.verdict} {signed.artifact}, digest {str(signed.sha256)[:16]}")
        return
    if expires is None or no:
        raise click.UsageError("--mitigation needs --expires, and no --reject")
    signed = accept_mitigation(model_uri, by, comment, str(mitigation), expires.date())
    click.echo(f"{signed.by} accepted the mitigation {signed.mitigation} until {signed.expires}")


@main.command()
@click.argument("name")
@click.argument("version", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")
@_explained
def show(name: str, version: str | None, as_json: bool) -> None:
    """Show the standing of NAME, or the verdict and record of one VERSION."""
    from mlflow import MlflowClient

    from model_governance.admission import find_version
    from model_governance.bundle import read_bundle
    from model_governance.standing import read_standing, versions_of

    client = MlflowClient()
    if version is not None:
        found = find_version(client, name, version)
        bundle = read_bundle(found)
        record = {"tags": dict(sorted(found.tags.items())), "verdict": bundle.verdict.model_dump(mode="json")}
        if as_json:
            click.echo(json.dumps(record, indent=2))
            return
        _print_verdict(record["verdict"]["rows"])
        for key, value in record["tags"].items():
            click.echo(f"{key}: {value}")
        return
    standing = read_standing(client, name)
    if as_json:
        click.echo(standing.model_dump_json(indent=2))
        return
    roles = {standing.previous: "previous", standing.challenger: "challenger", standing.champion: "champion"}
    table = Table(title=escape(name))
    for column in ("version", "semantic", "stage", "stands as", "gates", "review", "by"):
        table.add_column(column)
    for number, entry in versions_of(client, name).items():
        tags = entry.tags
        by = tags.get(_DECIDED_BY.get(tags.get("review", ""), ""), "")
        table.add_row(
            number,
            escape(tags.get("semantic_version", "")),
            str(entry.current_stage),
            roles.get(number, ""),
            escape(tags.get("gates", "")),
            escape(tags.get("review", "")),
            escape(by),
        )
    Console().print(table)


@main.command()
@click.argument("name")
@_explained
def check(name: str) -> None:
    """Say where stages, aliases, files and records of NAME disagree; exit 1 if they do."""
    from model_governance.promotion import check as check_model

    found = check_model(name)
    for sentence in found:
        click.echo(sentence, err=True)
    if found:
        raise click.exceptions.Exit(1)
    click.echo(f"{name}: stages, aliases, files and records agree")


@main.command()
@click.argument("name")
@click.argument("version")
@click.option("--approver", required=True, help="Who says yes.")
@click.option("--comment", required=True, help="Why.")
@click.option("--leave-serving", is_flag=True, help="Leave the alias `serving` to a rollout.")
@click.option(
    "--policy",
    type=click.Path(exists=True, dir_okay=False),
    help="Today's policy file (YAML): refuse a version that was judged by another.",
)
@_explained
def promote(name: str, version: str, approver: str, comment: str, leave_serving: bool, policy: str | None) -> None:
    """Make VERSION the champion of NAME."""
    from model_governance.policy import load_policy
    from model_governance.promotion import promote as promote_version

    today = load_policy(policy) if policy else None
    standing = promote_version(name, version, approver, comment, move_serving=not leave_serving, policy=today)
    click.echo(f"{name}: champion is version {standing.champion}, previous {standing.previous or 'none'}")


@main.command()
@click.argument("name")
@click.argument("version")
@click.option("--reviewer", required=True, help="Who says no.")
@click.option("--comment", required=True, help="Why.")
@_explained
def reject(name: str, version: str, reviewer: str, comment: str) -> None:
    """Say no to VERSION of NAME."""
    from model_governance.promotion import reject as reject_version

    reject_version(name, version, reviewer, comment)
    click.echo(f"{name}: version {version} is rejected")


@main.command()
@click.argument("name")
@click.argument("version")
@click.option("--reviewer", required=True, help="Who takes the decision back.")
@click.option("--reason", required=True, help="Why.")
@_explained
def reopen(name: str, version: str, reviewer: str, reason: str) -> None:
    """Take back the decision on VERSION of NAME; registering its model again then judges it anew."""
    from model_governance.promotion import reopen as reopen_version

    reopen_version(name, version, reviewer, reason)
    click.echo(f"{name}: the review of version {version} is open again; register its model to have it judged anew")


@main.command()
@click.argument("name")
@click.option("--operator", required=True, help="Who goes back.")
@click.option("--reason", required=True, help="Why.")
@_explained
def rollback(name: str, operator: str, reason: str) -> None:
    """Go back to the champion of NAME before this one."""
    from model_governance.promotion import rollback as roll_back

    standing = roll_back(name, operator, reason)
    click.echo(f"{name}: champion is version {standing.champion} again")


@main.command()
@click.argument("name")
@click.option("--approver", required=True, help="Who signs for what was clicked.")
@click.option("--comment", required=True, help="Why.")
@click.option("--revert", is_flag=True, help="Put refused transitions back.")
@_explained
def sync(name: str, approver: str, comment: str, revert: bool) -> None:
    """Let aliases of NAME follow the stages that a reviewer set in the MLflow UI, where the gates allow it."""
    from model_governance.by_hand import sync as sync_model

    result = sync_model(name, approver, comment, revert=revert)
    for sentence in result.followed:
        click.echo(f"followed: {sentence}")
    for sentence in result.refused:
        click.echo(f"{'taken back' if result.reverted else 'refused'}: {sentence}", err=True)
    if result.refused:
        raise click.exceptions.Exit(1)
    click.echo(f"{name}: champion is {result.standing.champion or 'nobody'}; stages and aliases agree")


@main.command()
def schema() -> None:
    """Print the JSON schema of a policy file."""
    from model_governance.policy import policy_schema

    click.echo(json.dumps(policy_schema(), indent=2))


def _print_verdict(rows: list[dict[str, Any]]) -> None:
    table = Table()
    for column in ("", "section", "gate", "expected", "got", "reason"):
        table.add_column(column)
    for row in sorted(rows, key=lambda row: row["passed"]):
        mark = "[green]passed[/]" if row["passed"] else "[red]failed[/]"
        # What is in square brackets is text here: as markup it would vanish, or break the table.
        table.add_row(mark, *(escape(row[key]) for key in ("section", "gate", "expected", "got", "reason")))
    Console().print(table)

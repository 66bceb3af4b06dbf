"""The status of versions, area by area: by their gates, and by what this server wrote down of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, jsonify, render_template
from mlflow.entities.model_registry import ModelVersion
from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.utils.workspace_context import get_request_workspace
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy import select
from sqlalchemy.engine import Engine

from model_governance.compliance import AREAS, Finding, Status, compliance_of
from model_governance.governed.actor import current_actor
from model_governance.governed.pages.access import require_readable
from model_governance.governed.pages.evidence import read_shown
from model_governance.governed.pages.fields import Fields
from model_governance.governed.pages.history import Asked, entries, makers
from model_governance.governed.pages.sources import Sources
from model_governance.governed.pages.words import when
from model_governance.rules.base import Area

__all__ = ["add_compliance", "status_of"]

_VERSIONS = 20
_TO_PRODUCTION = ("promote", "rollback", "break glass")


def add_compliance(blueprint: Blueprint, sources: Sources) -> None:
    """Add the page and its JSON twin to the blueprint."""

    @blueprint.get("/compliance", endpoint="compliance")
    def show() -> str:
        name, page, found, more = _asked(sources)
        return render_template(
            "governance/compliance.html", name=name, areas=AREAS, found=found, page=page, more=more
        )

    @blueprint.get("/api/compliance", endpoint="api_compliance")
    def tell() -> Response:
        name, _, found, more = _asked(sources)
        return jsonify(
            name=name,
            more=more,
            versions=[
                {
                    "version": str(version.version),
                    "stage": version.current_stage,
                    "status": [_plain(each) for each in status],
                }
                for version, status in found
            ],
        )


def status_of(sources: Sources, version: ModelVersion, champion: str | None) -> tuple[Status, ...]:
    """The status of one version in every area.

    Parameters
    ----------
    champion : str or None
        Number of the version in Production.
    """
    readable = sources.accounts.readable_experiments(current_actor().name)
    shown = read_shown(sources.files, version, readable)
    return compliance_of(shown.bundle, _known(sources, version, champion, shown.problem))


def _asked(sources: Sources) -> tuple[str, int, list[tuple[ModelVersion, tuple[Status, ...]]], bool]:
    fields = Fields.query()
    name, number, page = fields.text("name"), fields.optional("version"), fields.number("page", 0)
    require_readable(sources, name)
    registry = sources.registry()
    registry.get_registered_model(name)  # MLflow's own sentence where there is none
    champion = registry.standing(name).champion
    numbers = [number] if number else _newest(registry.engine, name, page)
    versions = [registry.get_model_version(name, each) for each in numbers[:_VERSIONS]]
    found = [(version, status_of(sources, version, champion)) for version in versions]
    return name, page, found, len(numbers) > _VERSIONS


def _newest(engine: Engine, name: str, page: int) -> list[str]:
    """Numbers of the versions of one page, and of one more where there is another page."""
    table = SqlModelVersion.__table__.c
    query = (
        select(table.version)
        .where(
            table.workspace == (get_request_workspace() or DEFAULT_WORKSPACE_NAME),
            table.name == name,
            table.current_stage != STAGE_DELETED_INTERNAL,
        )
        .order_by(table.version.desc())
        .offset(page * _VERSIONS)
        .limit(_VERSIONS + 1)
    )
    with engine.connect() as connection:
        return [str(number) for number in connection.scalars(query)]


def _known(
    sources: Sources, version: ModelVersion, champion: str | None, problem: str
) -> Mapping[Area, tuple[Finding, ...]]:
    known: dict[Area, tuple[Finding, ...]] = {
        "audit": _recorded(sources, version),
        "governance": _moved(sources, version, champion),
    }
    if problem:
        known["quality"] = (Finding("not met", problem),)
    return known


def _recorded(sources: Sources, version: ModelVersion) -> tuple[Finding, ...]:
    made = dict(makers(sources.registry().engine, version))
    if "registered" not in made:
        return (Finding("not met", "this server did not see who registered it"),)
    found = [Finding("met", f"registered by {made['registered']}, in the audit")]
    if not {"run", "logged"} & set(made):
        found.append(Finding("not met", "this server did not see who logged it"))
    return tuple(found)


def _moved(sources: Sources, version: ModelVersion, champion: str | None) -> tuple[Finding, ...]:
    name, number = version.name, str(version.version)
    registry = sources.registry()
    if number != champion:
        said = version.tags.get("review")
        if said in ("rejected", "rolled back"):
            return (Finding("not met", f"somebody {'rejected it' if said == 'rejected' else 'rolled it back'}"),)
        missing = registry.missing(name, number, whoever_asks=True) if registry.rules.enforce else ()
        return tuple(Finding("open", each) for each in missing) or (
            Finding("met", "nothing stands in the way of Production"),
        )
    moves = [
        entry
        for action in _TO_PRODUCTION
        for entry in entries(registry.engine, Asked(name, number, action=action, outcome="done", most=1))
    ]
    if not moves:
        return (Finding("not met", "in Production, and this server did not see who moved it there"),)
    last = max(moves, key=lambda entry: entry.seq)
    if last.action == "break glass":
        return (Finding("not met", f"in Production past the rules since {when(last.when)}: {last.comment}"),)
    return (Finding("met", f"in Production by {last.actor} since {when(last.when)}"),)


def _plain(status: Status) -> dict[str, Any]:
    return asdict(status) | {"summary": status.summary}

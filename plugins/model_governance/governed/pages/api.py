"""The JSON interface under `/governance/api/`: what the pages do, for programs. Errors look like MLflow's own."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, jsonify, stream_with_context
from flask.typing import ResponseReturnValue
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_CONFLICT

from model_governance.governed.actor import current_actor
from model_governance.governed.audit import Head, Record, export, verify
from model_governance.governed.pages.access import require_audit, require_readable, roles_here
from model_governance.governed.pages.access_review import review_access
from model_governance.governed.pages.dossier import Dossier, dossier_of, seal
from model_governance.governed.pages.fields import Fields
from model_governance.governed.pages.history import Asked, entries
from model_governance.governed.pages.sources import Sources
from model_governance.governed.pages.waiting import LAST_PAGE, waiting
from model_governance.governing import MOST_RUNS

__all__ = ["add_api"]


def add_api(blueprint: Blueprint, sources: Sources) -> None:
    """Add the interface to the blueprint; the names of its endpoints begin with ``api_``."""
    _add_reading(blueprint, sources)
    _add_decisions(blueprint, sources)
    _add_roles(blueprint, sources)
    _add_audit(blueprint, sources)


def _add_reading(blueprint: Blueprint, sources: Sources) -> None:
    @blueprint.get("/api/about", endpoint="api_about")
    def about() -> Response:
        rules = sources.registry().rules
        return jsonify(
            governed=True,
            format_version=1,
            enforce=rules.enforce,
            user=current_actor().name,
            roles=sorted(roles_here(sources)),
        )

    @blueprint.get("/api/waiting", endpoint="api_waiting")
    def waits() -> Response:
        page = min(Fields.query().number("page", 0), LAST_PAGE)
        readable = sources.accounts.readable_models(current_actor().name)
        found, more = waiting(sources.registry().engine, readable, page)
        return jsonify(waiting=[_written(each) for each in found], more=more)

    @blueprint.get("/api/version", endpoint="api_version")
    def version() -> Response:
        fields = Fields.query()
        name, number = fields.text("name"), fields.text("version")
        require_readable(sources, name)
        readable = sources.accounts.readable_experiments(current_actor().name)
        dossier = dossier_of(sources, name, number, readable)
        return jsonify(_told(dossier) | {"missing": list(sources.registry().missing(name, number))})

    @blueprint.post("/api/measuring", endpoint="api_measuring")
    def measuring() -> Response:
        runs = Fields.body().texts("runs", MOST_RUNS)
        return jsonify(runs=sorted(sources.registry().measuring(runs)))


def _told(dossier: Dossier) -> dict[str, Any]:
    bundle = dossier.shown.bundle
    return {
        "name": dossier.version.name,
        "version": str(dossier.version.version),
        "stage": dossier.version.current_stage,
        "aliases": list(dossier.aliases),
        "champion": dossier.champion,
        "made": [{"what": what, "by": who} for what, who in dossier.made],
        "gates": [row.model_dump(mode="json") for row in bundle.verdict.rows] if bundle else None,
        "problem": dossier.shown.problem,
        "figures": [_written(each) for each in dossier.comparison.figures],
        "reviews": [
            _written(each) | {"counts": place in dossier.current} for place, each in enumerate(dossier.reviews)
        ],
        "seal": dossier.seal,
    }


def _add_decisions(blueprint: Blueprint, sources: Sources) -> None:
    @blueprint.post("/api/review", endpoint="api_review")
    def review() -> Response:
        fields = Fields.body()
        name, number = _version(sources, fields)
        verdict = fields.one_of("verdict", ("approve", "changes", "reject", "reopen"))
        sources.registry().review(name, number, verdict, fields.comment("comment"))
        return _standing(sources, name)

    @blueprint.post("/api/promote", endpoint="api_promote")
    def promote() -> Response:
        fields = Fields.body()
        name, number = _version(sources, fields)
        sources.registry().promote(name, number, fields.comment("comment"))
        return _standing(sources, name)

    @blueprint.post("/api/rollback", endpoint="api_rollback")
    def rollback() -> Response:
        fields = Fields.body()
        name = fields.text("name")
        require_readable(sources, name)
        sources.registry().rollback(name, fields.comment("reason"))
        return _standing(sources, name)

    @blueprint.post("/api/adopt", endpoint="api_adopt")
    def adopt() -> Response:
        fields = Fields.body()
        name, number = _version(sources, fields)
        sources.registry().adopt(name, number, fields.comment("reason"))
        return _standing(sources, name)

    @blueprint.post("/api/break-glass", endpoint="api_break_glass")
    def break_glass() -> Response:
        fields = Fields.body()
        name, number = _version(sources, fields)
        sources.registry().break_glass(name, number, fields.comment("reason"))
        return _standing(sources, name)


def _version(sources: Sources, fields: Fields) -> tuple[str, str]:
    """Which version; where the asker says what they have seen, it must be what is there."""
    name, number = fields.text("name"), fields.text("version")
    require_readable(sources, name)
    seen = fields.optional("seal")
    if seen is not None and seen != seal(sources.registry().get_model_version(name, number)):
        raise MlflowException(
            f"version {number} of {name!r} was judged anew since you read it; nothing was done", RESOURCE_CONFLICT
        )
    return name, number


def _standing(sources: Sources, name: str) -> Response:
    model = sources.registry().get_registered_model(name)
    return jsonify(name=name, aliases={alias: str(number) for alias, number in sorted(model.aliases.items())})


def _add_roles(blueprint: Blueprint, sources: Sources) -> None:
    @blueprint.get("/api/roles", endpoint="api_roles")
    def roles() -> Response:
        grants, mine = sources.registry().grants(), roles_here(sources)
        if not mine & {"admin", "auditor"}:
            grants = tuple(each for each in grants if each.user == current_actor().name)
        return jsonify(roles=[_written(each) for each in grants])

    @blueprint.post("/api/roles/grant", endpoint="api_grant")
    def grant() -> Response:
        fields = Fields.body()
        sources.registry().grant(fields.text("user"), fields.text("role"))
        return roles()

    @blueprint.post("/api/roles/withdraw", endpoint="api_withdraw")
    def withdraw() -> Response:
        fields = Fields.body()
        sources.registry().withdraw(fields.text("user"), fields.text("role"))
        return roles()

    @blueprint.get("/api/access", endpoint="api_access")
    def access() -> Response:
        require_audit(sources)
        days = Fields.query().number("days", 90, least=1, most=36_500)
        return jsonify(access=[_written(each) for each in review_access(sources, timedelta(days=days))])


def _entry(record: Record) -> dict[str, Any]:
    """Every field of an entry of the audit, for a program."""
    return record.to_dict() | {"at": record.when.isoformat(), "detail": record.detail or {}}


def _add_audit(blueprint: Blueprint, sources: Sources) -> None:
    @blueprint.get("/api/audit/show", endpoint="api_audit_show")
    def show() -> Response:
        require_audit(sources)
        asked = Asked.of(Fields.query())
        return jsonify(entries=[_entry(each) for each in entries(sources.registry().engine, asked)])

    @blueprint.get("/api/audit/verify", endpoint="api_audit_verify")
    def check() -> Response:
        require_audit(sources)
        fields = Fields.query()
        kept, digest = fields.number("seq", 0), fields.optional("hash")
        heads = [Head(kept, digest)] if kept and digest else []
        found = verify(sources.registry().engine, heads)
        return jsonify(
            whole=found.whole, entries=found.entries, problems=list(found.problems), head=asdict(found.head)
        )

    @blueprint.get("/api/audit/export", endpoint="api_audit_export")
    def whole() -> ResponseReturnValue:
        require_audit(sources)
        lines = (f"{line.rstrip()}\n" for line in export(sources.registry().engine))
        return Response(stream_with_context(lines), mimetype="application/x-ndjson")


def _written(value: Any) -> dict[str, Any]:
    """A value's fields as JSON knows them."""
    return {key: _plain(each) for key, each in asdict(value).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, float) and value != value:  # JSON has no NaN
        return "NaN"
    return value

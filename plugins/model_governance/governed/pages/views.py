"""The pages: what waits, one version, roles, the access review, the audit. No scripts; every change is a form."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from flask import Blueprint, Response, flash, redirect, render_template, send_file, url_for
from flask.typing import ResponseReturnValue
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_CONFLICT, RESOURCE_DOES_NOT_EXIST

from model_governance.governed.actor import current_actor
from model_governance.governed.audit import verify
from model_governance.governed.pages.access import may_audit, require_audit, require_readable, roles_here
from model_governance.governed.pages.access_review import review_access
from model_governance.governed.pages.dossier import dossier_of, seal
from model_governance.governed.pages.evidence import read_picture, read_shown
from model_governance.governed.pages.fields import Fields
from model_governance.governed.pages.glass import BrokenGlass, broken_glass
from model_governance.governed.pages.history import Asked, entries
from model_governance.governed.pages.sources import Sources
from model_governance.governed.pages.waiting import LAST_PAGE, version_with_files, waiting
from model_governance.governed.roles import ALL_ROLES

__all__ = ["add_views"]

_STATIC = Path(__file__).parent / "static"


def add_views(blueprint: Blueprint, sources: Sources) -> None:
    """Add the pages to the blueprint."""
    _add_waiting(blueprint, sources)
    _add_version(blueprint, sources)
    _add_decisions(blueprint, sources)
    _add_roles(blueprint, sources)
    _add_audit(blueprint, sources)

    @blueprint.app_context_processor
    def words() -> dict[str, object]:
        return {
            "who": current_actor(),
            "may_audit": lambda: may_audit(sources),
            "policy_is_open": lambda: not sources.registry().rules.enforce,
            "roles_here": lambda: roles_here(sources),
            "glass_broken": lambda: _glass_broken(sources),
            "ui": _ui,
        }

    @blueprint.get("/style.css", endpoint="style")
    def style() -> Response:
        return send_file(_STATIC / "governance.css", mimetype="text/css", max_age=3600)


def _glass_broken(sources: Sources) -> tuple[BrokenGlass, ...]:
    reader = current_actor().name  # whose rights are looked up where there is something to show
    return broken_glass(sources.registry().engine, lambda name: sources.accounts.readable_models(reader)(name))


def _add_waiting(blueprint: Blueprint, sources: Sources) -> None:
    @blueprint.get("", endpoint="home")
    def home() -> ResponseReturnValue:
        return redirect(url_for("governance.waiting"), 308)

    @blueprint.get("/", endpoint="waiting")
    def show() -> str:
        fields = Fields.query()
        page, part, rules = (
            min(fields.number("page", 0), LAST_PAGE),
            fields.optional("model"),
            sources.registry().rules,
        )
        me, reviews = current_actor().name, bool(roles_here(sources) & set(rules.approvals.roles))
        found, more = waiting(sources.registry().engine, sources.accounts.readable_models(me), page, part)
        asks = [each.asks(me, reviews, rules) for each in found]
        return render_template(
            "governance/waiting.html", found=list(zip(found, asks, strict=True)), more=more, page=page, part=part,
            mine=asks.count("review"), reviews=reviews, last=page == LAST_PAGE,
        )  # fmt: skip


def _add_version(blueprint: Blueprint, sources: Sources) -> None:
    @blueprint.get("/version", endpoint="version")
    def show() -> ResponseReturnValue:
        fields = Fields.query()
        if (digest := fields.optional("files")) is not None:
            # a description is written before its version has a number
            name = fields.text("name")
            require_readable(sources, name)
            number = version_with_files(sources.registry().engine, name, digest)
            if number is None:
                raise MlflowException(f"no version of {name!r} holds these files", RESOURCE_DOES_NOT_EXIST)
            return redirect(url_for("governance.version", name=name, version=number))
        return _version_page(sources, *_asked_version(sources))

    @blueprint.get("/picture", endpoint="picture")
    def picture() -> Response:
        name, number = _asked_version(sources)
        fields = Fields.query()
        run_id, path = fields.text("run"), fields.text("path")
        readable = sources.accounts.readable_experiments(current_actor().name)
        shown = read_shown(sources.files, sources.registry().get_model_version(name, number), readable)
        found = read_picture(sources.files, run_id, path) if run_id in shown.runs else None
        if found is None:
            raise MlflowException(f"no picture {path!r} belongs to this version", RESOURCE_DOES_NOT_EXIST)
        answer = Response(found[1], mimetype=found[0])
        answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        answer.headers["Cache-Control"] = "private, max-age=300"
        return answer


def _add_decisions(blueprint: Blueprint, sources: Sources) -> None:
    @blueprint.post("/review", endpoint="review")
    def review() -> ResponseReturnValue:
        fields = Fields.form()
        name, number = fields.text("name"), fields.text("version")
        verdict = fields.one_of("verdict", ("approve", "changes", "reject", "reopen"))
        return _decide(sources, name, number, verdict)

    @blueprint.post("/promote", endpoint="promote")
    def promote() -> ResponseReturnValue:
        fields = Fields.form()
        return _decide(sources, fields.text("name"), fields.text("version"), "promote")

    @blueprint.post("/rollback", endpoint="rollback")
    def rollback() -> ResponseReturnValue:
        fields = Fields.form()
        return _decide(sources, fields.text("name"), fields.text("version"), "rollback")

    @blueprint.post("/break-glass", endpoint="break_glass")
    def break_glass() -> ResponseReturnValue:
        fields = Fields.form()
        return _decide(sources, fields.text("name"), fields.text("version"), "break glass")


def _decide(sources: Sources, name: str, number: str, what: str) -> ResponseReturnValue:
    """Ask the store; a refusal is told on the version's page, beside what it is about."""
    require_readable(sources, name)
    fields, registry = Fields.form(), sources.registry()
    try:
        comment = fields.comment("comment")
        if seal(registry.get_model_version(name, number)) != fields.text("seal"):
            raise MlflowException(
                "this version was registered or judged anew since you opened the page, and nothing was done; look "
                "at what it shows now and decide again",
                RESOURCE_CONFLICT,
            )
        if what == "promote":
            registry.promote(name, number, comment)
            flash(f"Version {number} is in Production and has the alias champion.")
        elif what == "rollback":
            registry.rollback(name, comment)
            flash("Rolled back to the champion before this one.")
        elif what == "break glass":
            registry.break_glass(name, number, comment)
            flash(f"Version {number} is in Production past the rules; it stays marked, and the alarm is out.")
        else:
            registry.review(name, number, what, comment)
            flash({"approve": "You approved", "changes": "You asked for changes to", "reject": "You rejected",
                   "reopen": "You opened the review of"}[what] + f" version {number}.")  # fmt: skip
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise
        page = _version_page(sources, name, number, refusal=error.message, comment=fields.raw("comment"))
        return page, error.get_http_status_code()
    return redirect(url_for("governance.version", name=name, version=number), 303)


def _version_page(sources: Sources, name: str, number: str, refusal: str = "", comment: str = "") -> str:
    readable = sources.accounts.readable_experiments(current_actor().name)
    dossier = dossier_of(sources, name, number, readable)
    rules, roles = sources.registry().rules, roles_here(sources)
    asking = rules.enforce and not dossier.is_champion
    missing = sources.registry().missing(name, number) if asking else ()
    may = {
        "review": bool(roles & set(rules.approvals.roles)),
        "promote": bool(roles & set(rules.moves.production)),
        "rollback": bool(roles & set(rules.moves.rollback)),
        "break_glass": "break_glass" in roles,
    }
    return render_template(
        "governance/version.html",
        it=dossier,
        roles=roles,
        may=may,
        recorders=rules.evidence.roles,
        deciders=dict.fromkeys([*rules.approvals.roles, *rules.moves.production]),
        missing=missing,
        open_policy=not rules.enforce,
        refusal=refusal,
        comment=comment,
    )


def _asked_version(sources: Sources) -> tuple[str, str]:
    fields = Fields.query()
    name, number = fields.text("name"), fields.text("version")
    require_readable(sources, name)
    return name, number


def _add_roles(blueprint: Blueprint, sources: Sources) -> None:
    @blueprint.get("/roles", endpoint="roles")
    def show() -> str:
        registry = sources.registry()
        mine, everybody = roles_here(sources), sources.accounts.everybody()
        grants = registry.grants()
        if not mine & {"admin", "auditor"}:
            me = current_actor().name
            everybody = [each for each in everybody if each.name == me]
            grants = tuple(each for each in grants if each.user == me)
        return render_template(
            "governance/roles.html",
            everybody=everybody,
            grants=grants,
            all_roles=ALL_ROLES,
            may_change="admin" in mine,
        )

    @blueprint.post("/roles/grant", endpoint="grant")
    def grant() -> ResponseReturnValue:
        fields = Fields.form()
        user, role = fields.text("user"), fields.text("role")
        sources.registry().grant(user, role)
        flash(f"{user} has the role {role}.")
        return redirect(url_for("governance.roles"), 303)

    @blueprint.post("/roles/withdraw", endpoint="withdraw")
    def withdraw() -> ResponseReturnValue:
        fields = Fields.form()
        user, role = fields.text("user"), fields.text("role")
        sources.registry().withdraw(user, role)
        flash(f"{user} no longer has the role {role}.")
        return redirect(url_for("governance.roles"), 303)


def _add_audit(blueprint: Blueprint, sources: Sources) -> None:
    @blueprint.get("/access", endpoint="access")
    def access() -> str:
        require_audit(sources)
        days = Fields.query().number("days", 90, least=1, most=36_500)
        return render_template(
            "governance/access.html", accesses=review_access(sources, timedelta(days=days)), days=days
        )

    @blueprint.get("/audit", endpoint="audit")
    def audit() -> str:
        require_audit(sources)
        asked = Asked.of(Fields.query())
        found = entries(sources.registry().engine, asked)
        return render_template("governance/audit.html", found=found, asked=asked)

    @blueprint.get("/verified", endpoint="verified")
    def verified() -> str:
        require_audit(sources)
        return render_template("governance/verified.html", found=verify(sources.registry().engine))


def _ui(name: str, number: str | None = None) -> str:
    """Address of a model or version in MLflow's UI, relative to ours."""
    address = f"../#/models/{quote(name, safe='')}"
    return address if number is None else f"{address}/versions/{quote(number, safe='')}"

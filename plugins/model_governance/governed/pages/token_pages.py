"""Programs' tokens: a page and its JSON twin. A token's text is told once, to whoever made it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from model_governance.governed.pages.access import require_audit, roles_here
from model_governance.governed.pages.fields import Fields
from model_governance.governed.pages.sources import Sources
from model_governance.governed.tokens import Token
from model_governance.rules.governance import SERVICE_ROLES

__all__ = ["add_tokens"]

_DAYS = 90


@dataclass(frozen=True, slots=True)
class _Shown:
    """A token as it is read; `state` is works, withdrawn or expired."""

    id: str
    user: str
    purpose: str
    made_by: str
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None
    state: str


def add_tokens(blueprint: Blueprint, sources: Sources) -> None:
    """Add the page and the interface to the blueprint."""
    _add_page(blueprint, sources)
    _add_api(blueprint, sources)


def _add_page(blueprint: Blueprint, sources: Sources) -> None:
    @blueprint.get("/tokens", endpoint="tokens")
    def show() -> str:
        require_audit(sources)
        return _page(sources)

    @blueprint.post("/tokens/make", endpoint="make_token")
    def make() -> str:
        made, text = _make(sources, Fields.form())
        return _page(sources, made, text)  # on no redirect: it would have to be kept somewhere on the way

    @blueprint.post("/tokens/withdraw", endpoint="withdraw_token")
    def withdraw() -> ResponseReturnValue:
        identity = Fields.form().text("id")
        sources.registry().withdraw_token(identity)
        flash(f"The token {identity} works no more.")
        return redirect(url_for("governance.tokens"), 303)


def _add_api(blueprint: Blueprint, sources: Sources) -> None:
    @blueprint.get("/api/tokens", endpoint="api_tokens")
    def show() -> Response:
        require_audit(sources)
        return jsonify(tokens=[_plain(each) for each in _shown(sources.registry().tokens())])

    @blueprint.post("/api/tokens/make", endpoint="api_make_token")
    def make() -> Response:
        made, text = _make(sources, Fields.body())
        (shown,) = _shown((made,))
        return jsonify(token=text, **_plain(shown))

    @blueprint.post("/api/tokens/withdraw", endpoint="api_withdraw_token")
    def withdraw() -> Response:
        sources.registry().withdraw_token(Fields.body().text("id"))
        return show()


def _make(sources: Sources, fields: Fields) -> tuple[Token, str]:
    user, purpose = fields.text("user"), fields.text("purpose")
    known = {account.name: account.is_admin for account in sources.accounts.everybody()}
    if user not in known and "admin" in roles_here(sources):
        raise MlflowException(
            f"there is no log-in {user!r}; make it first, as MLflow makes users", RESOURCE_DOES_NOT_EXIST
        )
    return sources.registry().make_token(
        user, purpose, fields.number("days", _DAYS), is_person=lambda name: known.get(name, False)
    )


def _page(sources: Sources, made: Token | None = None, text: str = "") -> str:
    registry = sources.registry()
    grants = registry.grants()
    people = {each.user for each in grants if each.role not in SERVICE_ROLES}
    known = {each.user for each in grants} - people
    programs = [
        each.name for each in sources.accounts.everybody() if each.name not in people and not each.is_admin
    ]
    return render_template(
        "governance/tokens.html",
        tokens=_shown(registry.tokens()),
        made=made,
        text=text,
        programs=sorted(programs, key=lambda name: name not in known),  # those that are known as programs first
        may_change="admin" in roles_here(sources),
        days=_DAYS,
    )


def _shown(tokens: tuple[Token, ...]) -> list[_Shown]:
    now = datetime.now(UTC)
    return [
        _Shown(
            each.id,
            each.user,
            each.purpose,
            each.made_by,
            _time(each.made_at),
            _time(each.expires_at),
            None if each.used_at is None else _time(each.used_at),
            "withdrawn" if each.withdrawn_at else "expired" if _time(each.expires_at) <= now else "works",
        )
        for each in tokens
    ]


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _plain(shown: _Shown) -> dict[str, Any]:
    found = {key: getattr(shown, key) for key in _Shown.__slots__}
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in found.items()}

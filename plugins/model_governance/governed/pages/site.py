"""The blueprint `/governance/`: who may come in, what a browser may do with our pages, how a refusal looks."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError  # type: ignore[import-untyped]
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from werkzeug.exceptions import HTTPException

from model_governance.errors import GovernanceError
from model_governance.governed.actor import current_actor
from model_governance.governed.origins import FOREIGN, is_foreign
from model_governance.governed.pages.api import add_api
from model_governance.governed.pages.compliance import add_compliance
from model_governance.governed.pages.sources import Sources
from model_governance.governed.pages.stage_menu import add_script
from model_governance.governed.pages.token_pages import add_tokens
from model_governance.governed.pages.views import add_views
from model_governance.governed.pages.words import FILTERS

__all__ = ["pages_blueprint"]

_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'none'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)


def pages_blueprint(sources: Sources, prefix: str = "") -> Blueprint:
    """All pages and the JSON interface.

    Whoever registers it authenticates the request first (`acting`), and has `flask_wtf.CSRFProtect` on the app.

    Parameters
    ----------
    prefix : str
        MLflow's ``--static-prefix``, such as ``/mlflow``; empty by default.
    """
    blueprint = Blueprint(
        "governance", __name__, url_prefix=f"{prefix.rstrip('/')}/governance", template_folder="templates"
    )
    blueprint.before_request(_admit)
    blueprint.after_request(_bound)
    blueprint.register_error_handler(MlflowException, _explain)
    blueprint.register_error_handler(GovernanceError, _explain)
    blueprint.register_error_handler(HTTPException, _explain)
    for name, shown in FILTERS.items():
        blueprint.add_app_template_filter(shown, name)
    add_views(blueprint, sources)
    add_api(blueprint, sources)
    add_compliance(blueprint, sources)
    add_tokens(blueprint, sources)
    add_script(blueprint)
    return blueprint


def _admit() -> ResponseReturnValue | None:
    if not current_actor().authenticated:
        answer = make_response("log in first\n", 401)
        answer.headers["WWW-Authenticate"] = 'Basic realm="mlflow"'
        return answer
    if request.method in _CHANGING:
        if is_foreign(request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"), request.host):
            raise MlflowException(FOREIGN, PERMISSION_DENIED)
        if _is_api():
            _require_json()
        else:
            current_app.extensions["csrf"].protect()
    return None


def _require_json() -> None:
    """A form of any page can send text; JSON it cannot, unless it is let to."""
    if not request.is_json:
        raise MlflowException.invalid_parameter_value("expected a JSON object with Content-Type application/json")


def _is_api() -> bool:
    return str(request.endpoint).startswith("governance.api_")


def _bound(answer: Response) -> Response:
    answer.headers.setdefault("Content-Security-Policy", _POLICY)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["X-Frame-Options"] = "DENY"
    answer.headers["Referrer-Policy"] = "same-origin"  # none at all would fail the form check over HTTPS
    answer.headers.setdefault("Cache-Control", "no-store")
    return answer


def _explain(error: Exception) -> ResponseReturnValue:
    """A sentence that says what is missing, on a page or as MLflow's own JSON of an error."""
    if isinstance(error, MlflowException):
        status, message, code = error.get_http_status_code(), error.message, error.error_code
    elif isinstance(error, CSRFError):
        status, code = 400, "BAD_REQUEST"
        message = "this form is too old, or was opened by another log-in; go back, load the page again and repeat"
    elif isinstance(error, HTTPException):
        status, code = error.code or 500, str(error.name).upper().replace(" ", "_")
        message = error.description or error.name
    else:
        status, message, code = 400, str(error), "INVALID_PARAMETER_VALUE"
    if _is_api():
        return jsonify(error_code=code, message=message), status
    return render_template("governance/message.html", status=status, message=message), status

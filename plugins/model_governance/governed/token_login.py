"""Logging in with a token beside basic-auth's passwords, at Flask's routes and FastAPI's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import g, request
from werkzeug.datastructures import Authorization

from model_governance.governed.tokens import borne

__all__ = ["let_tokens_in"]


def let_tokens_in(auth: Any, bearer: Callable[[str], str | None]) -> None:
    """Let MLflow's log-in take what ``MLFLOW_TRACKING_TOKEN`` sends; whatever is no token of ours goes its way.

    Parameters
    ----------
    auth : module
        `mlflow.server.auth`, whose functions look each other up when they are called.
    bearer : callable
        The log-in that a token stands for; None where it does not work.
    """
    by_password, by_password_at_fastapi = auth.authenticate_request, auth._authenticate_fastapi_request

    def authenticate() -> Any:
        text = borne(request.headers.get("Authorization"))
        if text is None:
            return by_password()
        if "governance_bearer" not in g:  # MLflow asks several times in a request
            g.governance_bearer = bearer(text)
        if g.governance_bearer is None:
            answer = auth.make_basic_auth_response()
            answer.set_data("This token is unknown, withdrawn or expired, or its log-in is a person's by now.\n")
            return answer
        known = Authorization("basic", {"username": g.governance_bearer, "password": ""})
        request.authorization = known  # where some handlers read the name
        return known

    def authenticate_at_fastapi(asked: Any) -> Any:
        text = borne(asked.headers.get("Authorization"))
        if text is None:
            return by_password_at_fastapi(asked)
        user = bearer(text)
        return auth.store.get_user(user) if user is not None and auth.store.has_user(user) else None

    auth.authenticate_request = authenticate
    auth._authenticate_fastapi_request = authenticate_at_fastapi

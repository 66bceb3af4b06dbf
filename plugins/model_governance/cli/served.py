"""Asking a governed server, with the log-in of MLflow's own client; a refusal is a sentence on stderr."""

from __future__ import annotations

import json
from typing import Any

import click

__all__ = ["ask_server"]


def ask_server(path: str, body: dict[str, str] | None = None, **query: str) -> dict[str, Any]:
    """What the server of the registry answers at `/governance/api/`; a POST where there is a body.

    Raises
    ------
    click.ClickException
        Where there is no server, it is not governed, or it refuses.
    """
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    uri = mlflow.get_registry_uri()
    if not uri.startswith(("http://", "https://")):
        raise click.ClickException(
            "expected the address of a governed server (--tracking-uri http://... or MLFLOW_TRACKING_URI), which "
            f"knows who asks; got a registry of the kind {uri.partition('://')[0] or 'file'}"
        )
    wanted = {"json": body} if body is not None else {"params": query}
    try:
        answer = http_request(  # type: ignore[no-untyped-call]
            get_default_host_creds(uri),  # type: ignore[no-untyped-call]
            f"/governance/api/{path}", "POST" if body is not None else "GET",
            max_retries=0, raise_on_status=False, allow_redirects=False, **wanted,
        )  # fmt: skip
    except MlflowException as error:
        raise click.ClickException(f"the server does not answer: {error.message}") from error
    try:
        told = json.loads(answer.text)
    except ValueError:
        told = None
    if answer.status_code == 401:
        raise click.ClickException(
            "the server knows no such log-in; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or a "
            "program's MLFLOW_TRACKING_TOKEN"
        )
    if answer.status_code == 404 or not isinstance(told, dict):
        raise click.ClickException(
            "this server is not governed; start it with `mlflow server --app-name governed`"
        )
    if answer.status_code != 200:
        raise click.ClickException(str(told.get("message", answer.status_code)))
    return told

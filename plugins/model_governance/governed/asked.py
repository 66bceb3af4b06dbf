"""What a request to MLflow's Flask handlers asks for, as they read it.

They read the body, the query or a form, each in its own order. A request that says two things of one field would
be decided by one and done by the other; it is refused (`require_one_meaning`).
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from flask import request

from model_governance.governed.records import LOGGED_MODEL, RUN
from model_governance.governed.refusals import RefusedError

__all__ = ["body", "field", "named", "require_one_meaning", "settings", "things"]

_RUN_NAMES = ("run_id", "run_uuid", "runId", "runUuid")
_ONE_THING = dict.fromkeys(_RUN_NAMES, "run_id") | {
    "artifact_file_path": "path", "modelId": "model_id", "experimentId": "experiment_id",
}  # fmt: skip
"""Names of fields that mean the same, by the name that stands for them."""

_TELLING = frozenset(
    {
        "username", "is_admin", "resource_type", "resource_id", "permission", "role", "role_id", "role_name",
        "name", "workspace", "endpoint_id", "secret_id", "webhook_id", "resource_pattern",
    }
)  # fmt: skip


def require_one_meaning() -> None:
    """Refuse a request that names something twice and differently: in body, query and form, or under two names.

    Raises
    ------
    RefusedError
    """
    said: dict[str, set[str]] = {}
    for source in (body().items(), request.args.items(multi=True), request.form.items(multi=True)):
        for key, value in source:
            said.setdefault(_ONE_THING.get(key, key), set()).add(str(value))
    twice = sorted(key for key, values in said.items() if len(values) > 1)
    if twice:
        raise RefusedError(
            f"the request says different things of {', '.join(twice)[:200]}, in its body and its query or under "
            "two names; say each once"
        )


def body() -> dict[str, Any]:
    """The JSON object in the body, as MLflow reads it: older clients send it encoded twice."""
    found = None
    with suppress(ValueError, RecursionError):
        found = request.get_json(force=True, silent=True)
        if isinstance(found, str):
            found = json.loads(found)
    return found if isinstance(found, dict) else {}


def field(*names: str) -> str:
    """A text of the body, or of the query where there is no body, under any of these names."""
    for source in (body(), request.args):
        for name in names:
            if isinstance(value := source.get(name), (str, int)):
                return str(value)
    return ""


def things() -> list[tuple[str, str]]:
    """The run or logged model that is written into, under whichever name MLflow reads it."""
    arguments = request.view_args or {}
    if "model_id" in arguments:
        return [(LOGGED_MODEL, str(arguments["model_id"]))]
    # a metric may be of a model that somebody else made: it lies in the run all the same
    named_so = {source.get(name) for source in (body(), request.args) for name in _RUN_NAMES}
    return [(RUN, each) for each in named_so if isinstance(each, str)]


def named() -> set[str]:
    """The log-ins that a change of log-ins is about: none or one."""
    return {str(source["username"]) for source in (body(), request.args, request.form) if "username" in source}


def settings() -> dict[str, str]:
    """What a change of log-ins or settings asks for, without any secret in it."""
    fields = body() or request.form.to_dict() or request.args.to_dict()
    return {"method": request.method, "path": request.path[:500]} | {
        str(key): str(value)[:300] for key, value in fields.items() if key in _TELLING
    }

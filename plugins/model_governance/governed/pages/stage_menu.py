"""MLflow's UI as reviewers need it: the Stage menu in sight, and a way from a version to our pages.

MLflow shows stages only where its toggle "New model registry UI" is off, and remembers that in each browser. The
page of the UI is served with one script of our own before MLflow's; it turns the toggle off once per browser, and
whoever turns it on again keeps it on.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Flask, Response, request, send_file

__all__ = ["add_script", "serve_index"]

_STATIC = Path(__file__).parent / "static"
_BEFORE = "<script "  # MLflow's own first script


def add_script(blueprint: Blueprint) -> None:
    """Serve the script at `/governance/mlflow-ui.js`."""

    @blueprint.get("/mlflow-ui.js", endpoint="mlflow_ui")
    def script() -> Response:
        return send_file(_STATIC / "mlflow-ui.js", mimetype="text/javascript", max_age=300)


def serve_index(app: Flask) -> None:
    """Let MLflow's landing page load the script; where this MLflow was built without a UI, nothing changes."""
    plain = app.view_functions.get("serve")
    index = Path(app.static_folder or "") / "index.html"
    if plain is None or not index.is_file():
        return

    def serve() -> Response:
        text = with_script(index.read_text(encoding="utf-8"))
        answer = Response(text, mimetype="text/html")
        # Not the file's own mark: a browser that kept MLflow's page would be told that nothing changed.
        answer.set_etag(hashlib.sha256(text.encode()).hexdigest())
        answer.headers["Cache-Control"] = "no-cache"
        answer.make_conditional(request)
        return answer

    app.view_functions["serve"] = serve


@lru_cache(maxsize=2)
def with_script(page: str) -> str:
    """The page with our script before its first one, by a path that holds under any prefix.

    Examples
    --------
    >>> with_script('<head><script defer src="main.js"></script></head>')
    '<head><script src="governance/mlflow-ui.js"></script><script defer src="main.js"></script></head>'
    """
    return page.replace(_BEFORE, f'<script src="governance/mlflow-ui.js"></script>{_BEFORE}', 1)

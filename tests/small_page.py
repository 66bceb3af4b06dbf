"""The page over a small worker, asked by a client in the same process."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

from serving.camera.web import WebSettings, create_app
from tests.small_worker import SmallWorker

__all__ = ["BEARER", "TOKEN", "client"]

TOKEN = "a-token-of-these-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def client(worker: SmallWorker, **settings: Any) -> TestClient:
    """Somebody who asks the page at its own address, with a page of these settings."""
    app = create_app(worker, TOKEN, WebSettings(**settings))
    return TestClient(app, base_url="http://localhost:5002", follow_redirects=False)
